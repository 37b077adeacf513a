"""How the learning rate moves over a run: functions from the share of steps done, 0…1, to a factor.

Every schedule takes `warm_up`, the share of the run over which the factor climbs from 0 in a straight line.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from inference.blocks.registry import block

Factor = Callable[[float], float]


def half_cosine(progress: float) -> float:
    """From 1 at `progress` 0 to 0 at 1 (Loshchilov 2017)."""
    return 0.5 * (1 + math.cos(math.pi * progress))


@block("schedule", "constant")
def constant(warm_up: float = 0.0) -> Factor:
    """The same rate throughout."""
    return _warmed(lambda _: 1.0, warm_up)


@block("schedule", "cosine")
def cosine(end: float = 0.0, warm_up: float = 0.0) -> Factor:
    """Half a cosine from 1 to `end`."""
    return _warmed(lambda progress: end + (1 - end) * half_cosine(progress), warm_up)


@block("schedule", "one_cycle")
def one_cycle(steps: int = 1000, warm_up: float = 0.1, most: int = 100, floor: float = 0.01) -> Factor:
    """Half a cosine from 1 to 0, `floor` above it everywhere; before, a climb over the run's share `warm_up`, `most` of
    its `steps` at most, that begins with the first step's share and not with 0."""
    climb = max(1, min(int(steps * warm_up), most))

    def factor(progress: float) -> float:
        step = round(progress * steps)
        return min((step + 1) / climb, half_cosine(min(1.0, step / steps)) + floor)

    return factor


@block("schedule", "gauss_error")
def gauss_error(end: float = 0.01, steepness: float = 2.0, warm_up: float = 0.0) -> Factor:
    """The Gauss error scheduler of BHCNet (Jiang 2019): flat, steep in the middle, flat.

    lr(t) = lr_e + (lr_s − lr_e)/2 · (1 − erf(k·(2t/T − 1))), `end` = lr_e/lr_s and k = `steepness`. At the
    ends it misses 1 and `end` by (1 − end)/2 · (1 − erf k): 0.2 % of the span for k = 2.
    """
    if steepness <= 0:
        raise ValueError(f"steepness must be above 0, not {steepness}")
    return _warmed(
        lambda progress: end + (1 - end) / 2 * (1 - math.erf(steepness * (2 * progress - 1))), warm_up
    )


@block("schedule", "steps")
def steps(at: Sequence[float] = (0.5, 0.75), factor: float = 0.1, warm_up: float = 0.0) -> Factor:
    """Times `factor` at each share `at` of the run."""
    return _warmed(lambda progress: factor ** sum(progress >= mark for mark in at), warm_up)


def _warmed(schedule: Factor, warm_up: float) -> Factor:
    if not 0 <= warm_up < 1:
        raise ValueError(f"warm_up is a share of the run in 0…1, not {warm_up}")

    def factor(progress: float) -> float:
        climb = min(1.0, progress / warm_up) if warm_up else 1.0
        return climb * schedule(min(1.0, max(0.0, progress)))

    return factor
