"""Running a training: the images are written, a process of the laboratory learns from them, its run becomes a version,
and that is imported as every version from outside is: uploaded, to be verified and approved.

The laboratory runs as a child process (`python -m inference`), in the environment that has its libraries. The row says
every few seconds that the training is alive; one that has not been seen for a minute waits again (`calling`), is taken
over by whoever comes next, and goes on from the run's own checkpoints.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
import uuid
import zipfile
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.core.child_processes import end_with_parent
from cad_platform.core.errors import PlatformError
from cad_platform.learning import exporting, tidying, versions
from cad_platform.learning.calling import lost
from cad_platform.learning.models import Training
from cad_platform.registry import importing
from cad_platform.registry.models import ModelVersion
from cad_platform.registry.services import Refused

_EVERY = 2.0
#: How long the laboratory has to end once it is asked to.
_ENDS_WITHIN = 20.0
#: What of the environment the laboratory sees: no address, no password, no key of the platform.
_ENVIRONMENT = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
    "OMP_NUM_THREADS",
)
State, Step = Training.State, Training.Step


class Cancelled(Exception):
    """A person wants it to end, or a patient of its data set has withdrawn."""


class Failed(Exception):
    """The sentence says why."""


def run_next() -> str:
    """Run the training that has waited longest, to its end. Returns its state; empty where none waits."""
    training = _claim()
    if training is None:
        return ""
    state, said, candidate = State.SUCCEEDED, "", None
    try:
        candidate = _Run(training).whole()
    except Cancelled as stop:
        state, said = State.CANCELLED, str(stop)
    except (Failed, Refused) as error:
        state, said = State.FAILED, str(error)
    except PlatformError as error:
        state, said = State.FAILED, error.detail
    with transaction.atomic():
        row = Training.objects.select_for_update(of=("self",)).select_related("dataset").get(pk=training.pk)
        if row.holder != training.holder:  # somebody else has gone on with it meanwhile
            return row.state
        tidying.remove_images(folder_of(row.pk))  # however it ended: who goes on writes them anew
        row.state, row.said, row.candidate, row.ended_at = state, said[:2000], candidate, timezone.now()
        row.save(update_fields=["state", "said", "candidate", "ended_at"])
        record(
            _actor(row), "training.end", object_type="training", object_id=row.pk, site_id=row.dataset.site_id,
            state=state, candidate=str(candidate or ""),
        )  # fmt: skip
    return state


def folder_of(training_id: uuid.UUID) -> Path:
    """Where a training keeps its images, its run and its version."""
    return tidying.folders() / str(training_id)


def model_name(training: Training) -> str:
    """The model of which each retraining is the next version: a site's own, of a modality."""
    said = f"{training.dataset.site.code}_{training.dataset.modality}".lower()
    return "hospital_" + re.sub(r"[^a-z0-9]+", "_", said).strip("_")


@transaction.atomic
def _claim() -> Training | None:
    found = (
        Training.objects.select_for_update(of=("self",), skip_locked=True)
        .select_related("dataset__site")
        .filter(Q(state=State.WAITING) | lost())
        .order_by("asked_at", "pk")
        .first()
    )
    if found is not None:
        found.state, found.seen_at, found.holder = State.RUNNING, timezone.now(), uuid.uuid4()
        found.save(update_fields=["state", "seen_at", "holder"])
    return found


def _actor(training: Training) -> Actor:
    return Actor(label="system:training", site_id=training.dataset.site_id)


