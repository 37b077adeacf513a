"""A small network answers the easy cases, a large one the rest: what accuracy costs in arithmetic.

A case is easy where the small network is sure: its probability lies further from a half than a threshold. The
threshold is chosen in the training fold, from what both networks say out of inner folds: the one that asks the large
network least while the AUC stays within `TOLERANCE` of asking it always. Held-out patients have no part in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from inference.challenges.chart import Chart, Line
from inference.challenges.cohort import Cohort, auc
from inference.challenges.probe import Scale, probabilities
from inference.challenges.report import Figure, Table
from inference.evaluation import bootstrap, metrics

#: How much AUC the inner folds may show as lost.
TOLERANCE = 0.005
#: Shares of cases that go on to the large network, for the curve.
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Point:
    """Asked for a share of cases (`wanted`; None: by the threshold that the training folds chose): what share went on,
    millions of multiply-adds an image, AUC, accuracy at a half, and the AUC minus that of the large network alone."""

    wanted: float | None
    went_on: float
    millions: float
    auc: Figure
    accuracy: Figure
    against_large: Figure


def curve(small: Cohort, large: Cohort, cost: tuple[int, int], folds: int = 5, seed: int = 0) -> list[Point]:
    """The same images as the two networks see them; `cost` in multiply-adds an image.

    Of each share the threshold is the quantile of the inner folds' certainty, never of the held-out patients'.
    """
    truth, counts = small.truth, small.counts(seed)
    said: dict[float | None, Floats] = {wanted: np.zeros(len(truth)) for wanted in (*SHARES, None)}
    went_on = {wanted: np.zeros(len(truth), bool) for wanted in said}
    for train, held in small.folds(folds, seed):
        inner = _inner(small.take(train), large.take(train))
        quick, slow = (_learned(c.rows[train], truth[train], c.rows[held]) for c in (small, large))
        thresholds: dict[float | None, float] = {share: _quantile(inner[0], share) for share in SHARES}
        chosen: dict[float | None, float] = {
            **thresholds,
            None: choose(truth[train], inner, list(thresholds.values())),
        }
        for wanted, threshold in chosen.items():
            merged, asked = cascaded((quick, slow), threshold)
            said[wanted][held], went_on[wanted][held] = merged, asked
    alone = auc(truth, said[1.0], counts)
    found = []
    for wanted, scores in said.items():
        own = auc(truth, scores, counts)
        right = (scores >= 0.5) == truth
        rate = bootstrap.evaluate(metrics.share(right), counts)
        share = float(went_on[wanted].mean())
        # who goes on has been looked at by both
        millions = (cost[0] + share * cost[1]) / 1e6
        found.append(
            Point(
                wanted, share, millions, Figure.of(float(own[0]), own[1:]),
                Figure.of(float(right.mean()), rate), Figure.of(float((own - alone)[0]), (own - alone)[1:]),
            )
        )  # fmt: skip
    return found


def cascaded(answers: tuple[Floats, Floats], threshold: float) -> tuple[Floats, NDArray[np.bool_]]:
    """What the pair says, and who went on: those of whom the small network is less sure than `threshold`."""
    small, large = answers
    asked = np.abs(small - 0.5) < threshold
    return np.where(asked, large, small), asked


def choose(truth: NDArray[np.bool_], inner: tuple[Floats, Floats], thresholds: Sequence[float]) -> float:
    """The lowest threshold whose AUC on the inner folds is within `TOLERANCE` of asking the large network always."""
    once = np.ones((1, len(truth)))
    wanted = float(metrics.auc(truth, inner[1])(once)[0]) - TOLERANCE
    for threshold in sorted(thresholds):
        if float(metrics.auc(truth, cascaded(inner, threshold)[0])(once)[0]) >= wanted:
            return threshold
    return max(thresholds)


def _quantile(certain: Floats, share: float) -> float:
    """Below it lies that share of cases by their certainty; beyond all of them for 1."""
    if share == 1.0:
        return 1.0
    return float(np.quantile(np.abs(certain - 0.5), share)) if share else 0.0


def _learned(rows: Floats, truth: NDArray[np.bool_], asked: Floats) -> Floats:
    scale = Scale.of(rows)
    return probabilities(scale(rows), truth, scale(asked))


def _inner(small: Cohort, large: Cohort) -> tuple[Floats, Floats]:
    found = np.zeros((2, len(small)))
    for train, held in GroupKFold(3).split(small.rows, small.truth, small.groups):
        for row, own in enumerate((small, large)):
            found[row, held] = _learned(own.rows[train], own.truth[train], own.rows[held])
    return found[0], found[1]


def table(points: Sequence[Point]) -> Table:
    """A row a share, the chosen threshold last."""
    return Table(
        "points", "Accuracy against arithmetic",
        ("wanted to go on", "went on", "million multiply-adds", "AUC", "accuracy", "AUC minus the large network's"),
        [("chosen in training folds" if p.wanted is None else f"{p.wanted:.0%}", f"{p.went_on:.1%}",
          round(p.millions, 1), p.auc, p.accuracy, p.against_large) for p in points],
    )  # fmt: skip


def chart(points: Sequence[Point]) -> Chart:
    """AUC over arithmetic."""
    by_cost = sorted((p for p in points if p.wanted is not None), key=lambda point: point.millions)
    chosen = next(point for point in points if point.wanted is None)
    lines = [
        Line(name, [(p.millions, p.auc.value, p.auc.low, p.auc.high) for p in own])
        for name, own in (("by share", by_cost), ("chosen", [chosen]))
    ]
    ticks = [(p.millions, f"{p.millions:.0f}") for p in by_cost[:: max(1, len(by_cost) // 5)]]
    return Chart(
        "cascade",
        "Accuracy against arithmetic",
        "million multiply-adds an image",
        "AUC an image",
        lines,
        ticks,
    )
