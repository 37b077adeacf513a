"""Multiple-instance classifiers that look for one concept in the space of instances ([31]): a region that every
positive bag reaches and no negative one does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from inference.blocks.aggregation.multiple_instance import BagClassifier, Truth
from inference.blocks.aggregation.pooling import Bag
from inference.blocks.learned import Rows
from inference.blocks.registry import block


@block("aggregate", "axis_parallel_rectangle")
class AxisParallelRectangle(BagClassifier):
    """Iterated-discrimination APR (Dietterich 1997).

    A rectangle grows around a positive instance, one instance of each positive bag at a time, the cheapest first; those
    of its columns are kept that shut most negative instances out, and it grows again in these alone, `rounds` times. Of
    `starts` instances that is kept which lets the fewest negative ones in, and is the smallest of these. Its sides move
    outwards by `room` of the covered instances' deviation. A bag's score is the distance of its nearest instance to the
    rectangle, negated.
    """

    def __init__(
        self,
        room: float = 0.5,
        starts: int = 10,
        rounds: int = 3,
        positive: str | None = None,
        per_bag: int = 30,
        folds: int = 3,
        seed: int = 0,
    ) -> None:
        super().__init__(positive, per_bag, folds, seed)
        self.room = room
        self.starts = starts
        self.rounds = rounds

    def _learn_scaled(self, bags: Sequence[Bag], truth: Truth) -> None:
        positive = [bag for bag, is_positive in zip(bags, truth, strict=True) if is_positive]
        negative = np.concatenate(
            [bag for bag, is_positive in zip(bags, truth, strict=True) if not is_positive]
        )
        rng = np.random.default_rng(self.seed)
        seeds = np.concatenate(positive)
        best: tuple[int, float, Rows, NDArray[np.bool_]] | None = None
        for seed in seeds[rng.permutation(len(seeds))[: self.starts]]:
            kept = np.ones(seed.size, bool)
            for _ in range(self.rounds):
                covered = _grown(seed, positive, kept)
                kept, inside = _telling(covered, negative, kept)
            size = float(np.ptp(covered[:, kept], axis=0).sum())
            if best is None or (inside, size) < best[:2]:
                best = (inside, size, covered, kept)
        assert best is not None
        _, _, covered, kept = best
        margin = self.room * covered.std(axis=0)
        self._low = np.where(kept, covered.min(axis=0) - margin, -np.inf)
        self._high = np.where(kept, covered.max(axis=0) + margin, np.inf)

    def _score(self, bag: Bag) -> float:
        away = np.maximum(0, np.maximum(self._low - bag, bag - self._high))
        return -float(np.sqrt((away**2).sum(axis=1)).min())


def _grown(seed: Rows, bags: Sequence[Bag], kept: NDArray[np.bool_]) -> Rows:
    """The instances, one a bag, that a rectangle around `seed` in the `kept` columns has swallowed, each the cheapest
    at its turn."""
    low, high, left = seed.copy(), seed.copy(), list(bags)
    taken: list[Rows] = []
    while left:
        costs = []
        for place, bag in enumerate(left):
            wider = (np.maximum(0, low - bag) + np.maximum(0, bag - high))[:, kept].sum(axis=1)
            costs.append((float(wider.min()), place, int(wider.argmin())))
        _, place, row = min(costs)
        swallowed = left.pop(place)[row]
        taken.append(swallowed)
        low, high = np.minimum(low, swallowed), np.maximum(high, swallowed)
    return np.stack(taken)


def _telling(covered: Rows, negative: Rows, among: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], int]:
    """The columns that shut negative instances out of the rectangle, greedily, and how many stay inside; where none
    does, all that there were."""
    outside = ((negative < covered.min(axis=0)) | (negative > covered.max(axis=0))) & among
    kept, left = np.zeros(among.size, bool), np.ones(len(negative), bool)
    while left.any() and outside[left].any():
        best = int(outside[left].sum(axis=0).argmax())
        kept[best] = True
        left &= ~outside[:, best]
    return (kept if kept.any() else among), int(left.sum())


@block("aggregate", "em_diverse_density")
class DiverseDensity(BagClassifier):
    """EM-DD (Zhang and Goldman 2001): a point and a scale for each column, near which every positive bag has an
    instance and no negative one has.

    In turn each bag is stood for by its nearest instance, and point and scales climb the likelihood of the bags' labels
    (L-BFGS), until it no longer grows; from `starts` instances of positive bags, of which the best result is kept. A
    bag's score is that of its nearest instance: minus the squared scaled distance.
    """

    def __init__(
        self,
        starts: int = 4,
        rounds: int = 5,
        positive: str | None = None,
        per_bag: int = 20,
        folds: int = 2,
        seed: int = 0,
    ) -> None:
        super().__init__(positive, per_bag, folds, seed)
        self.starts = starts
        self.rounds = rounds

    def _learn_scaled(self, bags: Sequence[Bag], truth: Truth) -> None:
        from scipy.optimize import minimize

        rng = np.random.default_rng(self.seed)
        seeds = np.concatenate([bag for bag, is_positive in zip(bags, truth, strict=True) if is_positive])
        wide = seeds.shape[1]
        best = np.inf
        for seed in seeds[rng.permutation(len(seeds))[: self.starts]]:
            # columns are scaled: this way an instance at the usual distance is neither near nor far
            state = np.concatenate([seed, np.full(wide, 1 / np.sqrt(wide))])
            known = np.inf
            for _ in range(self.rounds):
                nearest = np.stack([bag[_apart(state, bag).argmin()] for bag in bags])
                found = minimize(
                    _surprise, state, (nearest, truth), "L-BFGS-B", jac=True, options={"maxiter": 20}
                )
                if found.fun >= known - 1e-6:
                    break
                state, known = found.x, float(found.fun)
            if known < best:
                best, self._concept = known, state

    def _score(self, bag: Bag) -> float:
        return -float(_apart(self._concept, bag).min())


def _apart(state: Rows, rows: Rows) -> Rows:
    """Squared scaled distances of rows to a concept (its point, then its scales)."""
    point, scale = np.split(state, 2)
    return np.asarray((((rows - point) * scale) ** 2).sum(axis=1), np.float64)


def _surprise(state: Rows, rows: Rows, truth: Truth) -> tuple[float, NDArray[np.float64]]:
    """Mean negative log likelihood of the labels, classes weighing alike, where exp(−distance) is the chance of the
    positive one; and its gradient."""
    point, scale = np.split(state, 2)
    off = rows - point
    near = np.exp(-((off * scale) ** 2).sum(axis=1)).clip(1e-12, 1 - 1e-9)
    weight = np.where(truth, 0.5 / max(1, truth.sum()), 0.5 / max(1, (~truth).sum()))
    value = -float((weight * np.where(truth, np.log(near), np.log(1 - near))).sum())
    # of the value by each distance: 1 where the bag is positive, −p / (1 − p) where it is not
    slope = weight * np.where(truth, 1.0, -near / (1 - near))
    by_point = (slope[:, None] * -2 * off * scale**2).sum(axis=0)
    by_scale = (slope[:, None] * 2 * off**2 * scale).sum(axis=0)
    return value, np.concatenate([by_point, by_scale])
