"""Outcomes of checks, image by image, and what is said of them: a mean with its interval over groups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from inference.evaluation.bootstrap import DRAWS, draw_counts, interval


@dataclass(frozen=True)
class Outcome:
    """What one check of one method gave on one image; `chance` is what a map that knows nothing would give."""

    check: str
    method: str
    image: str
    group: str
    value: float
    chance: float = 0.0


@dataclass(frozen=True)
class Measured:
    """The mean of a check's outcomes, its 95 % interval `low`–`high` (percentile bootstrap over groups), and what
    chance would give."""

    check: str
    method: str
    images: int
    groups: int
    value: float
    low: float
    high: float
    chance: float

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def summarise(outcomes: Sequence[Outcome], seed: int = 0) -> list[Measured]:
    """One line for each check and method, in the order of their first outcome. Outcomes of several folds are
    pooled by joining their lists."""
    sorted_out: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        sorted_out[outcome.check, outcome.method].append(outcome)
    return [_measured(check, method, found, seed) for (check, method), found in sorted_out.items()]


def _measured(check: str, method: str, outcomes: Sequence[Outcome], seed: int) -> Measured:
    values = np.array([outcome.value for outcome in outcomes])
    counts = draw_counts([outcome.group for outcome in outcomes], [""] * len(outcomes), DRAWS, seed)
    means = (counts @ values) / counts.sum(axis=1)
    low, high = interval(means)
    return Measured(
        check,
        method,
        len(outcomes),
        len({outcome.group for outcome in outcomes}),
        round(float(values.mean()), 4),
        round(low, 4),
        round(high, 4),
        round(float(np.mean([outcome.chance for outcome in outcomes])), 4),
    )