class _Run:
    """One training on its way."""

    def __init__(self, training: Training) -> None:
        self.training = training
        self.folder = folder_of(training.pk)
        self.tree, self.run, self.store = (self.folder / name for name in ("tree", "run", "store"))

    def whole(self) -> ModelVersion:
        """Every step that is not done yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._needs_the_laboratory()
        if not os.access(settings.MODEL_STORE, os.W_OK):  # known before hours are spent
            raise Failed(
                "The model store of this installation cannot be written: name one that can in CAD_MODEL_STORE."
            )
        if not self.tree.exists():
            self._tell(Step.EXPORTING)
            exporting.export(
                _actor(self.training), self.training.dataset, self.tree,
                lambda done, of: self._alive(f"{done} / {of}") if done % 20 == 0 else None,
            )  # fmt: skip
        name = model_name(self.training)
        recipe = self.folder / "recipe.yaml"
        recipe.write_text(f"extends: {self.training.recipe}\nid: {name}\ndata: {{dataset: hospital}}\n")
        variant = ["--variant", self.training.variant] if self.training.variant else []
        data = ["--data", str(self.tree), "--threads", "1"]
        self._tell(Step.LEARNING)
        self._laboratory("train", str(recipe), *variant, "--run", str(self.run), *data)
        self._tell(Step.PACKING)
        shutil.rmtree(self.store, ignore_errors=True)
        version = _next_version(name)
        self._laboratory(
            "export",
            str(self.run),
            "--name",
            name,
            "--version",
            version,
            "--store",
            str(self.store),
            "--no-bundle",
            *data,
        )
        self._tell(Step.IMPORTING)
        packed = _packed(self.store / name / version, self.folder / "version.zip")
        # Whoever withdrew while it learned is in no version that the platform takes.
        if versions.withdrawn(self.training.dataset):
            raise Cancelled("A patient of this data set no longer consents: what was learned is not taken.")
        return importing.import_packed(Actor.system("training"), packed)

    def _needs_the_laboratory(self) -> None:
        try:
            found = self._child([settings.LABORATORY_PYTHON, "-c", "import torch"], self.folder / "torch.log")
        except OSError as error:
            raise Failed(f"{settings.LABORATORY_PYTHON} cannot be run ({error.strerror}).") from error
        if found:
            raise Failed(
                f"{settings.LABORATORY_PYTHON} has no PyTorch: install requirements-laboratory.lock there, or name the "
                "Python of the laboratory's environment in CAD_LABORATORY_PYTHON."
            )

    def _laboratory(self, *arguments: str) -> None:
        """Run a command of the laboratory to its end."""
        log = self.folder / f"{arguments[0]}.log"
        if ended := self._child([settings.LABORATORY_PYTHON, "-m", "inference", *arguments], log):
            raise Failed(_last_words(log) or f"The laboratory ended with {ended}.")

    def _child(self, command: list[str], log: Path) -> int:
        """How a process ended. Its last words are told meanwhile; it is ended where somebody wants it to end."""
        with log.open("wb") as words:
            child = subprocess.Popen(
                command, cwd=settings.BASE_DIR, env=_environment(), stdin=subprocess.DEVNULL, stdout=words,
                stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=end_with_parent(os.getpid()),
            )  # fmt: skip
        try:
            while child.poll() is None:
                time.sleep(_EVERY)
                self._alive(_last_words(log))
        finally:
            _end(child)
        return child.returncode

    def _tell(self, step: str) -> None:
        self._alive("")
        self._rows().update(step=step)

    def _alive(self, progress: str) -> None:
        """Say that it is, and how far. Raises `Cancelled`."""
        if not self._rows().update(seen_at=timezone.now(), progress=progress[:200]):
            raise Cancelled("")

    def _rows(self) -> QuerySet[Training]:
        """The row, as long as it is this process's and nobody wants it to end."""
        return Training.objects.filter(pk=self.training.pk, holder=self.training.holder, is_cancelled=False)


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    return {**kept, "PYTHONPATH": str(settings.BASE_DIR), "PYTHONUNBUFFERED": "1"}


def _next_version(name: str) -> str:
    """Above every version that is known or lies in the store; the first is 1.0.0."""
    known = list(ModelVersion.objects.filter(name=name).values_list("version", flat=True))
    known += [path.name for path in (Path(settings.MODEL_STORE) / name).glob("*.*.*")]
    numbers = [tuple(map(int, each.split("."))) for each in known if re.fullmatch(r"\d+\.\d+\.\d+", each)]
    if not numbers:
        return "1.0.0"
    major, minor, patch = max(numbers)
    return f"{major}.{minor}.{patch + 1}"


def _packed(version: Path, archive: Path) -> Path:
    with zipfile.ZipFile(archive, "w") as content:
        for path in sorted(version.rglob("*")):
            if path.is_file():
                content.write(path, path.relative_to(version))
    return archive


def _last_words(log: Path) -> str:
    """The last line of a log that is not empty; of one that rewrites itself what it says now."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        lines = re.split(r"[\r\n]+", file.read().decode("utf-8", "replace"))
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _end(child: subprocess.Popen[bytes]) -> None:
    """With everything that it has started; the run's folder holds what was learned so far."""
    if child.poll() is not None:
        return
    for how in (signal.SIGTERM, signal.SIGKILL):
        os.killpg(child.pid, how)
        try:
            child.wait(_ENDS_WITHIN)
            return
        except subprocess.TimeoutExpired:
            continue
