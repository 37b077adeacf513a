"""Metrics as functions of how often each image counts, so that a thousand draws are a few array operations.

Every factory takes what was predicted and what is true of N images and returns a `Statistic`: D×N counts → D
values, NaN where a draw lacks what the metric needs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inference.evaluation.bootstrap import Floats, Statistic

Booleans = NDArray[np.bool_]


def _ratio(part: Floats, whole: Floats) -> Floats:
    empty = np.full(np.broadcast(part, whole).shape, np.nan)
    return np.asarray(np.divide(part, whole, out=empty, where=whole > 0), np.float64)


def _level_sums(
    truth: Booleans, scores: Floats, counts: Floats, order: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """Positives and negatives at each distinct score, D×L, in the order given; ties fall on one level."""
    ordered = scores[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    sorted_counts, sorted_truth = counts[:, order], truth[order]
    positives = np.add.reduceat(sorted_counts * sorted_truth, starts, axis=1)
    return positives, np.add.reduceat(sorted_counts * ~sorted_truth, starts, axis=1)


def auc(truth: Booleans, scores: Floats) -> Statistic:
    """Area under the ROC curve by ranks (Mann-Whitney, ties count half)."""
    order = np.argsort(scores, kind="stable")

    def statistic(counts: Floats) -> Floats:
        positives, negatives = _level_sums(truth, scores, counts, order)
        below = np.cumsum(negatives, axis=1) - negatives
        won = (positives * (below + negatives / 2)).sum(axis=1)
        return _ratio(won, positives.sum(axis=1) * negatives.sum(axis=1))

    return statistic


def average_precision(truth: Booleans, scores: Floats) -> Statistic:
    """Area under the precision-recall curve, as the sum of precision times the gain in recall."""
    order = np.argsort(-scores, kind="stable")

    def statistic(counts: Floats) -> Floats:
        positives, negatives = _level_sums(truth, scores, counts, order)
        found, false = np.cumsum(positives, axis=1), np.cumsum(negatives, axis=1)
        precision = np.nan_to_num(_ratio(found, found + false))
        return _ratio((positives * precision).sum(axis=1), found[:, -1])

    return statistic


def _rates(
    truth: Booleans, scores: Floats, counts: Floats, order: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    positives, negatives = _level_sums(truth, scores, counts, order)
    found, false = np.cumsum(positives, axis=1), np.cumsum(negatives, axis=1)
    return _ratio(found, found[:, -1:]), _ratio(false, false[:, -1:])


def sensitivity_at_specificity(truth: Booleans, scores: Floats, specificity: float) -> Statistic:
    """The highest sensitivity of any level whose specificity is at least that."""
    order = np.argsort(-scores, kind="stable")

    def statistic(counts: Floats) -> Floats:
        found, false = _rates(truth, scores, counts, order)
        best = np.where(false <= 1 - specificity + 1e-9, found, 0.0).max(axis=1)
        return np.where(np.isnan(found[:, -1]) | np.isnan(false[:, -1]), np.nan, best)

    return statistic


def specificity_at_sensitivity(truth: Booleans, scores: Floats, sensitivity: float) -> Statistic:
    """The highest specificity of any level whose sensitivity is at least that."""
    order = np.argsort(-scores, kind="stable")

    def statistic(counts: Floats) -> Floats:
        found, false = _rates(truth, scores, counts, order)
        best = np.where(found >= sensitivity - 1e-9, 1 - false, 0.0).max(axis=1)
        return np.where(np.isnan(found[:, -1]) | np.isnan(false[:, -1]), np.nan, best)

    return statistic


def share(hits: Booleans, among: Booleans | None = None) -> Statistic:
    """Share of `hits` among the images of `among` (all where None)."""
    counted = np.ones(len(hits), bool) if among is None else among
    return lambda counts: _ratio(counts @ (hits & counted).astype(float), counts @ counted.astype(float))


def mean(values: Floats) -> Statistic:
    """Mean of what is known; NaN stands for an image without a value (no outline to compare with)."""
    known = ~np.isnan(values)
    return lambda counts: _ratio(counts @ np.where(known, values, 0.0), counts @ known.astype(float))


def brier(truth: Booleans, chances: Floats) -> Statistic:
    """Mean squared error of the probability (Brier 1950)."""
    return mean((chances - truth) ** 2)


def calibration_error(truth: Booleans, chances: Floats, bins: int = 10) -> Statistic:
    """Expected calibration error over bins of equal width (Naeini 2015)."""
    own = np.eye(bins)[np.minimum((chances * bins).astype(int), bins - 1)]

    def statistic(counts: Floats) -> Floats:
        gaps = np.abs((counts * (chances - truth)) @ own)
        return _ratio(gaps.sum(axis=1), counts.sum(axis=1))

    return statistic


# --- several classes ---------------------------------------------------------------------------------------


def confusions(
    truth: Sequence[str], predicted: Sequence[str], classes: Sequence[str], counts: Floats
) -> Floats:
    """D×K×K: truth down, prediction across. Labels outside `classes` raise ValueError."""
    number = {name: index for index, name in enumerate(classes)}
    unknown = (set(truth) | set(predicted)) - set(number)
    if unknown:
        raise ValueError(f"{sorted(unknown)[0]} is none of {', '.join(classes)}")
    cells = [number[a] * len(classes) + number[b] for a, b in zip(truth, predicted, strict=True)]
    table = counts @ np.eye(len(classes) ** 2)[cells]
    return np.asarray(table.reshape(len(counts), len(classes), len(classes)), np.float64)


def balanced_accuracy(truth: Sequence[str], predicted: Sequence[str], classes: Sequence[str]) -> Statistic:
    """Mean of the classes' recalls, over the classes that occur."""

    def statistic(counts: Floats) -> Floats:
        table = confusions(truth, predicted, classes, counts)
        recalls = _ratio(np.diagonal(table, axis1=1, axis2=2), table.sum(axis=2))
        occurring = ~np.isnan(recalls)
        return _ratio(np.nan_to_num(recalls).sum(axis=1), occurring.sum(axis=1).astype(float))

    return statistic


