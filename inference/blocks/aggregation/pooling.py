"""Instances' probabilities to a bag's, and instances' features to a bag's row, without anything to learn.

A bag is one image's patches, or one patient's images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from inference.blocks.registry import block

Bag = NDArray[np.float64]


class BagError(ValueError):
    """A bag from which nothing can be said. One sentence."""


def checked_bag(bag: Any) -> Bag:
    """n×d float64. Raises `BagError` for an empty bag or values that are not finite."""
    rows = np.asarray(bag, np.float64)
    if rows.ndim != 2 or not len(rows):
        raise BagError(f"a bag is one row an instance, at least one; this has the shape {rows.shape}")
    if not np.isfinite(rows).all():
        raise BagError("a bag's instance holds values that are not finite")
    return rows


@block("aggregate", "mean")
@dataclass(frozen=True)
class Mean:
    """Mean of the instances' probabilities."""

    kind: ClassVar[Literal["scores"]] = "scores"

    def __call__(self, scores: Bag) -> Bag:
        return np.asarray(checked_bag(scores).mean(axis=0), np.float64)


@block("aggregate", "vote")
@dataclass(frozen=True)
class Vote:
    """Share of instances whose likeliest class it is ("winner takes all"); ties are shared."""

    kind: ClassVar[Literal["scores"]] = "scores"

    def __call__(self, scores: Bag) -> Bag:
        rows = checked_bag(scores)
        first = rows == rows.max(axis=1, keepdims=True)
        return np.asarray((first / first.sum(axis=1, keepdims=True)).mean(axis=0), np.float64)


@block("aggregate", "top_share")
@dataclass(frozen=True)
class TopShare:
    """Mean over the `share` of instances (at least one) that speak most for the class.

    With two classes the second is the one looked for, and the first gets the rest; with more, each class has
    its own top share, and the result is brought to a sum of 1.
    """

    share: float = 0.1
    kind: ClassVar[Literal["scores"]] = "scores"

    def __call__(self, scores: Bag) -> Bag:
        rows = checked_bag(scores)
        number = max(1, round(self.share * len(rows)))
        top = np.sort(rows, axis=0)[-number:].mean(axis=0)
        if rows.shape[1] == 2:
            return np.array([1 - top[1], top[1]])
        return np.asarray(top / top.sum(), np.float64)


@block("aggregate", "max")
@dataclass(frozen=True)
class Maximum(TopShare):
    """The instance that speaks most for the class decides: a bag is positive when one instance is."""

    share: float = 0.0


@block("aggregate", "p_norm")
@dataclass(frozen=True)
class PNorm:
    """(mean |x|^p)^(1/p) of each feature over the instances: mean of magnitudes at p = 1, towards the maximum
    as p grows. [20] takes p = 3."""

    p: float = 3.0
    kind: ClassVar[Literal["rows"]] = "rows"
    #: Nothing is learned; every group may be predicted.
    fitted_on: ClassVar[frozenset[str] | None] = frozenset()

    def fit(self, bags: Sequence[Bag], labels: Any, groups: Sequence[Any] | None = None) -> Self:
        return self

    def transform(self, bags: Sequence[Bag]) -> NDArray[np.float64]:
        """N bags of n×d → N×d."""
        return np.stack([p_norm(checked_bag(bag), self.p) for bag in bags])


def p_norm(rows: Bag, p: float) -> Bag:
    """n×d → d. The largest magnitude is taken out before powers, which would overflow."""
    magnitude = np.abs(rows)
    largest = np.maximum(magnitude.max(axis=0), 1e-300)
    return np.asarray(largest * ((magnitude / largest) ** p).mean(axis=0) ** (1 / p), np.float64)
