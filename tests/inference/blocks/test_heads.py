"""Heads: one shape, calibrated probabilities, tuning inside the fold, and two levels end to end."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from inference.blocks.learned import NotFitted
from inference.blocks.parameters import BlockError, check
from inference.blocks.registry import build

ALL = (
    "logistic_regression", "svm", "random_forest", "knn", "naive_bayes", "gradient_boosting", "mlp",
)  # fmt: skip
#: Small enough for a test.
QUICK: dict[str, dict[str, Any]] = {"random_forest": {"trees": 25}, "gradient_boosting": {"trees": 25}}


def make(name: str, **parameters: Any) -> Any:
    return build("head", name, **{**QUICK.get(name, {}), **parameters})


def blobs(
    names: tuple[str, ...] = ("benign", "malignant"), number: int = 60, seed: int = 0
) -> tuple[Any, Any]:
    """One cloud a class, columns of very different scales."""
    rng = np.random.default_rng(seed)
    labels = np.arange(number) % len(names)
    rows = rng.normal(0, 1, (number, 4))
    rows[:, :2] += 2.5 * np.stack([np.cos(2 * labels), np.sin(2 * labels)], axis=1)
    return rows * [1, 100, 1, 1000], np.array(names)[labels]


@pytest.mark.parametrize("name", ALL)
def test_a_head_tells_clouds_apart_in_their_own_labels(name: str) -> None:
    rows, labels = blobs(("b", "a", "c"), 90)
    fresh, truth = blobs(("b", "a", "c"), 90, seed=1)
    made = make(name).fit(rows, labels)

    chances = made.predict_proba(fresh)

    assert list(made.classes_) == ["a", "b", "c"]
    assert chances.shape == (90, 3)
    assert np.allclose(chances.sum(axis=1), 1)
    assert (made.predict(fresh) == truth).mean() > 0.8


@pytest.mark.parametrize("name", ALL)
def test_a_head_is_deterministic_by_seed_and_survives_pickling(name: str) -> None:
    rows, labels = blobs()
    first, second = (make(name, seed=3).fit(rows, labels) for _ in range(2))

    assert np.array_equal(first.predict_proba(rows), second.predict_proba(rows))
    assert np.array_equal(pickle.loads(pickle.dumps(first)).predict_proba(rows), first.predict_proba(rows))


@pytest.mark.parametrize("name", ALL)
def test_a_head_names_the_groups_that_it_was_fitted_on(name: str) -> None:
    rows, labels = blobs(number=24)

    assert make(name).fit(rows, labels, [f"patient {i // 2}" for i in range(24)]).fitted_on == {
        f"patient {i}" for i in range(12)
    }
    assert make(name).fit(rows, labels).fitted_on is None


@pytest.mark.parametrize(
    "name", ["logistic_regression", "svm", "random_forest", "naive_bayes", "gradient_boosting"]
)
def test_balancing_finds_more_of_a_rare_class(name: str) -> None:
    rng = np.random.default_rng(5)
    labels = np.r_[np.zeros(180, int), np.ones(20, int)]
    rows = rng.normal(0, 1, (200, 3)) + labels[:, None] * 0.8
    settings = {"random_forest": {"max_depth": 2}, "gradient_boosting": {"max_depth": 1}}.get(name, {})

    plain, balanced = (make(name, balanced=choice, **settings).fit(rows, labels) for choice in (False, True))

    if name == "svm":  # Platt's sigmoid gives the prior back; the machine itself has moved
        machines = [made.estimator_.calibrated_classifiers_[0].estimator for made in (plain, balanced)]
        found = [int((machine.predict(rows)[labels == 1] == 1).sum()) for machine in machines]
    else:
        found = [int((made.predict(rows)[labels == 1] == 1).sum()) for made in (plain, balanced)]
    assert found[1] > found[0]


@pytest.mark.parametrize("name", ["knn", "mlp"])
def test_a_head_without_weights_has_no_such_setting(name: str) -> None:
    with pytest.raises(BlockError, match="balanced"):
        check("head", name, {"balanced": True})


def test_an_svms_probabilities_are_calibrated_on_rows_that_it_had_not_seen() -> None:
    # Overlapping clouds and a machine that remembers every row: on its own rows it is never wrong.
    rng = np.random.default_rng(6)
    labels = np.arange(200) % 2
    rows = rng.normal(0, 1, (200, 2)) + 0.8 * labels[:, None]
    made = make("svm", C=100.0, gamma=50.0).fit(rows, labels)
    machine = made.estimator_.calibrated_classifiers_[0].estimator

    assert (machine.predict(rows) == labels).mean() > 0.97
    assert not made.flattered
    assert np.abs(made.predict_proba(rows) - 0.5).mean() < 0.35


def test_an_svms_inner_folds_keep_groups_whole() -> None:
    """Copies of one row under one group: a sigmoid from row-wise folds would trust the copies."""
    rng = np.random.default_rng(7)
    labels, rows = np.repeat(np.arange(30) % 2, 6), np.repeat(rng.normal(0, 1, (30, 8)), 6, axis=0)
    groups = np.repeat(np.arange(30), 6)

    grouped = make("svm", C=10.0).fit(rows, labels, groups).predict_proba(rows)
    leaking = make("svm", C=10.0).fit(rows, labels).predict_proba(rows)

    assert np.abs(grouped - 0.5).mean() < 0.7 * np.abs(leaking - 0.5).mean()


def test_an_svm_says_when_it_had_no_inner_folds() -> None:
    rows, labels = blobs(number=20)

    made = make("svm").fit(rows, labels, labels)

    assert made.flattered
    assert np.allclose(made.predict_proba(rows).sum(axis=1), 1)


def test_tuning_picks_the_setting_that_does_best_on_inner_folds() -> None:
    rng = np.random.default_rng(8)
    rows = rng.uniform(-1, 1, (160, 2))
    labels = (rows[:, 0] * rows[:, 1] > 0).astype(int)

    made = make("svm", tune={"kernel": ["linear", "rbf"], "C": [1.0, 10.0]}).fit(rows, labels)

    assert made.chosen_["kernel"] == "rbf"


def test_a_head_can_be_cloned_with_its_settings() -> None:
    made = make("svm", C=7.0, tune={"gamma": ["scale", 0.1]}, balanced=True)

    assert clone(made).get_params() == made.get_params()


def test_a_single_class_is_refused() -> None:
    with pytest.raises(ValueError, match="all 4 rows are 'benign'"):
        make("knn").fit(np.ones((4, 2)), ["benign"] * 4)


def test_predicting_before_fitting_is_refused() -> None:
    with pytest.raises(NotFitted):
        make("svm").predict_proba(np.ones((1, 2)))


# --- hierarchical --------------------------------------------------------------------------------------

BRANCHES = {"benign": ["adenosis", "fibroadenoma"], "malignant": ["ductal", "lobular", "mucinous"]}


def subtypes(number: int = 150, seed: int = 0) -> tuple[Any, Any]:
    """The first column says the branch, the others the subtype, less clearly."""
    rng = np.random.default_rng(seed)
    names = np.array([leaf for members in BRANCHES.values() for leaf in members])
    labels = np.arange(number) % len(names)
    rows = rng.normal(0, 1, (number, 4))
    rows[:, 0] += 3.0 * (labels >= 2)
    rows[:, 1] += 2.5 * np.isin(labels, (1, 3))
    rows[:, 2] += 2.5 * (labels == 4)
    return rows, names[labels]


@pytest.fixture(scope="module")
def hierarchy() -> Any:
    rows, labels = subtypes()
    made = build(
        "head", "hierarchical", branches=BRANCHES, first="logistic_regression", second={"svm": {"C": 2.0}}
    )
    return made.fit(rows, labels, [f"p{i}" for i in range(150)])


def test_end_to_end_probabilities_add_up_to_one_and_to_the_branches(hierarchy: Any) -> None:
    rows, _ = subtypes(seed=1)
    chances = hierarchy.predict_proba(rows)
    branches, first = hierarchy.branch_proba(rows)

    assert np.allclose(chances.sum(axis=1), 1)
    for index, branch in enumerate(branches):
        own = np.isin(hierarchy.classes_, BRANCHES[branch])
        assert np.allclose(chances[:, own].sum(axis=1), first[:, index])


def test_conditional_accuracy_flatters_what_a_user_gets(hierarchy: Any) -> None:
    found = hierarchy.accuracies(*subtypes(300, seed=2))

    assert found.first_level > 0.9
    assert set(found.conditional) == {"benign", "malignant"}
    assert 0.6 < found.end_to_end < min(found.first_level, np.mean(list(found.conditional.values())) + 1e-9)


def test_a_hierarchy_and_both_its_levels_name_their_groups(hierarchy: Any) -> None:
    assert len(hierarchy.fitted_on) == 150
    assert hierarchy.second_["benign"].fitted_on < hierarchy.fitted_on


def test_a_branch_of_one_subtype_needs_no_second_head() -> None:
    rows, labels = blobs(("cyst", "ductal", "lobular"), 90)
    made = build(
        "head", "hierarchical", branches={"benign": ["cyst"], "malignant": ["ductal", "lobular"]}, first="knn",
        second="knn",
    ).fit(rows, labels)  # fmt: skip

    assert (made.predict(rows) == labels).mean() > 0.9


@pytest.mark.parametrize(
    "name", ["knn", "svm", "random_forest", "logistic_regression", "naive_bayes", "mlp", "gradient_boosting"]
)
def test_a_branch_whose_subtypes_have_a_row_each_survives(name: str) -> None:
    rows, labels = blobs(("cyst", "ductal", "lobular"), 60)
    alone = [np.flatnonzero(labels == label)[0] for label in ("ductal", "lobular")]
    few = np.sort([*np.flatnonzero(labels == "cyst"), *alone])
    made = build(
        "head", "hierarchical", branches={"benign": ["cyst"], "malignant": ["ductal", "lobular"]}, first=name,
        second=name,
    ).fit(rows[few], labels[few], [str(number) for number in few])  # fmt: skip

    chances = made.predict_proba(rows)
    assert np.allclose(chances.sum(axis=1), 1) and np.isfinite(chances).all()


def test_a_label_of_no_branch_or_of_two_is_refused() -> None:
    rows, labels = blobs(("cyst", "ductal"), 20)

    with pytest.raises(ValueError, match="'ductal' stands in no branch"):
        build("head", "hierarchical", branches={"benign": ["cyst"]}).fit(rows, labels)
    with pytest.raises(ValueError, match="two branches"):
        build("head", "hierarchical", branches={"a": ["cyst", "ductal"], "b": ["cyst"]}).fit(rows, labels)


def test_a_soft_vote_is_the_weighted_mean_of_its_heads() -> None:
    generator = np.random.default_rng(0)
    labels = np.array(["a", "b"] * 12)
    rows = generator.normal(size=(24, 3)) + (labels == "b")[:, None]
    both: list[Any] = ["naive_bayes", {"knn": {"neighbours": 3}}]
    vote = build("head", "soft_vote", heads=both, weights=[3, 1]).fit(rows, labels)
    first = build("head", "naive_bayes").fit(rows, labels).predict_proba(rows)
    second = build("head", "knn", neighbours=3).fit(rows, labels).predict_proba(rows)
    np.testing.assert_allclose(vote.predict_proba(rows), 0.75 * first + 0.25 * second)
    assert list(vote.classes_) == ["a", "b"]
    for wrong, words in (
        ({"heads": both[:1]}, "two or more"),
        ({"heads": both, "weights": [1, 0]}, "above 0"),
    ):
        with pytest.raises(ValueError, match=words):
            build("head", "soft_vote", **wrong).fit(rows, labels)


# --- deep belief network ---------------------------------------------------------------------------------


def test_a_deep_belief_network_learns_and_its_unsupervised_part_is_on_the_path() -> None:
    rows, labels = blobs(("benign", "malignant"), 80)
    settings: dict[str, Any] = {"hidden": (12, 6), "epochs": 150, "learning_rate": 0.02}
    made = build("head", "deep_belief", **settings).fit(rows, labels, groups=range(80))
    untaught = build("head", "deep_belief", pretraining=0, **settings).fit(rows, labels)
    again = build("head", "deep_belief", **settings).fit(rows, labels)

    assert (made.predict(rows) == labels).mean() > 0.9
    assert np.allclose(made.predict_proba(rows).sum(axis=1), 1)
    assert np.array_equal(made.predict_proba(rows), again.predict_proba(rows))
    assert not np.allclose(made.predict_proba(rows), untaught.predict_proba(rows))
    assert made.fitted_on == {str(number) for number in range(80)}


def test_a_deep_belief_network_is_refused_what_teaches_nothing() -> None:
    rows, _ = blobs(("benign", "malignant"), 20)

    with pytest.raises(ValueError, match="all 20 rows are 'benign'"):
        build("head", "deep_belief").fit(rows, ["benign"] * 20)
    with pytest.raises(ValueError, match="a layer of one unit"):
        build("head", "deep_belief", hidden=()).check_classes(["benign", "malignant"])
