"""What every champion's build shares: the plan of a run, and the writing of a finished model into the store."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from imaging.digest import sha256_of
from inference.champions.recipe import ChampionRecipe
from inference.contract import ModelManifest, WeightsFile
from inference.datasets.sample import Sample, grouped_folds
from inference.evaluation import left_out
from inference.evaluation.account import Account, write_account
from inference.evaluation.calibration import conformal_level, conformal_levels, operating_points
from inference.evaluation.folder import write_results
from inference.evaluation.records import PREDICTIONS, Record, write_records
from inference.evaluation.reference import make_reference
from inference.evaluation.results import Results
from inference.evaluation.training_manifest import write_training_manifest
from inference.runtime import custody
from inference.runtime.answer import write_answer
from inference.runtime.onnx_session import WEIGHTS, OnnxForward
from inference.runtime.store import MANIFEST, is_version, next_version
from inference.training.export import (
    THRESHOLDS,
    export_onnx,
    preprocessing_sha256,
)

INTENDED_USE = "Research only. Not a medical device; a clinician decides."
#: Where a version lies until all of it is written; nobody looks for versions there.
_UNFINISHED = ".unfinished"
_REPOSITORY = Path(__file__).resolve().parents[2]


class PlanError(Exception):
    """What was asked of a build cannot be done. The sentence names it."""


@dataclass(frozen=True)
class Plan:
    """What a build is decided by, and where it keeps its checkpoints. Without `refit` the network of the first fold is
    served, where figures come from folds."""

    data: Path
    run: Path
    store: Path
    version: str
    recipe: ChampionRecipe
    seed: int = 0
    refit: bool = True

    #: Stands in a manifest until the weights are there.
    unwritten_weights = WeightsFile(file=WEIGHTS, sha256=hashlib.sha256(b"").hexdigest())

    def folds(self, samples: Sequence[Sample]) -> list[tuple[list[int], list[int]]]:
        """The recipe's folds over groups: indices inside and outside."""
        assert self.recipe.protocol.folds is not None
        return grouped_folds(samples, self.recipe.protocol.folds, self.seed)

    def kept_part(self, samples: Sequence[Sample]) -> tuple[list[Sample], list[Sample]]:
        """What is fitted on, and the grouped part that is kept for calibration; nothing crosses the border."""
        assert self.recipe.protocol.kept_part is not None
        inside, outside = grouped_folds(samples, self.recipe.protocol.kept_part, self.seed)[0]
        return [samples[i] for i in inside], [samples[i] for i in outside]

    def novelty_limit(self, distances: NDArray[np.float64]) -> float:
        """Above it an image is out of distribution; from held-out images' distances."""
        gates = self.recipe.gates
        return float(np.quantile(distances, gates.novelty_quantile)) * gates.novelty_room

    def operating_points(self, chances: NDArray[np.float64], positive: NDArray[np.bool_]) -> dict[str, float]:
        """The recipe's, on held-out probabilities."""
        asked = self.recipe.calibrate
        return operating_points(chances, positive, asked.sensitivity, asked.specificity)

    def conformal_level(self, chances: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
        """At the recipe's coverage, on held-out probabilities N×K."""
        return conformal_level(chances, labels, self.recipe.calibrate.coverage)

    def conformal_levels(self, chances: NDArray[np.float64], labels: NDArray[np.int64]) -> tuple[float, ...]:
        """As `conformal_level`, one for each class."""
        return conformal_levels(chances, labels, self.recipe.calibrate.coverage)

    @staticmethod
    def digest(preprocessing: dict[str, object]) -> str:
        """Of a preprocessing's description."""
        return preprocessing_sha256(preprocessing)


@dataclass(frozen=True, eq=False)
class FoldNetwork:
    """A fold's network, and the samples that it never saw."""

    network: nn.Module
    held_out: Sequence[Sample]


class Recipe(Protocol):
    """Of either kind of recipe what is kept with a version."""

    @property
    def id(self) -> str: ...

    @property
    def hash(self) -> str: ...

    @property
    def canonical(self) -> str: ...


class Written(Protocol):
    """Where a version is written, and by which recipe it was made: a `Plan`, or an export of a run."""

    @property
    def store(self) -> Path: ...

    @property
    def version(self) -> str: ...

    @property
    def recipe(self) -> Recipe: ...


def refuse_known_version(model: str, plan: Written) -> None:
    """Before hours of training: what is registered under a version never changes.

    Raises
    ------
    PlanError
        The store has a folder of that version already, or it is no version number.
    """
    if not is_version(plan.version):
        raise PlanError(
            f"--version {plan.version} is no version number such as {next_version(model, plan.store)}"
        )
    if (plan.store / model / plan.version).exists():
        raise PlanError(
            f"the store has {model} {plan.version} already, and a version never changes: leave --version out for "
            f"{next_version(model, plan.store)}, or name another"
        )


def store_model(
    plan: Written, manifest: ModelManifest, network: nn.Module, examples: Sequence[Tensor], outputs: Sequence[str],
    seen: Sequence[Sample], records: Sequence[Record], account: Account, held: Sequence[Sample] = (),
    beside: Callable[[Path, ModelManifest, Results], object] = lambda *_: None, exact: bool = False,
    away: Sequence[Record] = (),
) -> ModelManifest:  # fmt: skip
    """Write everything that belongs to the model: weights, what the trained network answered, manifest, what it has
    `seen`, predictions of record, figures, card, what its images look like to it, and the custody record of all that.
    The version appears in the store when all of it is there. `held`: samples that predictions of record are of and that
    are not among those `seen`. `away`: predictions of networks of the same recipe that left something out. `beside`
    writes more into its folder before that is sealed.

    Returns
    -------
    ModelManifest
        The manifest with the digest of the weights.
    """
    folder = plan.store / _UNFINISHED / manifest.name / manifest.version
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    answer = export_onnx(network, examples, outputs, folder / WEIGHTS, exact=exact)
    write_answer(folder, answer)
    weights = WeightsFile(file=WEIGHTS, sha256=sha256_of(folder / WEIGHTS))
    finished = manifest.model_copy(update={"weights": weights})
    (folder / MANIFEST).write_text(finished.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (folder / THRESHOLDS).write_text(json.dumps(finished.thresholds, indent=2) + "\n", encoding="utf-8")
    write_training_manifest(folder, seen)
    write_records(folder / PREDICTIONS, records)
    left_out.write(folder, away)
    (folder / custody.RECIPE).write_text(plan.recipe.canonical, encoding="utf-8")
    write_account(folder, replace(account, recipe=plan.recipe.id, recipe_sha256=plan.recipe.hash))
    make_reference(finished, OnnxForward(folder / WEIGHTS), folder, records, (*seen, *held))
    beside(folder, finished, write_results(folder))
    custody.write(folder, sealed="when it was built", code=code_commit())
    (plan.store / manifest.name).mkdir(parents=True, exist_ok=True)
    folder.rename(plan.store / manifest.name / manifest.version)
    for emptied in (folder.parent, plan.store / _UNFINISHED):
        with suppress(OSError):  # another build's version still lies there
            emptied.rmdir()
    return finished


def code_commit() -> str:
    """The commit that is checked out, `+` behind it where tracked code was changed since; else that it is not
    recorded."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=_REPOSITORY, capture_output=True, text=True, check=True, timeout=30
        ).stdout.strip()

    try:
        commit = git("rev-parse", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no", "--", "inference", "imaging")
    except (OSError, subprocess.SubprocessError):
        return custody.NOT_RECORDED
    return f"{commit}{'+' if changed else ''}"
