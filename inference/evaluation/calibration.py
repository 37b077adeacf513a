"""Calibration and operating points, all fitted on samples outside the figure; serving applies what was fitted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from inference.contract import OPERATING_POINTS
from inference.runtime.calibration import Platt

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]
_DRAWS = 2000


def fit_platt(scores: Floats, positive: Booleans) -> Platt:
    """Maximum likelihood with Platt's smoothed targets; slope at least 0.

    Raises
    ------
    ValueError
        One of the two classes is absent.
    """
    (slope,), offset = fit_logistic(scores[:, None], positive)
    return Platt(slope, offset)


def fit_logistic(scores: Floats, positive: Booleans) -> tuple[tuple[float, ...], float]:
    """Platt's calibration of several scores together, N×K: none of the slopes is below 0, so that no score speaks
    against what it was made to find.

    Raises
    ------
    ValueError
        One of the two classes is absent.
    """
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        raise ValueError("calibration needs both classes")
    targets = np.where(positive, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    count = scores.shape[1]

    def loss(x: Floats) -> float:
        z = scores @ x[:count] + x[count]
        return float(np.mean(np.logaddexp(0, z) - targets * z))

    start = np.array([*[1 / count] * count, 0.0])
    bounds = [*[(1e-3, None)] * count, (None, None)]
    found = minimize(loss, start, method="L-BFGS-B", bounds=bounds).x
    return tuple(float(slope) for slope in found[:count]), float(found[count])


def fit_temperature(logits: Floats, labels: NDArray[np.int64]) -> float:
    """The divisor of N×K logits that minimises the cross-entropy (Guo 2017), between 0.2 and 10."""

    def loss(x: Floats) -> float:
        z = logits / np.exp(x[0])
        z = z - z.max(axis=1, keepdims=True)
        return float(np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(labels)), labels]))

    found = minimize(loss, np.array([0.0]), method="L-BFGS-B", bounds=[(np.log(0.2), np.log(10.0))])
    return float(np.exp(found.x[0]))


def fit_temperature_and_biases(
    logits: Floats, labels: NDArray[np.int64], least: float = 0.2
) -> tuple[float, Floats]:
    """The divisor of N×K logits, `least` to 10, and the number a class that is then added, their sum 0, which together
    minimise the cross-entropy (bias-corrected temperature scaling, Alexandari 2020). A class without an example keeps
    0."""
    present = np.unique(labels)

    def biases(x: Floats) -> Floats:
        full = np.zeros(logits.shape[1])
        full[present] = x[1:] - x[1:].mean()
        return full

    def loss(x: Floats) -> float:
        z = logits / np.exp(x[0]) + biases(x)
        z = z - z.max(axis=1, keepdims=True)
        return float(np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(labels)), labels]))

    bounds = [(np.log(least), np.log(10.0)), *[(-5.0, 5.0)] * len(present)]
    found = minimize(loss, np.zeros(1 + len(present)), method="L-BFGS-B", bounds=bounds)
    return float(np.exp(found.x[0])), biases(np.asarray(found.x, np.float64))


def operating_points(probabilities: Floats, positive: Booleans, sensitivity: float = 0.95,
                     specificity: float = 0.95) -> dict[str, float]:  # fmt: skip
    """`high_sensitivity`: the highest threshold that finds at least `sensitivity` of the positives;
    `high_specificity`: the lowest that clears at least `specificity` of the negatives; `balanced`: the
    largest sum of both (Youden 1950). "At or above" is positive. Ordered so that none crosses another."""
    at_positives = np.sort(probabilities[positive])
    at_negatives = np.sort(probabilities[~positive])
    high_sensitivity = float(at_positives[int(np.floor((1 - sensitivity) * len(at_positives)))])
    needed = int(np.ceil(specificity * len(at_negatives)))
    high_specificity = float(at_negatives[needed - 1]) + 1e-6
    candidates = np.unique(probabilities)
    gains = [
        np.mean(probabilities[positive] >= level) - np.mean(probabilities[~positive] >= level)
        for level in candidates
    ]
    balanced = float(candidates[int(np.argmax(gains))])
    low, middle, high = np.sort([high_sensitivity, balanced, min(high_specificity, 1.0)])
    return dict(zip(OPERATING_POINTS, (float(low), float(middle), float(high)), strict=True))


def conformal_level(probabilities: Floats, labels: NDArray[np.int64], coverage: float = 0.9) -> float:
    """Split conformal classification (Sadinle 2019): classes with a probability of at least this level form
    a set that holds the true class with `coverage`. `probabilities` N×K."""
    return _level(probabilities[np.arange(len(labels)), labels], coverage)


def conformal_levels(
    probabilities: Floats, labels: NDArray[np.int64], coverage: float = 0.9
) -> tuple[float, ...]:
    """As `conformal_level`, a level for each of the K classes: the set holds it with `coverage` among its own samples,
    the rare ones too, where one level for all may leave most of them out."""
    own = [probabilities[labels == number, number] for number in range(probabilities.shape[1])]
    return tuple(_level(each, coverage) for each in own)


def _level(chances: Floats, coverage: float) -> float:
    score = np.sort(1 - chances)
    rank = min(len(score) - 1, int(np.ceil((len(score) + 1) * coverage)) - 1)
    return float(1 - score[rank])


@dataclass(frozen=True)
class Perfect:
    """What stands beside an expected calibration error: it is never 0, however good the calibration, and the fewer the
    images the further from it.

    `expected`, `p95`: mean and 95th percentile of what perfectly calibrated predictions, these very ones, would read.
    `debiased`: the error less what chance alone adds to every bin.
    """

    expected: float
    p95: float
    debiased: float

    @property
    def in_words(self) -> str:
        above = "beyond" if self.debiased > 0 else "nothing beyond"
        return (
            f"perfect calibration would read {self.expected:.3f} at this size, one time in twenty {self.p95:.3f} or "
            f"more; {above} chance: {self.debiased:.3f}"
        )


def perfect_calibration(truth: Booleans, chances: Floats, bins: int = 10, seed: int = 0) -> Perfect:
    """What perfect calibration would read of these `chances` (N), over the bins of `metrics.calibration_error`.

    Truths are drawn anew with the chances themselves. Debiased bin by bin: the squared gap less the variance of a mean
    of so many truths (Ferro and Fricker 2012; Kumar 2019).
    """
    own = np.eye(bins)[np.minimum((chances * bins).astype(int), bins - 1)]
    drawn = np.random.default_rng(seed).random((_DRAWS, len(chances))) < chances
    read = np.abs((chances - drawn) @ own).sum(axis=1) / len(chances)
    counts, hits = own.sum(axis=0), truth @ own
    filled = counts > 0
    share = hits[filled] / counts[filled]
    gap = (chances @ own)[filled] / counts[filled] - share
    variance = np.where(counts[filled] > 1, share * (1 - share) / np.maximum(counts[filled] - 1, 1), gap**2)
    beyond = np.sqrt(np.maximum(gap**2 - variance, 0))
    return Perfect(
        expected=round(float(read.mean()), 4),
        p95=round(float(np.quantile(read, 0.95)), 4),
        debiased=round(float(beyond @ counts[filled]) / len(chances), 4),
    )
