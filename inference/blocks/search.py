"""Ways to choose settings by asking for their score. Blocks of the family `search`: `f(axes, score, seed)`."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np

from inference.blocks.registry import block

Settings = dict[str, Any]
Axes = dict[str, tuple[Any, ...]]
Score = Callable[[Settings], float]
Search = Callable[[Axes, Score, int], Settings]


def _points(axes: Axes) -> list[Settings]:
    return [dict(zip(axes, values, strict=True)) for values in product(*axes.values())]


@block("search", "grid")
def grid() -> Search:
    """Every combination; the first of the best."""
    return lambda axes, score, seed: max(_points(axes), key=score)


@block("search", "random")
def random(budget: int = 8) -> Search:
    """`budget` different combinations, drawn by the run's seed."""

    def search(axes: Axes, score: Score, seed: int) -> Settings:
        points = _points(axes)
        order = np.random.default_rng(seed).permutation(len(points))[:budget]
        return max((points[int(index)] for index in order), key=score)

    return search
