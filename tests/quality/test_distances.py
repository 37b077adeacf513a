"""Distances tell a shift from chance, and are what an independent implementation says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from cad_platform.quality.distances import distance, least_share, log_odds
from cad_platform.quality.measures import DRIFT_P, FEWEST, REFERENCE, WINDOW

RULE = 0.25


def test_kolmogorov_is_scipys() -> None:
    generator = np.random.default_rng(1)
    base, now = generator.normal(size=300), generator.normal(0.3, size=200)
    found, expected = distance(base, now), stats.ks_2samp(base, now, method="asymp")
    assert found.ks == pytest.approx(expected.statistic)
    assert found.p == pytest.approx(expected.pvalue, rel=0.15)


@pytest.mark.parametrize("now", [[1.0], [0.5] * 60, list(range(100))])
def test_odd_sets_have_a_distance(now: list[float]) -> None:
    found = distance([0.5] * 40, now)
    assert math.isfinite(found.psi) and 0 <= found.p <= 1


def test_nothing_has_none() -> None:
    with pytest.raises(ValueError):
        distance([], [1.0])


def test_a_share_is_bounded_below_as_scipy_says() -> None:
    low = stats.binomtest(12, 80).proportion_ci(0.99, method="wilson").low
    assert least_share(12, 80) == pytest.approx(low, abs=1e-3)
    assert least_share(0, 0) == 0 and least_share(0, 50) < 1e-9


def beyond(base: np.ndarray, now: np.ndarray) -> bool:
    found = distance(base, now)
    return found.psi >= RULE and found.p < DRIFT_P


def test_quiet_months_raise_nothing_and_planted_drift_is_seen_within_200_images() -> None:
    """Twenty months of 3,000 studies each, looked at every 20; then one standard deviation, every time."""
    generator = np.random.default_rng(7)
    false_alarms, late = 0, 0
    for _month in range(20):
        base = generator.normal(-1, 1.5, REFERENCE)
        month = generator.normal(-1, 1.5, 3000)
        looks = range(FEWEST, 3001, 20)
        false_alarms += any(beyond(base, month[max(0, end - WINDOW) : end]) for end in looks)
        shifted = np.concatenate([month, generator.normal(0.5, 1.5, 200)])
        late += not any(beyond(base, shifted[end - WINDOW : end]) for end in range(3020, 3201, 20))
    assert (false_alarms, late) == (0, 0)


def test_log_odds_are_bounded() -> None:
    assert log_odds(0.5) == 0 and math.isfinite(log_odds(0.0)) and math.isfinite(log_odds(1.0))
