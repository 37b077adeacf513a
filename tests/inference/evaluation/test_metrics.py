"""Every metric against its definition, and against what was published."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.evaluation import agreement, bootstrap, metrics
from inference.evaluation.bootstrap import Statistic
from inference.evaluation.detection import Mark, froc

Arrays = tuple[NDArray[np.bool_], NDArray[np.float64]]
CLASSES = ("a", "b", "c")


def scored(number: int = 120, seed: int = 0) -> Arrays:
    """Truths and scores of one decimal, so that many tie."""
    generator = np.random.default_rng(seed)
    truth = generator.random(number) < 0.4
    return truth, np.clip(np.round(generator.normal(0.4 + 0.2 * truth, 0.2), 1), 0, 1)


def named(seed: int) -> list[str]:
    return [CLASSES[index] for index in np.random.default_rng(seed).integers(0, 3, 60)]


def of_all(statistic: Statistic, number: int) -> float:
    return bootstrap.of_all(statistic, number)


def test_ranking_figures_are_scikit_learns_ties_included() -> None:
    from sklearn.metrics import average_precision_score, roc_auc_score

    truth, scores = scored()
    assert of_all(metrics.auc(truth, scores), 120) == pytest.approx(roc_auc_score(truth, scores))
    assert of_all(metrics.average_precision(truth, scores), 120) == pytest.approx(
        average_precision_score(truth, scores)
    )


def test_figures_of_several_classes_are_scikit_learns() -> None:
    from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score, f1_score

    truth, said = named(1), named(2)
    for ours, theirs in (
        (metrics.balanced_accuracy(truth, said, CLASSES), balanced_accuracy_score(truth, said)),
        (metrics.macro_f1(truth, said, CLASSES), f1_score(truth, said, average="macro")),
        (agreement.kappa(truth, said, CLASSES), cohen_kappa_score(truth, said)),
        (
            agreement.kappa(truth, said, CLASSES, "quadratic"),
            cohen_kappa_score(truth, said, labels=list(CLASSES), weights="quadratic"),
        ),
    ):
        assert of_all(ours, 60) == pytest.approx(theirs)


RANKED: list[Callable[[NDArray[np.bool_], NDArray[np.float64]], Statistic]] = [
    metrics.auc,
    metrics.average_precision,
    partial(metrics.sensitivity_at_specificity, specificity=0.9),
    partial(metrics.specificity_at_sensitivity, sensitivity=0.9),
    metrics.brier,
    metrics.calibration_error,
]


@pytest.mark.parametrize("metric", RANKED)
def test_an_image_counted_twice_is_an_image_that_stands_twice(
    metric: Callable[[NDArray[np.bool_], NDArray[np.float64]], Statistic],
) -> None:
    truth, scores = scored()
    times = np.random.default_rng(5).integers(0, 4, (3, len(truth)))
    together = metric(truth, scores)(times.astype(np.float64))
    for row, value in zip(times, together, strict=True):
        repeated = metric(np.repeat(truth, row), np.repeat(scores, row))
        assert value == pytest.approx(of_all(repeated, int(row.sum())))


def test_a_metric_that_lacks_a_class_is_no_number() -> None:
    truth, scores = np.zeros(4, bool), np.arange(4) / 4
    for metric in RANKED[:4]:
        assert np.isnan(of_all(metric(truth, scores), 4))


def test_sensitivity_at_a_fixed_specificity_is_the_best_level_that_keeps_it() -> None:
    truth, scores = scored()
    levels = np.unique(scores)
    kept = [level for level in [*levels, 2.0] if (scores[~truth] < level).mean() >= 0.9]
    best = max(float((scores[truth] >= level).mean()) for level in kept)
    assert of_all(metrics.sensitivity_at_specificity(truth, scores, 0.9), 120) == pytest.approx(best)
    found = [level for level in levels if (scores[truth] >= level).mean() >= 0.9]
    clear = max(float((scores[~truth] < level).mean()) for level in found)
    assert of_all(metrics.specificity_at_sensitivity(truth, scores, 0.9), 120) == pytest.approx(clear)


def test_calibration_error_is_the_mean_gap_of_the_bins() -> None:
    chances = np.array([0.12, 0.18, 0.92, 0.98])
    truth = np.array([False, True, True, True])
    assert of_all(metrics.calibration_error(truth, chances), 4) == pytest.approx((0.35 + 0.05) / 2)
    assert of_all(metrics.brier(truth, chances), 4) == pytest.approx(
        (0.12**2 + 0.82**2 + 0.08**2 + 0.02**2) / 4
    )


def test_a_share_counts_among_those_that_it_is_about() -> None:
    hits, among = np.array([True, True, False, True]), np.array([True, False, True, False])
    assert of_all(metrics.share(hits), 4) == 0.75
    assert of_all(metrics.share(hits, among), 4) == 0.5
    assert np.isnan(of_all(metrics.share(hits, np.zeros(4, bool)), 4))


def test_patients_are_recognised_by_the_share_of_their_images() -> None:
    """Spanhol 2016: a patient with one image weighs as much as one with three."""
    hits = np.array([True, False, False, True])
    owners = ["p1", "p1", "p1", "p2"]
    assert of_all(metrics.mean_of_groups(hits, owners), 4) == pytest.approx((1 / 3 + 1) / 2)
    assert of_all(metrics.share(hits), 4) == 0.5


def test_froc_reads_the_sensitivity_at_so_many_false_marks_an_image() -> None:
    marks = [((0.9, 1), (0.8, 0), (0.7, 1)), ((0.8, 0), (0.6, 2)), ((0.5, 1),)]
    lesions = (1, 2, 1)
    curve = froc(
        [
            Mark(image, score, frozenset({hit}) if hit else frozenset())
            for image, own in enumerate(marks)
            for score, hit in own
        ],
        lesions=4,
        images=3,
    )
    for allowed in (0.0, 0.5, 2 / 3, 1.0, 8.0):
        assert of_all(metrics.found_at(marks, lesions, (allowed,)), 3) == pytest.approx(curve.at(allowed)[0])
    both = metrics.found_at(marks, lesions, (0.5, 1.0))
    assert of_all(both, 3) == pytest.approx((curve.at(0.5)[0] + curve.at(1.0)[0]) / 2) == 0.5


def test_froc_without_marks_finds_nothing_and_without_lesions_is_no_number() -> None:
    assert of_all(metrics.found_at([(), ()], (1, 0), (1.0,)), 2) == 0
    assert np.isnan(of_all(metrics.found_at([((0.5, 0),), ()], (0, 0), (1.0,)), 2))


def test_wilsons_interval_is_the_published_one() -> None:
    """32 of 36 images of Bioimaging 2015: 75 to 96 %."""
    low, high = metrics.wilson(32, 36)
    assert (round(low, 2), round(high, 2)) == (0.75, 0.96)
    assert metrics.wilson(0, 10)[0] == 0 and metrics.wilson(10, 10)[1] == 1
    with pytest.raises(ValueError, match="11 of 10"):
        metrics.wilson(11, 10)


def test_cohens_kappa_is_that_of_the_textbook_example() -> None:
    """Two readers of 50 grant proposals: 20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no give 0.4."""
    assert agreement.kappa_of(np.array([[[20.0, 5.0], [10.0, 15.0]]]))[0] == pytest.approx(0.4)


def test_the_camelyon17_metric_is_the_quadratic_kappa_of_patients_stages() -> None:
    from sklearn.metrics import cohen_kappa_score

    nodes = {
        "p0": (["negative"] * 5, ["negative"] * 4 + ["itc"]),
        "p1": (["micro", "itc", "negative", "negative", "negative"], ["micro"] + ["negative"] * 4),
        "p2": (["macro"] * 4 + ["negative"], ["macro"] * 2 + ["negative"] * 3),
        "p3": (["macro"] + ["negative"] * 4, ["macro"] + ["negative"] * 4),
    }
    patients = [name for name, (labels, _) in nodes.items() for _ in labels]
    truth = [label for labels, _ in nodes.values() for label in labels]
    said = [label for _, labels in nodes.values() for label in labels]
    expected = cohen_kappa_score(
        ["pn0", "pn1mi", "pn2", "pn1"],
        ["pn0(i+)", "pn1mi", "pn1", "pn1"],
        labels=["pn0", "pn0(i+)", "pn1mi", "pn1", "pn2"],
        weights="quadratic",
    )
    staged = agreement.camelyon17_kappa(patients, truth, said)
    assert of_all(staged, len(patients)) == pytest.approx(expected)


def test_labels_outside_the_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="d is none of"):
        of_all(metrics.macro_f1(["a", "d"], ["a", "a"], CLASSES), 2)


def test_no_class_vanishes_from_a_draw() -> None:
    groups = ["only positive", *(f"g{n}" for n in range(40)), "both", "both"]
    labels = ["malignant", *["benign"] * 40, "benign", "normal"]
    counts = bootstrap.draw_counts(groups, labels, draws=400)
    for label in set(labels):
        assert (counts[:, np.array(labels) == label].sum(axis=1) > 0).all()
    assert (counts[:, -1] == counts[:, -2]).all(), "a group is drawn as a whole"
    assert counts[:, 1:41].std() > 0.5


def test_the_same_images_are_drawn_the_same_for_two_models() -> None:
    groups, labels = [f"g{n // 2}" for n in range(40)], ["a", "b"] * 20
    once = bootstrap.draw_counts(groups, labels, draws=50)
    assert (once == bootstrap.draw_counts(groups, labels, draws=50)).all()
    assert (once != bootstrap.draw_counts(groups, labels, draws=50, seed=1)).any()
