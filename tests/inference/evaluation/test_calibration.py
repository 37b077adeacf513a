"""Probabilities, operating points and conformal sets."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.evaluation.calibration import (
    conformal_level,
    conformal_levels,
    fit_logistic,
    fit_platt,
    fit_temperature,
    fit_temperature_and_biases,
    operating_points,
    perfect_calibration,
)
from inference.evaluation.figures import figure
from inference.evaluation.lines import lines_of
from inference.evaluation.protocol import PROTOCOLS
from inference.evaluation.records import PREDICTIONS, read_records
from inference.runtime.calibration import softmax
from inference.runtime.store import read_manifest, version_folder


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


def test_biases_undo_the_weights_that_classes_had_in_training() -> None:
    generator = np.random.default_rng(1)
    logits = generator.normal(0, 1.5, (20_000, 3))
    labels = np.array([generator.choice(3, p=row) for row in softmax(logits)])
    moved = logits * 2 + np.array([0.0, 1.6, 0.4])
    temperature, biases = fit_temperature_and_biases(moved, labels, least=1.0)
    assert temperature == pytest.approx(2, rel=0.06) and biases.sum() == pytest.approx(0, abs=1e-9)
    assert biases - biases[0] == pytest.approx([0, -0.8, -0.2], abs=0.08)
    # a temperature alone cannot
    cured = softmax(moved / temperature + biases)[:, 1].mean()
    assert cured == pytest.approx((labels == 1).mean(), abs=0.005)
    alone = softmax(moved / fit_temperature(moved, labels))[:, 1].mean()
    assert abs(alone - (labels == 1).mean()) > 0.05
    # never more certain than the network itself, and nothing is said of a class that never comes
    sure, without = fit_temperature_and_biases(logits[labels < 2] / 4, labels[labels < 2], least=1.0)
    assert sure == 1.0 and without[2] == 0


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


def test_perfect_calibration_never_reads_nothing_and_less_the_more_images() -> None:
    generator = np.random.default_rng(0)
    expected = []
    for number in (58, 130, 2_000):
        chances = generator.beta(0.7, 1.2, number)
        beside = perfect_calibration(generator.random(number) < chances, chances)
        assert 0 < beside.expected < beside.p95
        expected.append(beside.expected)
    assert expected[0] > expected[1] > 2 * expected[2]


def test_what_stands_beside_an_error_is_the_same_each_time() -> None:
    chances = np.linspace(0.05, 0.95, 60)
    truth = np.arange(60) % 3 == 0
    assert perfect_calibration(truth, chances) == perfect_calibration(truth, chances)
    assert perfect_calibration(truth, chances) != perfect_calibration(truth, chances, seed=1)


def test_the_debiased_error_is_that_of_many_images() -> None:
    """Predictions of 0.8 where 0.6 are true: an error of 0.2, at any size; of those that are right nearly none."""
    generator = np.random.default_rng(3)
    for number, times in ((100, 20), (10_000, 4)):
        chances = np.full(number, 0.8)
        off = [perfect_calibration(generator.random(number) < 0.6, chances).debiased for _ in range(times)]
        right = [perfect_calibration(generator.random(number) < 0.8, chances).debiased for _ in range(times)]
        assert np.mean(off) == pytest.approx(0.2, abs=0.02) and np.mean(right) < 0.02


def test_the_committed_error_of_ultrasound_stands_beside_its_floor() -> None:
    """As the review of 28 November measured it: 0.068, of which chance alone reads 0.028, one time in twenty 0.041."""
    manifest = read_manifest("ultrasound", version="2.2.0")
    records = [r for r in read_records(version_folder(manifest) / PREDICTIONS) if r.dataset == "busi"]
    line = next(line for line in lines_of(PROTOCOLS["busi"], manifest) if line.name == "ece_malignant_rest")
    read = figure(line, records)
    assert read.perfect is not None
    assert (read.value, read.perfect.expected, read.perfect.p95) == pytest.approx(
        (0.068, 0.028, 0.041), abs=1e-3
    )
    assert 0.028 < read.perfect.debiased < read.value
    assert read.as_json()["perfect"] == {"expected": 0.0276, "p95": 0.0407, "debiased": 0.0537}


@pytest.mark.parametrize("model", ["histopathology", "mammography", "ultrasound"])
def test_no_error_is_printed_alone(model: str) -> None:
    folder = version_folder(read_manifest(model))
    figures = json.loads((folder / "metrics.json").read_text())["figures"]
    for each in figures:
        assert ("perfect" in each) == each["name"].startswith("ece_")
    errors = [
        line for line in (folder / "card.md").read_text().splitlines() if "expected calibration error" in line
    ]
    assert errors and all("perfect calibration would read" in line for line in errors)


def test_every_class_is_covered_by_a_level_of_its_own() -> None:
    generator = np.random.default_rng(0)
    positive = generator.random(4000) < 0.2
    chances = 1 / (1 + np.exp(-(generator.normal(0, 1, 4000) + 2.0 * positive - 1.5)))
    both, labels = np.stack([1 - chances, chances], axis=1), positive.astype(np.int64)
    one, own = conformal_level(both, labels, 0.9), conformal_levels(both, labels, 0.9)
    for number in (0, 1):
        covered = both[labels == number, number] >= own[number]
        assert covered.mean() == pytest.approx(0.9, abs=0.01)
    # one level for all leaves a quarter and more of the rare class out
    assert (both[labels == 1, 1] >= one).mean() < 0.75


def test_several_scores_are_calibrated_together_and_none_backwards() -> None:
    generator = np.random.default_rng(0)
    scores = generator.normal(0, 1, (3000, 3))
    positive = generator.random(3000) < 1 / (1 + np.exp(-(scores @ [1.0, 2.0, -1.0] - 0.5)))
    (first, second, third), offset = fit_logistic(scores, positive)
    assert second > first > 0.5 and third == pytest.approx(1e-3) and offset < 0
    with pytest.raises(ValueError, match="both classes"):
        fit_logistic(scores, np.ones(3000, bool))
