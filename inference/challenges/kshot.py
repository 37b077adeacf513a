"""How many labelled patients does a class need? Learning curves of a linear probe on frozen features.

In each fold the probe learns from k patients a class, drawn anew again and again, and is judged on the fold's held-out
patients, always the same ones. The scale of the features is learned from all images of the training side, labels aside:
in a hospital it is labels that are few, not images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.challenges.chart import Chart, Line
from inference.challenges.cohort import Cohort, auc, mean_known
from inference.challenges.probe import Scale, probabilities
from inference.challenges.report import ChallengeError, Figure, Table
from inference.evaluation.bootstrap import Floats

SHOTS = (1, 2, 5, 10, 20, 50)


@dataclass(frozen=True)
class Point:
    """What k labelled patients a class are worth (`shots` None: all of them): AUC an image, its shortfall from all, and
    between which AUCs the middle nine tenths of the draws fall."""

    shots: int | None
    images: float
    auc: Figure
    short_of_all: Figure
    luck: tuple[float, float]


def learning_curve(
    asked: Cohort, shots: Sequence[int] = SHOTS, draws: int = 20, folds: int = 5, seed: int = 0
) -> list[Point]:  # fmt: skip
    """One point for each of `shots` that every fold has patients for, and the last for all.

    The interval is over patients judged and over draws of patients learned from, drawn with replacement together.

    Raises
    ------
    ChallengeError
        No fold has so many as the fewest of `shots` patients of each class.
    """
    pairs = asked.folds(folds, seed)
    enough = min(len(names) for train, _ in pairs for names in _patients(asked, train))
    usable = sorted(k for k in set(shots) if k <= enough)
    if not usable:
        raise ChallengeError(f"{enough} patients of the rarer class are left to learn from, which is too few")
    counts = asked.counts(seed)
    taken = np.random.default_rng(seed).integers(0, draws, size=(len(counts), draws))
    # auc[k][draw]: 1 + D values, mean of the folds'; of all patients there is one draw only
    everything, used = _by_draws(asked, pairs, None, 1, counts, seed)
    found = [_point(None, used, everything, everything, np.zeros_like(taken[:, :1]))]
    for k in reversed(usable):
        own, used = _by_draws(asked, pairs, k, draws, counts, seed)
        found.append(_point(k, used, own, everything, taken))
    return found[::-1]


def _point(k: int | None, used: float, own: Floats, everything: Floats, taken: NDArray[np.int64]) -> Point:
    """`own`: draws × (1 + D). Of resample d the value is the mean over the draws `taken[d]`, on its patients."""
    resampled = np.array([own[chosen, 1 + d].mean() for d, chosen in enumerate(taken)])
    value = float(own[:, 0].mean())
    low, high = np.quantile(own[:, 0], (0.05, 0.95))
    return Point(
        k, used, Figure.of(value, resampled),
        Figure.of(value - float(everything[0, 0]), resampled - everything[0, 1:]), (float(low), float(high)),
    )  # fmt: skip


def _by_draws(
    asked: Cohort, pairs: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]], k: int | None, draws: int,
    counts: NDArray[np.int16], seed: int,
) -> tuple[Floats, float]:  # fmt: skip
    """draws × (1 + D) AUCs, each the mean of the folds'; and the mean number of images that were learned from."""
    found, used = [], []
    for draw in range(draws):
        of_folds = []
        for fold, (train, held) in enumerate(pairs):
            scale = Scale.of(asked.rows[train])
            generator = np.random.default_rng([seed, k or 0, draw, fold])
            chosen = train if k is None else drawn(asked, train, k, generator)
            said = probabilities(scale(asked.rows[chosen]), asked.truth[chosen], scale(asked.rows[held]))
            of_folds.append(auc(asked.truth[held], said, counts[:, held]))
            used.append(len(chosen))
        found.append(mean_known(np.stack(of_folds)))
    return np.stack(found), float(np.mean(used))


def _patients(asked: Cohort, train: NDArray[np.int64]) -> tuple[list[str], list[str]]:
    """The groups of the training side that have images of the negative and of the positive class."""
    names = [sorted({asked.groups[i] for i in train if asked.truth[i] == side}) for side in (False, True)]
    return names[0], names[1]


def drawn(
    asked: Cohort, train: NDArray[np.int64], k: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """The images of k groups of each class; of a group that is drawn for a class its images of that class alone."""
    chosen: list[int] = []
    for side, names in zip((False, True), _patients(asked, train), strict=True):
        own = set(generator.choice(names, size=k, replace=False).tolist())
        chosen += [int(i) for i in train if asked.truth[i] == side and asked.groups[i] in own]
    return np.array(chosen)


def table(points: Sequence[Point]) -> Table:
    """One row a number of patients."""
    return Table(
        "points", "AUC an image by labelled patients a class",
        ("patients a class", "images learned from", "AUC", "short of all", "nine tenths of the draws"),
        [
            (_words(point.shots), round(point.images, 1), point.auc, point.short_of_all,
             f"{point.luck[0]:.3f} to {point.luck[1]:.3f}" if point.shots else None)
            for point in points
        ],
    )  # fmt: skip


def chart(points: Sequence[Point], name: str) -> Chart:
    """The curve, by factors of patients; all of them stand one step after the last."""
    last = max(point.shots or 0 for point in points)
    where = {point.shots: float(point.shots or 2 * last) for point in points}
    line = Line(name, [(where[p.shots], p.auc.value, p.auc.low, p.auc.high) for p in points])
    return Chart(
        "learning_curve", f"Learning curve, {name}", "labelled patients a class", "AUC an image", [line],
        [(where[point.shots], _words(point.shots)) for point in points], logarithmic=True,
    )  # fmt: skip


def _words(shots: int | None) -> str:
    return "all" if shots is None else str(shots)
