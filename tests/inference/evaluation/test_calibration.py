"""Probabilities, operating points and conformal sets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.evaluation.calibration import conformal_level, fit_platt, fit_temperature, operating_points
from inference.runtime.calibration import softmax


def test_platt_undoes_a_known_distortion() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 2, 20_000)
    positive = generator.random(20_000) < 1 / (1 + np.exp(-logits))
    fitted = fit_platt(logits * 3 + 5, positive)
    assert fitted.slope == pytest.approx(1 / 3, rel=0.05) and fitted.offset == pytest.approx(-5 / 3, rel=0.06)
    assert fitted(5.0) == pytest.approx(0.5, abs=0.02)


def test_platt_needs_both_classes() -> None:
    with pytest.raises(ValueError, match="both classes"):
        fit_platt(np.array([1.0, 2.0]), np.array([True, True]))


def test_temperature_undoes_overconfidence() -> None:
    generator = np.random.default_rng(1)
    logits = generator.normal(0, 1.5, (20_000, 3))
    chances = softmax(logits)
    labels = np.array([generator.choice(3, p=row) for row in chances])
    assert fit_temperature(logits * 4, labels) == pytest.approx(4, rel=0.06)


@given(
    st.lists(st.floats(0, 1), min_size=5, max_size=60),
    st.lists(st.floats(0, 1), min_size=5, max_size=60),
)
def test_operating_points_keep_their_promises(positives: list[float], negatives: list[float]) -> None:
    chances = np.array(positives + negatives)
    positive = np.array([True] * len(positives) + [False] * len(negatives))
    points = operating_points(chances, positive)
    assert points["high_sensitivity"] <= points["balanced"] <= points["high_specificity"]
    assert (chances[positive] >= points["high_sensitivity"]).mean() >= 0.95
    assert points["high_specificity"] == 1.0 or (
        (chances[~positive] < points["high_specificity"] + 1e-9).mean() >= 0.95 - 1e-9
        or points["high_specificity"] >= points["balanced"]
    )


def test_conformal_sets_hold_the_truth_as_often_as_promised() -> None:
    generator = np.random.default_rng(2)
    chances = softmax(generator.normal(0, 1.5, (4000, 3)))
    labels = np.array([generator.choice(3, p=row) for row in chances])
    level = conformal_level(chances[:2000], labels[:2000], coverage=0.9)
    covered = chances[2000:][np.arange(2000), labels[2000:]] >= level
    assert covered.mean() == pytest.approx(0.9, abs=0.03)