def macro_f1(truth: Sequence[str], predicted: Sequence[str], classes: Sequence[str]) -> Statistic:
    """Mean F1 over the classes that occur as truth or prediction."""

    def statistic(counts: Floats) -> Floats:
        table = confusions(truth, predicted, classes, counts)
        both = table.sum(axis=1) + table.sum(axis=2)
        scores = _ratio(2 * np.diagonal(table, axis1=1, axis2=2), both)
        return _ratio(np.nan_to_num(scores).sum(axis=1), (both > 0).sum(axis=1).astype(float))

    return statistic


def mean_of_groups(hits: Booleans, owners: Sequence[str]) -> Statistic:
    """Mean over owners (patients) of the share of their images that are hits: BreakHis' patient recognition
    rate (Spanhol 2016). An owner's images must be drawn together."""
    sizes = Counter(owners)
    parts = np.array([1 / sizes[owner] for owner in owners])
    return lambda counts: _ratio(counts @ (parts * hits), counts @ parts)


# --- marks -------------------------------------------------------------------------------------------------

#: False marks an image at which the FROC score reads the sensitivity (Bejnordi 2017, CAMELYON16).
FROC_POINTS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


def found_at(
    marks: Sequence[Sequence[tuple[float, int]]], lesions: Sequence[int], false_marks: Sequence[float]
) -> Statistic:
    """Share of the lesions found at so many false marks an image, mean over `false_marks`.

    `marks` holds an image's (score, lesion hit or 0); a second mark on a found lesion is neither hit nor
    false.
    """
    table = sorted(
        ((score, image, lesion) for image, own in enumerate(marks) for score, lesion in own),
        key=lambda mark: -mark[0],
    )
    owner = np.array([image for _, image, _ in table], np.int64)
    scores = np.array([score for score, _, _ in table], np.float64)
    false = np.array([lesion == 0 for _, _, lesion in table], bool)
    seen: set[tuple[int, int]] = set()
    first = np.zeros(len(table), bool)
    for row, (_, image, lesion) in enumerate(table):
        first[row] = lesion > 0 and (image, lesion) not in seen
        seen.add((image, lesion))
    last_of_level = np.r_[scores[1:] != scores[:-1], True] if len(table) else np.zeros(0, bool)
    number = np.asarray(lesions, np.float64)

    def statistic(counts: Floats) -> Floats:
        whole, images = counts @ number, counts.sum(axis=1)
        if not len(table):
            return np.where(whole > 0, 0.0, np.nan)
        own = counts[:, owner]
        found = _ratio(np.cumsum(own * first, axis=1), whole[:, None])[:, last_of_level]
        wrong = (np.cumsum(own * false, axis=1) / images[:, None])[:, last_of_level]
        best = [np.where(wrong <= allowed + 1e-9, found, 0.0).max(axis=1) for allowed in false_marks]
        return np.where(whole > 0, np.mean(best, axis=0), np.nan)

    return statistic


def wilson(hits: int, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927), for counts too small to be drawn from.

    Raises
    ------
    ValueError
        No trials, or more hits than trials.
    """
    if not 0 <= hits <= trials or trials < 1:
        raise ValueError(f"{hits} of {trials} is no share")
    share_, square = hits / trials, z * z / trials
    middle = (share_ + square / 2) / (1 + square)
    half = z * np.sqrt(share_ * (1 - share_) / trials + square / (4 * trials)) / (1 + square)
    low = 0.0 if hits == 0 else float(middle - half)
    return low, 1.0 if hits == trials else float(middle + half)
