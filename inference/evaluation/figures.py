"""Figures with intervals: each is computed again on groups drawn with replacement."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from inference.evaluation.detection import Mark, froc
from inference.evaluation.records import Record

DRAWS = 1000
_Statistic = Callable[[Sequence[Record]], float]


@dataclass(frozen=True)
class Figure:
    """One number of the card: its value, its 95 % interval over groups, and what it was measured on."""

    name: str
    value: float
    low: float
    high: float
    images: int
    groups: int
    meaning: str

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def figure(
    name: str, meaning: str, records: Sequence[Record], statistic: _Statistic, seed: int = 0
) -> Figure:
    """`statistic` over `records` with a percentile bootstrap over groups; draws that it cannot be computed on
    (one class missing) are left out.

    Raises:
        ValueError: the statistic cannot be computed on the records themselves.
    """
    value = statistic(records)
    if np.isnan(value):
        raise ValueError(f"{name} cannot be computed: a class is missing")
    by_group: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_group[f"{record.dataset} {record.group}"].append(record)
    groups = list(by_group.values())
    generator = np.random.default_rng(seed)
    draws = []
    for _ in range(DRAWS):
        chosen = generator.integers(0, len(groups), len(groups))
        draws.append(statistic([record for index in chosen for record in groups[index]]))
    low, high = np.nanquantile(draws, (0.025, 0.975))
    return Figure(
        name,
        round(value, 4),
        round(float(low), 4),
        round(float(high), 4),
        len(records),
        len(groups),
        meaning,
    )


def auc(positive: Callable[[Record], bool], score: Callable[[Record], float]) -> _Statistic:
    """Area under the ROC curve; NaN where a class is missing."""

    def statistic(records: Sequence[Record]) -> float:
        truth = np.array([positive(record) for record in records])
        if truth.all() or not truth.any():
            return float("nan")
        return float(roc_auc_score(truth, [score(record) for record in records]))

    return statistic


def average_precision(positive: Callable[[Record], bool], score: Callable[[Record], float]) -> _Statistic:
    """Area under the precision-recall curve; NaN without positives."""

    def statistic(records: Sequence[Record]) -> float:
        truth = np.array([positive(record) for record in records])
        if not truth.any():
            return float("nan")
        return float(average_precision_score(truth, [score(record) for record in records]))

    return statistic


def sensitivity(
    positive: Callable[[Record], bool], score: Callable[[Record], float], level: float
) -> _Statistic:
    """Share of the positives at or above `level`; NaN without positives."""

    def statistic(records: Sequence[Record]) -> float:
        found = [score(record) >= level for record in records if positive(record)]
        return float(np.mean(found)) if found else float("nan")

    return statistic


def specificity(
    positive: Callable[[Record], bool], score: Callable[[Record], float], level: float
) -> _Statistic:
    """Share of the negatives below `level`; NaN without negatives."""
    return sensitivity(lambda record: not positive(record), lambda record: -score(record), -level + 1e-12)


def brier(positive: Callable[[Record], bool], score: Callable[[Record], float]) -> _Statistic:
    """Mean squared error of the probability (Brier 1950)."""
    return lambda records: float(np.mean([(score(r) - float(positive(r))) ** 2 for r in records]))


def calibration_error(positive: Callable[[Record], bool], score: Callable[[Record], float]) -> _Statistic:
    """Expected calibration error over ten bins of equal width (Naeini 2015)."""

    def statistic(records: Sequence[Record]) -> float:
        chances: NDArray[np.float64] = np.array([score(record) for record in records])
        truth = np.array([float(positive(record)) for record in records])
        bins = np.minimum((chances * 10).astype(int), 9)
        return float(
            sum(
                abs(chances[bins == number].mean() - truth[bins == number].mean()) * np.mean(bins == number)
                for number in np.unique(bins)
            )
        )

    return statistic


def mean_dice(records: Sequence[Record]) -> float:
    """Mean Dice over images whose truth has an outline; NaN where none has."""
    values = [record.dice for record in records if record.dice is not None]
    return float(np.mean(values)) if values else float("nan")


def found_at(marks_per_image: float) -> _Statistic:
    """Lesion sensitivity at that many false marks an image."""

    def statistic(records: Sequence[Record]) -> float:
        lesions = sum(record.lesions for record in records)
        marks = [
            Mark(number, score, frozenset({lesion}) if lesion else frozenset())
            for number, record in enumerate(records)
            for score, lesion in record.marks
        ]
        return froc(marks, lesions, len(records)).at(marks_per_image)[0] if lesions else float("nan")

    return statistic


def accuracy(records: Sequence[Record]) -> float:
    """Share of images whose most probable class is the truth."""
    return float(
        np.mean([max(r.probabilities, key=lambda k: r.probabilities[k]) == r.label for r in records])
    )
