"""What every champion's build shares: the plan of a run, and the writing of a finished model into the store."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from imaging.digest import sha256_of
from inference.contract import ModelManifest, WeightsFile
from inference.datasets.sample import Sample
from inference.evaluation.account import Account, write_account
from inference.evaluation.folder import write_results
from inference.evaluation.records import PREDICTIONS, Record, write_records
from inference.evaluation.training_manifest import write_training_manifest
from inference.runtime.answer import write_answer
from inference.runtime.onnx_session import WEIGHTS
from inference.runtime.store import MANIFEST, is_version, next_version
from inference.training.export import (
    THRESHOLDS,
    export_onnx,
    preprocessing_sha256,
)

GREY_COLOUR_LIMIT = 0.06
INTENDED_USE = "Research only. Not a medical device; a clinician decides."
#: Where a version lies until all of it is written; nobody looks for versions there.
_UNFINISHED = ".unfinished"
#: The novelty gate lets this share of held-out training images through, …
_NOVELTY_QUANTILE = 0.99
#: … and this much more, because held-out folds are small and other hospitals' machines differ a little.
_NOVELTY_ROOM = 1.15


class PlanError(Exception):
    """A recipe sets what its model's training does not know. The sentence names it."""


Settings = TypeVar("Settings")


@dataclass(frozen=True)
class Plan:
    """What a build is decided by, and where it keeps its checkpoints.

    `modality`: the DICOM code of the studies that the model serves. `settings`: the recipe's own, in place of the
    defaults. Without `refit` the network of the first fold is served, where figures come from folds. `recipe` and its
    digest go into the card."""

    data: Path
    run: Path
    store: Path
    version: str
    modality: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    recipe: str = ""
    recipe_sha256: str = ""
    refit: bool = True

    #: Stands in a manifest until the weights are there.
    unwritten_weights = WeightsFile(file=WEIGHTS, sha256=hashlib.sha256(b"").hexdigest())

    def settings_of(self, kind: Callable[..., Settings]) -> Settings:
        """The recipe's settings as the `Settings` of a training module.

        Raises
        ------
        PlanError
            A setting that it does not have.
        """
        try:
            return kind(**self.settings)
        except TypeError as error:
            raise PlanError(f"{self.recipe or 'the recipe'}: train: {error}") from None

    @staticmethod
    def digest(preprocessing: dict[str, object]) -> str:
        return preprocessing_sha256(preprocessing)


@dataclass(frozen=True, eq=False)
class FoldNetwork:
    """A fold's network, and the samples that it never saw."""

    network: nn.Module
    held_out: Sequence[Sample]


def refuse_known_version(model: str, plan: Plan) -> None:
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


def novelty_limit(distances: NDArray[np.float64]) -> float:
    """Above it an image is out of distribution; from held-out images' distances."""
    return float(np.quantile(distances, _NOVELTY_QUANTILE)) * _NOVELTY_ROOM


def store_model(
    plan: Plan, manifest: ModelManifest, network: nn.Module, examples: Sequence[Tensor], outputs: Sequence[str],
    seen: Sequence[Sample], records: Sequence[Record], account: Account,
) -> ModelManifest:  # fmt: skip
    """Write everything that belongs to the model: weights, what the trained network answered, manifest, what it has
    `seen`, predictions of record, figures and card. The version appears in the store when all of it is there.

    Returns
    -------
    ModelManifest
        The manifest with the digest of the weights.
    """
    folder = plan.store / _UNFINISHED / manifest.name / manifest.version
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    answer = export_onnx(network, examples, outputs, folder / WEIGHTS)
    write_answer(folder, answer)
    weights = WeightsFile(file=WEIGHTS, sha256=sha256_of(folder / WEIGHTS))
    finished = manifest.model_copy(update={"weights": weights})
    (folder / MANIFEST).write_text(finished.model_dump_json(indent=2) + "\n", encoding="utf-8")
    (folder / THRESHOLDS).write_text(json.dumps(finished.thresholds, indent=2) + "\n", encoding="utf-8")
    write_training_manifest(folder, seen)
    write_records(folder / PREDICTIONS, records)
    write_account(folder, replace(account, recipe=plan.recipe, recipe_sha256=plan.recipe_sha256))
    write_results(folder)
    (plan.store / manifest.name).mkdir(exist_ok=True)
    folder.rename(plan.store / manifest.name / manifest.version)
    shutil.rmtree(plan.store / _UNFINISHED)
    return finished


def settings_in_words(settings: Any) -> dict[str, str]:
    """A `Settings` in words, for the card."""
    return {name.replace("_", " "): str(value) for name, value in asdict(settings).items()}
