"""DeLong's test: are two AUCs on the same images equal?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.evaluation.bootstrap import Floats

Booleans = NDArray[np.bool_]
_NORMAL_95 = 1.959963984540054


@dataclass(frozen=True)
class DeLong:
    """AUCs of two scores on the same images, and the two-sided test that they are equal."""

    first: float
    second: float
    standard_error: float
    z: float
    p: float


def midranks(values: Floats) -> Floats:
    """Ranks from 1 on; equal values share the mean of theirs."""
    _, own, sizes = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(sizes)
    return np.asarray((last - (sizes - 1) / 2)[own], np.float64)


def placements(truth: Booleans, scores: Floats) -> tuple[Floats, Floats]:
    """The share of negatives below each positive, and of positives above each negative (ties half): the
    structural components of DeLong 1988, by midranks (Sun and Xu 2014).

    Raises
    ------
    ValueError
        One of the two classes is absent.
    """
    positives, negatives = scores[truth], scores[~truth]
    if not len(positives) or not len(negatives):
        raise ValueError("DeLong's test needs both classes")
    together = midranks(np.r_[positives, negatives])
    above = (together[: len(positives)] - midranks(positives)) / len(negatives)
    below = 1 - (together[len(positives) :] - midranks(negatives)) / len(positives)
    return above, below


def auc_covariance(truth: Booleans, scores: Sequence[Floats]) -> tuple[Floats, Floats]:
    """AUCs of k scores of the same images and their k×k covariance (DeLong 1988). Images count as
    independent; NaN covariance with fewer than two images of a class."""
    parts = [placements(truth, score) for score in scores]
    above, below = np.stack([a for a, _ in parts]), np.stack([b for _, b in parts])
    if above.shape[1] < 2 or below.shape[1] < 2:
        return above.mean(axis=1), np.full((len(scores), len(scores)), np.nan)
    spread = np.atleast_2d(np.cov(above)) / above.shape[1] + np.atleast_2d(np.cov(below)) / below.shape[1]
    return above.mean(axis=1), spread


def auc_interval(area: float, variance: float, positives: int, negatives: int) -> tuple[float, float]:
    """95 % interval of one AUC, cut off at 0 and 1: normal, of DeLong's variance. Where the scores part the classes
    wholly there is no variance to speak of, and so few images may have been lucky: then the bound is the AUC at which
    they would just be that lucky (Newcombe 2006, Statistics in Medicine 25:559, method 5; cautious where the scores of
    a class are normal). All that may be, of one image of a class, which has no variance."""
    if math.isnan(variance):
        return 0.0, 1.0
    if 0 < area < 1:
        half = _NORMAL_95 * math.sqrt(max(variance, 0.0))
        return max(0.0, area - half), min(1.0, area + half)
    bound = _unseen(positives, negatives)
    return (1 - bound, 1.0) if area else (0.0, bound)


def _unseen(positives: int, negatives: int) -> float:
    """The largest 1 − AUC at which no wrongly ordered pair among so many images is no surprise."""
    from scipy.optimize import brentq

    extra = (positives + negatives) / 2 - 1

    def surprise(wrong: float) -> float:
        right = 1 - wrong
        spread = right * (1 + extra * wrong / (1 + wrong) + extra * right / (1 + right))
        return wrong - _NORMAL_95**2 * spread / (positives * negatives)

    return float(brentq(surprise, 0.0, 1.0))


def delong(truth: Booleans, first: Floats, second: Floats) -> DeLong:
    """DeLong's test for two correlated AUCs. Scores that rank alike have z = 0 and p = 1."""
    areas, spread = auc_covariance(truth, (first, second))
    variance = max(float(spread[0, 0] + spread[1, 1] - 2 * spread[0, 1]), 0.0)
    gap, error = float(areas[0] - areas[1]), math.sqrt(variance)
    if error < 1e-12:
        z = 0.0 if abs(gap) < 1e-12 else math.copysign(math.inf, gap)
    else:
        z = gap / error
    return DeLong(float(areas[0]), float(areas[1]), error, z, math.erfc(abs(z) / math.sqrt(2)))
