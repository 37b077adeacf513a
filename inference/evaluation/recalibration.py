"""A local recalibration, proposed and never applied: how far probabilities are off, and what would mend it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.contract import OPERATING_POINTS
from inference.evaluation import bootstrap, metrics
from inference.evaluation.calibration import fit_platt, operating_points, perfect_calibration
from inference.evaluation.shift import log_odds

_FOLDS = 5
Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True)
class Calibration:
    """How far probabilities are off: the expected calibration error, and what a perfectly calibrated model would read
    at this size (`floor` in the mean, `floor_95` in one set of twenty)."""

    ece: float
    floor: float
    floor_95: float
    brier: float
    said: float
    true: float

    @property
    def is_off(self) -> bool:
        return self.ece > self.floor_95


@dataclass(frozen=True)
class Proposal:
    """A local recalibration: p' = sigmoid(slope · log-odds + offset), and thresholds on p as the model says it. What it
    does is cross-fitted: each fold of patients is judged by what the other folds gave. Never applied by itself."""

    slope: float
    offset: float
    calibration: Calibration
    thresholds: dict[str, float]
    expected: dict[str, tuple[float, float]]


def calibration_of(positive: Booleans, chances: Floats) -> Calibration:
    """The calibration error beside what perfect calibration would read of the same probabilities."""
    perfect = perfect_calibration(positive, chances)
    return Calibration(
        ece=round(_of_all(metrics.calibration_error, positive, chances), 4),
        floor=perfect.expected,
        floor_95=perfect.p95,
        brier=round(_of_all(metrics.brier, positive, chances), 4),
        said=round(float(chances.mean()), 4),
        true=round(float(positive.mean()), 4),
    )


def _of_all(
    metric: Callable[[Booleans, Floats], bootstrap.Statistic], positive: Booleans, chances: Floats
) -> float:
    return bootstrap.of_all(metric(positive, chances), len(chances))


def propose(positive: Booleans, chances: Floats, patients: Sequence[str], seed: int = 0) -> Proposal | None:
    """A recalibration and thresholds of the local cases' own; None where a fold lacks a class."""
    fold = _folds(positive, patients, seed)
    odds = np.array([log_odds(float(chance)) for chance in chances])
    recalibrated = np.zeros(len(chances))
    called = {name: np.zeros(len(chances), bool) for name in OPERATING_POINTS}
    for number in range(_FOLDS):
        inside, outside = fold != number, fold == number
        if not outside.any():
            continue
        if positive[inside].all() or not positive[inside].any():
            return None
        platt = fit_platt(odds[inside], positive[inside])
        recalibrated[outside] = [platt(value) for value in odds[outside]]
        for name, level in operating_points(chances[inside], positive[inside]).items():
            called[name][outside] = chances[outside] >= level
    whole = fit_platt(odds, positive)
    return Proposal(
        slope=round(whole.slope, 4),
        offset=round(whole.offset, 4),
        calibration=calibration_of(positive, recalibrated),
        thresholds={name: round(level, 6) for name, level in operating_points(chances, positive).items()},
        expected={
            name: (round(float(own[positive].mean()), 4), round(float((~own)[~positive].mean()), 4))
            for name, own in called.items()
        },
    )


def _folds(positive: Booleans, patients: Sequence[str], seed: int) -> NDArray[np.int64]:
    """A fold an image; patients whole, those with and those without the disease dealt evenly."""
    ill: dict[str, bool] = {}
    for patient, own in zip(patients, positive.tolist(), strict=True):
        ill[patient] = ill.get(patient, False) or own
    generator = np.random.default_rng(seed)
    fold: dict[str, int] = {}
    for kind in (True, False):
        names = sorted(patient for patient, own in ill.items() if own is kind)
        for place, index in enumerate(generator.permutation(len(names))):
            fold[names[index]] = place % _FOLDS
    return np.array([fold[patient] for patient in patients], np.int64)
