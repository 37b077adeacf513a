"""The champions by name: how each is built, and how one of its folds is trained again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from inference.champions.histopathology import build as build_histopathology
from inference.champions.mammography import build as build_mammography
from inference.champions.plan import Plan, PlanError
from inference.champions.ultrasound import build as build_ultrasound
from inference.contract import ModelManifest
from inference.evaluation.records import Record

__all__ = ["BUILDERS", "Plan", "fit_final", "retrain_fold"]

BUILDERS: dict[str, Callable[[Plan], ModelManifest]] = {
    "ultrasound": build_ultrasound.build,
    "mammography": build_mammography.build,
    "histopathology": build_histopathology.build,
}


def fit_final(model: str, plan: Plan) -> Path:
    """The weights of the network that is served where figures come from folds; a full build goes on from its run.

    Raises:
        PlanError: the model has no fit apart from that behind its figures.
    """
    if model == "ultrasound":
        return build_ultrasound.fit_final(plan)
    raise PlanError(f"{model} serves the network that its figures were measured with: leave --final-only out")


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
