"""Who is asked: the two-class images of a set below a folder, with the rows that the frozen network sees in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.challenges.embeddings import Rows, View, embedded
from inference.challenges.report import ChallengeError
from inference.datasets.catalogue import DATASETS
from inference.datasets.sample import Sample, grouped_folds
from inference.evaluation import bootstrap, metrics

#: Fields of tissue are 50 px wide: enlarged further they only cost more.
_SIDES = {"idc": 96}


@dataclass(frozen=True)
class Cohort:
    """N images: what they are, the truth (True for the set's positive class), the group that no split divides, and the
    rows N×C that stand for them."""

    samples: tuple[Sample, ...]
    truth: NDArray[np.bool_]
    groups: tuple[str, ...]
    rows: Rows

    def __len__(self) -> int:
        return len(self.samples)

    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> Cohort:
        """Some of them, in that order."""
        chosen = [int(index) for index in indices]
        return Cohort(
            tuple(self.samples[i] for i in chosen), self.truth[chosen],
            tuple(self.groups[i] for i in chosen), self.rows[chosen],
        )  # fmt: skip

    def folds(self, number: int, seed: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Pairs of (train, held-out) indices, groups whole.

        Raises
        ------
        ChallengeError
            There are fewer groups than folds, or a fold lacks a class on one of its sides.
        """
        try:
            pairs = grouped_folds(self.samples, number, seed)
        except ValueError as error:
            raise ChallengeError(str(error)) from None
        for part in (self.truth[side] for pair in pairs for side in pair):
            if part.all() or not part.any():
                raise ChallengeError(f"{number} folds: one of them lacks a class; take fewer")
        return [(np.array(train), np.array(held)) for train, held in pairs]

    def counts(self, seed: int = 0) -> NDArray[np.int16]:
        """D×N: how often each image counts in draws of whole groups."""
        return bootstrap.draw_counts(self.groups, [str(true) for true in self.truth], seed=seed)


def side_of(dataset: str) -> int:
    """The square that a set's images are stretched to."""
    return _SIDES.get(dataset, 224)


def two_classes(data: Path, dataset: str) -> tuple[Sample, ...]:
    """A set's images of which the truth is known, from `data/dataset`, or from `data` itself.

    Raises
    ------
    ChallengeError
        There is no such set, or it holds only one class.
    DatasetError
        The folder is not that set.
    """
    if dataset not in DATASETS:
        raise ChallengeError(f"{dataset} is no set that is known; of {', '.join(DATASETS)}")
    folder = data / dataset if (data / dataset).is_dir() else data
    samples = tuple(s for s in DATASETS[dataset].read(folder).samples if s.label_binary is not None)
    if len({sample.label_binary for sample in samples}) < 2:
        raise ChallengeError(f"{folder} holds no images of two classes of {dataset}")
    return samples


def cohort(samples: Sequence[Sample], view: View) -> Cohort:
    """Samples of known truth with their rows."""
    truth = np.array([bool(sample.label_binary) for sample in samples])
    groups = tuple(f"{sample.dataset} {sample.group_id}" for sample in samples)
    return Cohort(tuple(samples), truth, groups, embedded(samples, view))


def auc(
    truth: NDArray[np.bool_], scores: NDArray[np.float64], counts: NDArray[np.int16]
) -> NDArray[np.float64]:
    """The AUC of all images once, then of each draw: 1 + D values; NaN where a draw lacks a class."""
    once = np.ones((1, len(truth)), np.int16)
    return bootstrap.evaluate(metrics.auc(truth, scores), np.concatenate([once, counts]))


def mean_known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean down the rows, of what is known; NaN where nothing is."""
    known = ~np.isnan(values)
    empty = np.full(values.shape[1], np.nan)
    return np.asarray(
        np.divide(
            np.where(known, values, 0.0).sum(axis=0), known.sum(axis=0), out=empty, where=known.any(axis=0)
        )
    )
