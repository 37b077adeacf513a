"""Groups drawn with replacement: how often each image counts in each draw, and the interval that follows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
#: D×N: how often each of N images counts in each of D draws → D values, NaN where one cannot be computed.
Statistic = Callable[[Floats], Floats]

DRAWS = 1000
#: Draws computed at once, so that memory does not grow with their number.
_CHUNK = 100


def draw_counts(
    groups: Sequence[str], labels: Sequence[str], draws: int = DRAWS, seed: int = 0
) -> NDArray[np.int16]:
    """D×N counts of N images whose `groups` are drawn with replacement.

    Groups are drawn within strata, so that a class never vanishes: a group belongs to the stratum of its
    rarest label, and a draw that still lacks a label is drawn again. The same groups and labels with the same
    seed give the same draws, whatever was predicted: differences of two models are paired.

    Raises
    ------
    ValueError
        No images.
    """
    if not groups:
        raise ValueError("nothing to draw from")
    names = list(dict.fromkeys(groups))
    number = {name: index for index, name in enumerate(names)}
    kinds = sorted(set(labels))
    present = np.zeros((len(names), len(kinds)), bool)
    for group, label in zip(groups, labels, strict=True):
        present[number[group], kinds.index(label)] = True
    frequency = Counter({kind: int(present[:, index].sum()) for index, kind in enumerate(kinds)})
    rarest = [min((kinds[k] for k in np.flatnonzero(row)), key=lambda kind: (frequency[kind], kind))
              for row in present]  # fmt: skip
    generator = np.random.default_rng(seed)
    strata = [np.flatnonzero([kind == own for own in rarest]) for kind in kinds if kind in rarest]
    counts = np.zeros((draws, len(names)), np.int16)
    lacking = np.arange(draws)
    while lacking.size:
        for members in strata:
            even = np.full(len(members), 1 / len(members))
            counts[np.ix_(lacking, members)] = generator.multinomial(len(members), even, size=lacking.size)
        missing = ((counts[lacking] @ present.astype(np.int16)) == 0).any(axis=1)
        lacking = lacking[missing]
    return counts[:, [number[group] for group in groups]]


def evaluate(statistic: Statistic, counts: NDArray[np.int16]) -> Floats:
    """`statistic` of every draw."""
    return np.concatenate(
        [
            statistic(counts[start : start + _CHUNK].astype(np.float64))
            for start in range(0, len(counts), _CHUNK)
        ]
    )


def of_all(statistic: Statistic, images: int) -> float:
    """`statistic` with every image counted once."""
    return float(statistic(np.ones((1, images)))[0])


def interval(values: Floats, level: float = 0.95) -> tuple[float, float]:
    """The percentile interval; draws without a value are left out. NaN where none has one."""
    known = values[~np.isnan(values)]
    if not known.size:
        return float("nan"), float("nan")
    low, high = np.quantile(known, ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)
