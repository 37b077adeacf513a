"""The champions by name: how each is built, and how one of its folds is trained again."""

from __future__ import annotations

from collections.abc import Callable

from inference.contract import ModelManifest
from inference.evaluation.records import Record
from inference.training import build_histopathology, build_mammography, build_ultrasound
from inference.training.plan import Plan

__all__ = ["BUILDERS", "Plan", "retrain_fold"]

BUILDERS: dict[str, Callable[[Plan], ModelManifest]] = {
    "ultrasound": build_ultrasound.build,
    "mammography": build_mammography.build,
    "histopathology": build_histopathology.build,
}


def retrain_fold(model: str, fold: int, plan: Plan) -> list[Record]:
    """The fold's out-of-fold predictions by a network trained anew in `plan.run`.

    Raises:
        ValueError: the model's figures do not come from folds.
    """
    if model == "ultrasound":
        return build_ultrasound.retrain_fold(fold, plan)
    if model == "mammography":
        return build_mammography.retrain_fold(fold, plan)
    raise ValueError(f"the figures of {model} come from val, not from folds")
