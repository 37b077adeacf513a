"""How far two sets of numbers are apart, and bounds of shares: plain statistics, numpy only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Bins of the population stability index: tenths of the reference.
BINS = 10


@dataclass(frozen=True)
class Distance:
    """`psi`: the population stability index less what chance alone gives sets of these sizes. `p`: of the
    Kolmogorov-Smirnov statistic `ks`, by its limiting distribution."""

    psi: float
    ks: float
    p: float


def distance(reference: Sequence[float], current: Sequence[float]) -> Distance:
    """Between two samples of independent numbers.

    Two samples of one distribution have an index around (bins − 1)(1/n + 1/m), which is above the usual limits for
    small sets; that much is taken off.

    Raises
    ------
    ValueError
        One of the two is empty.
    """
    import numpy as np

    if not len(reference) or not len(current):
        raise ValueError("a distance needs numbers on both sides")
    base, now = np.sort(np.asarray(reference, float)), np.sort(np.asarray(current, float))
    edges = np.unique(np.quantile(base, np.linspace(0, 1, BINS + 1)[1:-1]))
    shares = [_shares(one, edges) for one in (base, now)]
    psi = float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())
    expected = len(edges) * (1 / len(base) + 1 / len(now))
    both = np.concatenate([base, now])
    ks = float(
        np.abs(
            np.searchsorted(base, both, side="right") / len(base)
            - np.searchsorted(now, both, side="right") / len(now)
        ).max()
    )
    return Distance(max(0.0, psi - expected), ks, _kolmogorov_p(ks, len(base), len(now)))


def log_odds(probability: float) -> float:
    """Of a probability, which far out tells more than the probability does."""
    bounded = min(max(probability, 1e-6), 1 - 1e-6)
    return math.log(bounded / (1 - bounded))


def least_share(count: int, of: int, z: float = 2.58) -> float:
    """Lower end of a share's interval (Wilson 1927), 99 % by default; 0 of nothing."""
    if of == 0:
        return 0.0
    share, square = count / of, z * z
    middle = share + square / (2 * of)
    spread = z * math.sqrt(share * (1 - share) / of + square / (4 * of * of))
    return max(0.0, (middle - spread) / (1 + square / of))


def _shares(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    counted = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
    # Half a case in each bin: an empty one is no infinite distance.
    return np.asarray((counted + 0.5) / (len(values) + 0.5 * (len(edges) + 1)), np.float64)


def _kolmogorov_p(ks: float, n: int, m: int) -> float:
    root = math.sqrt(n * m / (n + m))
    x = (root + 0.12 + 0.11 / root) * ks  # Stephens 1970
    if x < 0.2:
        return 1.0
    total = 2 * sum((-1) ** (k - 1) * math.exp(-2 * k * k * x * x) for k in range(1, 101))
    return min(1.0, max(0.0, total))
