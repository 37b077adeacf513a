"""Selecting features: what is kept, inside which fold, and what it was fitted on."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score

from inference.blocks.learned import NotFitted, inner_folds
from inference.blocks.registry import build
from inference.blocks.swarm import Method, maximise

FILTERS = ("information_gain", "mrmr", "relieff")
WRAPPERS = get_args(Method)


def table(informative: int = 3, noise: int = 12, number: int = 90, seed: int = 0) -> tuple[Any, Any, Any]:
    """Rows whose first columns say the label, labels, and groups of three rows."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(number // 3) % 2, 3)
    rows = rng.normal(0, 1, (number, informative + noise))
    rows[:, :informative] += 1.8 * labels[:, None]
    return rows, np.array(["benign", "malignant"])[labels], np.repeat(np.arange(number // 3), 3)


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_keeps_the_columns_that_say_the_label(name: str) -> None:
    rows, labels, groups = table()
    made = build("select", name, keep=3).fit(rows, labels, groups)

    assert set(np.flatnonzero(made.support_)) == {0, 1, 2}
    assert made.transform(rows).shape == (90, 3)


@pytest.mark.parametrize("name", WRAPPERS)
def test_a_wrappers_subset_is_worth_more_than_all_columns(name: str) -> None:
    rows, labels, groups = table()
    made = build("select", name, agents=8, iterations=8, price=0.05).fit(rows, labels, groups)

    accuracies = []
    for inside, outside in inner_folds(labels, groups, 3, 0):
        head = build("head", "knn").fit(rows[inside], labels[inside], groups[inside])
        accuracies.append(balanced_accuracy_score(labels[outside], head.predict(rows[outside])))
    assert made.worth_ > np.mean(accuracies) - 0.05 + 0.03
    assert made.support_[:3].mean() > made.support_[3:].mean()


def test_a_dearer_column_is_kept_less_often() -> None:
    rows, labels, groups = table(informative=6, noise=6)
    kept = [
        build("select", "genetic", price=price, agents=8, iterations=8)
        .fit(rows, labels, groups)
        .support_.sum()
        for price in (0.0, 2.0)
    ]

    assert kept[1] < kept[0]


@pytest.mark.parametrize("name", ("none", *FILTERS, "genetic"))
def test_a_selector_names_the_groups_that_it_was_fitted_on(name: str) -> None:
    rows, labels, groups = table(number=30)
    settings: dict[str, Any] = {"agents": 3, "iterations": 1} if name == "genetic" else {}
    made = build("select", name, **settings)

    assert made.fit(rows, labels, groups).fitted_on == {str(group) for group in groups}
    assert made.fit(rows, labels).fitted_on is None


@pytest.mark.parametrize("name", ("information_gain", "relieff", "genetic"))
def test_selection_is_deterministic_by_seed(name: str) -> None:
    rows, labels, groups = table(number=60)
    settings: dict[str, Any] = {"agents": 4, "iterations": 2} if name == "genetic" else {"keep": 4}

    first, second = (build("select", name, seed=7, **settings).fit(rows, labels, groups) for _ in range(2))

    assert np.array_equal(first.support_, second.support_)


def test_redundant_copies_are_passed_over_for_a_weaker_but_new_column() -> None:
    rng = np.random.default_rng(1)
    labels = np.arange(200) % 2
    strong = labels + rng.normal(0, 0.3, 200)
    weak = labels + rng.normal(0, 1.2, 200)
    copies = strong[:, None] + rng.normal(0, 0.02, (200, 3))
    made = build("select", "mrmr", keep=2).fit(np.column_stack([copies, weak]), labels)

    assert made.support_[3]
    assert made.support_[:3].sum() == 1


def test_relieff_sees_a_pair_that_says_the_label_only_together() -> None:
    rng = np.random.default_rng(2)
    rows = rng.uniform(-1, 1, (300, 8))
    labels = (rows[:, 2] * rows[:, 5]) > 0
    made = build("select", "relieff", keep=2).fit(rows, labels)

    assert set(np.flatnonzero(made.support_)) == {2, 5}


def test_relieff_does_not_take_a_patients_own_rows_for_neighbours() -> None:
    # Column 0 is the patient's own signature and says nothing of the label; within a patient it is constant.
    rng = np.random.default_rng(3)
    patient = np.repeat(np.arange(40), 4)
    labels = (np.arange(40) % 2)[patient]
    rows = np.column_stack([rng.uniform(0, 1, 40)[patient], labels + rng.normal(0, 0.6, 160)])

    alone = build("select", "relieff", keep=1, neighbours=3).fit(rows, labels, patient)

    assert list(alone.support_) == [False, True]


@pytest.mark.parametrize("name", FILTERS)
def test_a_constant_column_is_never_kept(name: str) -> None:
    rows, labels, _ = table(noise=2)
    rows[:, 1] = 4.0

    assert not build("select", name, keep=5).fit(rows, labels).support_[1]


def test_nothing_to_select_from_is_said() -> None:
    with pytest.raises(ValueError, match="every column is constant"):
        build("select", "mrmr").fit(np.ones((6, 3)), [0, 1] * 3)


def test_information_of_classes_of_one_row_each_is_refused_in_a_sentence() -> None:
    rows, _, _ = table(number=9)

    with pytest.raises(ValueError, match="every class has a single row"):
        build("select", "information_gain").fit(rows, list("abcdefghi"))


def test_a_wrapper_says_when_there_are_no_inner_folds() -> None:
    rows, labels, _ = table(number=12)
    one_patient_a_class = ["a" if label == "benign" else "b" for label in labels]

    with pytest.raises(ValueError, match="no inner folds"):
        build("select", "genetic").fit(rows, labels, one_patient_a_class)


def test_rows_that_are_not_finite_are_refused_by_column() -> None:
    rows, labels, _ = table(number=12)
    rows[3, 2] = np.nan

    with pytest.raises(ValueError, match="column 2"):
        build("select", "none").fit(rows, labels)


def test_a_selector_names_the_features_that_stay() -> None:
    rows, labels, _ = table(informative=1, noise=2)
    made = build("select", "mrmr", keep=1).fit(rows, labels)

    assert made.kept(["contrast", "energy", "entropy"]) == ("contrast",)


def test_transforming_before_fitting_is_refused() -> None:
    with pytest.raises(NotFitted):
        build("select", "mrmr").transform(np.ones((2, 2)))


def test_selection_within_the_fold_makes_nothing_of_noise() -> None:
    """The literature's leak: features chosen on all rows make noise look like signal."""
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(4)
    rows, labels = rng.normal(0, 1, (60, 1500)), np.arange(60) % 2

    def auc(inside_fold: bool) -> float:
        whole = build("select", "mrmr", keep=10).fit(rows, labels)
        scores = np.zeros(60)
        for inside, outside in inner_folds(labels, None, 5, 0):
            chosen = (
                build("select", "mrmr", keep=10).fit(rows[inside], labels[inside]) if inside_fold else whole
            )
            head = build("head", "logistic_regression").fit(chosen.transform(rows[inside]), labels[inside])
            scores[outside] = head.predict_proba(chosen.transform(rows[outside]))[:, 1]
        return float(roc_auc_score(labels, scores))

    assert auc(inside_fold=False) > 0.9
    assert auc(inside_fold=True) < 0.7


# --- inner folds and swarms ----------------------------------------------------------------------------


def test_inner_folds_keep_groups_whole_and_every_class_in_training() -> None:
    _, labels, groups = table(number=60)
    pairs = inner_folds(labels, groups, 4, 0)

    assert len(pairs) == 4
    assert sorted(np.concatenate([outside for _, outside in pairs])) == list(range(60))
    for inside, outside in pairs:
        assert not set(groups[inside]) & set(groups[outside])
        assert set(labels[inside]) == {"benign", "malignant"}


def test_inner_folds_are_as_many_as_the_scarcest_class_has_groups() -> None:
    labels = ["a"] * 6 + ["b"] * 4
    groups = [1, 2, 3, 4, 5, 6, 7, 7, 8, 8]

    assert len(inner_folds(labels, groups, 5, 0)) == 2
    assert inner_folds(labels, [1, 2, 3, 4, 5, 6, 7, 7, 7, 7], 5, 0) == []


def test_two_selections_are_fused_to_what_either_or_both_keep() -> None:
    rows, labels, groups = table()
    parts = ({"mrmr": {"keep": 3}}, {"relieff": {"keep": 5}})
    first, second = (
        build("select", name, **settings).fit(rows, labels, groups).support_
        for part in parts
        for name, settings in part.items()
    )
    assert first.tolist() != second.tolist()

    either = build("select", "fused", first=parts[0], second=parts[1]).fit(rows, labels, groups)
    both = build("select", "fused", first=parts[0], second=parts[1], threshold=0.9).fit(rows, labels, groups)

    assert np.array_equal(either.support_, first | second)
    assert np.array_equal(both.support_, first & second)


def test_what_is_no_selection_cannot_be_fused() -> None:
    with pytest.raises(ValueError, match=r"fused: .*'svm'"):
        build("select", "fused", first="svm").check_classes(["a", "b"])


@pytest.mark.parametrize("method", WRAPPERS)
def test_a_metaheuristic_climbs_a_hill(method: Any) -> None:
    top = np.array([0.7, 0.2, 0.55, 0.4])

    def height(point: NDArray[np.float64]) -> float:
        return -float(((point - top) ** 2).sum())

    best, found = maximise(method, height, 4, agents=16, iterations=40, rng=np.random.default_rng(0))

    assert found == pytest.approx(height(best))
    assert found > -0.02
    assert ((best >= 0) & (best <= 1)).all()
