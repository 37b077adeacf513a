"""Filters: columns judged by the labels alone, without a classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_selection import mutual_info_classif

from inference.blocks.learned import Rows, checked_rows, groups_seen
from inference.blocks.registry import block
from inference.blocks.selection.selector import Numbers, Selector


@block("select", "none")
class KeepAll(Selector):
    """Every column stays, constant ones too."""

    def fit(self, rows: Any, labels: Any, groups: Sequence[Any] | None = None) -> Self:
        table, _ = checked_rows(rows, labels)
        self.support_ = np.ones(table.shape[1], bool)
        self.fitted_on = groups_seen(groups)
        return self


@block("select", "information_gain")
class InformationGain(Selector):
    """The `keep` columns with the highest mutual information with the label (Kraskov's estimate, 3
    neighbours)."""

    def __init__(self, keep: int = 50, seed: int = 0) -> None:
        self.keep = keep
        self.seed = seed

    def _pick(self, rows: Rows, numbers: Numbers, groups: Sequence[Any] | None) -> Numbers:
        if np.bincount(numbers).max() < 2:
            raise ValueError("information_gain: every class has a single row, of which nothing can be said")
        gain = mutual_info_classif(rows, numbers, random_state=self.seed)
        return np.asarray(np.argsort(-gain, kind="stable")[: self.keep])


@block("select", "mrmr")
class MinimumRedundancy(Selector):
    """Minimum redundancy, maximum relevance (Ding and Peng 2005), in the difference form.

    One column after the other, up to `keep`: the most information on the label minus the mean information on
    the columns already taken. Both are those of normal variables, −½ log(1 − r²), with the label's share of
    explained variance for r².
    """

    def __init__(self, keep: int = 50) -> None:
        self.keep = keep

    def _pick(self, rows: Rows, numbers: Numbers, groups: Sequence[Any] | None) -> Numbers:
        standard = (rows - rows.mean(axis=0)) / rows.std(axis=0)
        explained = np.zeros(rows.shape[1])
        for label in np.unique(numbers):
            own = numbers == label
            explained += own.mean() * standard[own].mean(axis=0) ** 2
        relevance = _information(explained)
        taken = [int(np.argmax(relevance))]
        redundancy = np.zeros(rows.shape[1])
        while len(taken) < min(self.keep, rows.shape[1]):
            redundancy += _information((standard.T @ standard[:, taken[-1]] / len(rows)) ** 2)
            worth = relevance - redundancy / len(taken)
            worth[taken] = -np.inf
            taken.append(int(np.argmax(worth)))
        return np.asarray(taken)


def _information(explained: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(-0.5 * np.log(1 - np.clip(explained, 0, 1 - 1e-9)), np.float64)


@block("select", "relieff")
class ReliefF(Selector):
    """ReliefF (Kononenko 1994): columns that differ from near rows of other classes and not from those of
    one's own. `neighbours` hits and misses of each class, over at most `rows_asked` rows drawn by seed."""

    def __init__(self, keep: int = 50, neighbours: int = 10, rows_asked: int = 500, seed: int = 0) -> None:
        self.keep = keep
        self.neighbours = neighbours
        self.rows_asked = rows_asked
        self.seed = seed

    def _pick(self, rows: Rows, numbers: Numbers, groups: Sequence[Any] | None) -> Numbers:
        scaled = (rows - rows.min(axis=0)) / np.ptp(rows, axis=0)
        prior = np.bincount(numbers) / len(numbers)
        weights = np.zeros(rows.shape[1])
        names = None if groups is None else np.asarray([str(group) for group in groups])
        asked = np.random.default_rng(self.seed).permutation(len(rows))[: self.rows_asked]
        for row in asked:
            difference = np.abs(scaled - scaled[row])
            distance = difference.sum(axis=1)
            # A patient's other images are near for a reason that has nothing to do with the label.
            distance[row if names is None else names == names[row]] = np.inf
            for label in range(len(prior)):
                near = self._near(distance, numbers == label)
                if not near.size:
                    continue
                mean = difference[near].mean(axis=0)
                own = label == numbers[row]
                weights += -mean if own else mean * prior[label] / (1 - prior[numbers[row]])
        return np.asarray(np.argsort(-weights, kind="stable")[: self.keep])

    def _near(self, distance: NDArray[np.float64], members: NDArray[np.bool_]) -> Numbers:
        candidates = np.flatnonzero(members & np.isfinite(distance))
        return np.asarray(candidates[np.argsort(distance[candidates], kind="stable")[: self.neighbours]])
