"""From instances to bags: pooling, the choice of patches, and multiple-instance learning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from inference.blocks.aggregation.pooling import BagError
from inference.blocks.learned import NotFitted
from inference.blocks.registry import build

BAG_CLASSIFIERS = ("mi_svm", "mi_svm_bag", "citation_knn", "non_parametric")


def make(name: str, **parameters: Any) -> Any:
    return build("aggregate", name, **parameters)


# --- pooling -------------------------------------------------------------------------------------------

SCORES = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.05, 0.95]])


def test_mean_vote_and_maximum_read_a_bag_differently() -> None:
    assert make("mean")(SCORES) == pytest.approx([0.5875, 0.4125])
    assert make("vote")(SCORES) == pytest.approx([0.75, 0.25])
    assert make("max")(SCORES) == pytest.approx([0.05, 0.95])
    assert make("top_share", share=0.5)(SCORES) == pytest.approx([1 - 0.675, 0.675])


@pytest.mark.parametrize("name", ["mean", "vote", "max", "top_share"])
def test_pooled_probabilities_of_three_classes_add_up_to_one(name: str) -> None:
    scores = np.random.default_rng(0).dirichlet([1, 1, 1], 7)

    assert make(name)(scores).sum() == pytest.approx(1)


def test_a_tied_vote_is_shared() -> None:
    assert make("vote")(np.array([[0.5, 0.5]])) == pytest.approx([0.5, 0.5])


def test_the_p_norm_goes_from_the_mean_to_the_maximum() -> None:
    bag = np.array([[0.0, 2.0], [1.0, -4.0], [2.0, 0.0]])

    assert make("p_norm", p=1.0).transform([bag])[0] == pytest.approx([1, 2])
    assert make("p_norm", p=3.0).transform([bag])[0, 0] == pytest.approx((9 / 3) ** (1 / 3))
    assert make("p_norm", p=200.0).transform([bag])[0] == pytest.approx([2, 4], rel=0.01)


@pytest.mark.parametrize("name", ["mean", "vote", "max", "top_share"])
def test_an_empty_bag_is_refused(name: str) -> None:
    with pytest.raises(BagError, match="at least one"):
        make(name)(np.empty((0, 2)))


# --- choosing patches ----------------------------------------------------------------------------------


def photographs(number: int = 40, seed: int = 0) -> tuple[list[NDArray[np.float64]], Any, Any]:
    """Bags of 20 patches: 4 nuclei that tell the classes apart, 16 of fat that is alike in all. Groups of
    two."""
    rng = np.random.default_rng(seed)
    bags, labels = [], []
    for index in range(number):
        malignant = index // 2 % 2
        fat = rng.normal(0, 1, (16, 5)) + np.array([6.0, 0, 0, 0, 0])
        nuclei = rng.normal(0, 1, (4, 5)) + np.array([-6, 3.0 * malignant, 0, 0, 0])
        bags.append(rng.permutation(np.concatenate([fat, nuclei])))
        labels.append(["benign", "malignant"][malignant])
    return bags, np.array(labels), np.arange(number) // 2


@pytest.mark.parametrize("name", ["kmeans_discriminative", "relevance_filter"])
def test_discriminative_patches_are_chosen_on_new_images_without_their_labels(name: str) -> None:
    bags, labels, groups = photographs()
    settings: dict[str, Any] = {"clusters": 6} if name == "kmeans_discriminative" else {"minimum": 0.05}
    made = make(name, **settings).fit(bags, labels, groups)
    fresh, _, _ = photographs(20, seed=9)

    chosen = np.concatenate([made.selected(bag) for bag in fresh])
    nuclei = np.concatenate([bag[:, 0] < 0 for bag in fresh])

    assert chosen[nuclei].mean() > 0.8
    assert chosen[~nuclei].mean() < (0.3 if name == "kmeans_discriminative" else 0.7)


def test_discriminative_selection_tells_bags_apart_better_than_their_mean() -> None:
    bags, labels, groups = photographs()
    fresh, truth, _ = photographs(40, seed=9)
    auc = {}
    for name, settings in (("kmeans_discriminative", {"clusters": 6, "p": 1.0}), ("p_norm", {"p": 1.0})):
        rows = make(name, **settings).fit(bags, labels, groups)
        head = build("head", "knn").fit(rows.transform(bags), labels, groups)
        auc[name] = roc_auc_score(truth == "malignant", head.predict_proba(rows.transform(fresh))[:, 1])

    assert auc["kmeans_discriminative"] >= auc["p_norm"] - 0.02
    assert auc["kmeans_discriminative"] > 0.8


def test_a_bag_without_discriminative_patches_is_pooled_whole() -> None:
    bags, labels, groups = photographs()
    made = make("kmeans_discriminative", clusters=6).fit(bags, labels, groups)
    fat = np.random.default_rng(3).normal(0, 0.3, (10, 5)) + np.array([6.0, 0, 0, 0, 0])
    made.kept[:] = False

    assert made.selected(fat).all()


def test_a_relevance_filter_learns_from_labelled_tissue() -> None:
    rng = np.random.default_rng(4)
    tissue = np.repeat(["adipose", "tumour", "stroma"], 30)
    rows = rng.normal(0, 1, (90, 3)) + 5.0 * (tissue == "adipose")[:, None]
    made = make("relevance_filter").fit_reference(rows, tissue, irrelevant=["adipose"])
    bag = np.concatenate([rng.normal(5, 1, (8, 3)), rng.normal(0, 1, (4, 3))])

    made.fit([bag, bag], ["benign", "malignant"])

    assert list(made.selected(bag)) == [False] * 8 + [True] * 4
    assert made.transform([bag])[0] == pytest.approx(bag[8:].mean(axis=0))


def test_a_share_of_the_patches_stays_even_where_none_is_relevant() -> None:
    rng = np.random.default_rng(4)
    tissue = np.repeat(["adipose", "tumour"], 30)
    rows = rng.normal(0, 1, (60, 3)) + 5.0 * (tissue == "adipose")[:, None]
    made = make("relevance_filter", minimum=0.2).fit_reference(rows, tissue, irrelevant=["adipose"])

    assert made.selected(rng.normal(5, 1, (20, 3))).sum() == 4


@pytest.mark.parametrize("name", ["kmeans_discriminative", "relevance_filter", *BAG_CLASSIFIERS])
def test_what_learns_from_bags_names_its_groups_and_needs_fitting(name: str) -> None:
    bags, labels, groups = photographs(16)
    made = make(name)
    with pytest.raises(NotFitted):
        (made.predict_proba if name in BAG_CLASSIFIERS else made.transform)(bags)

    assert made.fit(bags, labels, groups).fitted_on == {str(group) for group in groups}


@pytest.mark.parametrize("name", ["kmeans_discriminative", "relevance_filter"])
def test_a_choice_of_patches_says_when_it_was_judged_by_itself(name: str) -> None:
    bags, labels, groups = photographs(12)

    assert not make(name).fit(bags, labels, groups).flattered
    assert make(name).fit(bags, labels, labels).flattered


def test_patches_of_one_image_never_judge_each_other() -> None:
    """Noise with a signature per image: row-wise folds would recognise the image and call its label known."""
    rng = np.random.default_rng(5)
    bags = [rng.normal(0, 0.1, (12, 6)) + rng.normal(0, 2, 6) for _ in range(24)]
    labels = np.array(["benign", "malignant"])[np.arange(24) % 2]

    made = make("kmeans_discriminative", clusters=4).fit(bags, labels)

    assert made.worth.mean() < 0.7


# --- multiple instances --------------------------------------------------------------------------------


def bags_with_witnesses(number: int = 40, seed: int = 0) -> tuple[list[NDArray[np.float64]], Any, Any]:
    """A positive bag holds two or three odd instances among ten ordinary ones; groups of two bags."""
    rng = np.random.default_rng(seed)
    bags, labels = [], []
    for index in range(number):
        positive = index // 2 % 2
        bag = rng.normal(0, 1, (10, 4))
        if positive:
            bag[: rng.integers(2, 4)] += [3.5, 3.5, 0, 0]
        bags.append(bag)
        labels.append(["benign", "malignant"][positive])
    return bags, np.array(labels), np.arange(number) // 2


@pytest.mark.parametrize("name", BAG_CLASSIFIERS)
def test_a_bag_is_known_by_its_odd_instances(name: str) -> None:
    bags, labels, groups = bags_with_witnesses()
    fresh, truth, _ = bags_with_witnesses(40, seed=11)
    # By their nearest pair all of these bags are alike: they share ordinary instances.
    settings: dict[str, Any] = {"non_parametric": {"share": 0.2}, "citation_knn": {"rank": 1.0}}.get(name, {})
    made = make(name, **settings).fit(bags, labels, groups)

    chances = made.predict_proba(fresh)

    assert list(made.classes_) == ["benign", "malignant"]
    assert np.allclose(chances.sum(axis=1), 1)
    assert not made.flattered
    assert roc_auc_score(truth == "malignant", chances[:, 1]) > 0.85


@pytest.mark.parametrize("name", BAG_CLASSIFIERS)
def test_the_order_of_a_bags_instances_does_not_matter(name: str) -> None:
    bags, labels, groups = bags_with_witnesses(16)
    made = make(name).fit(bags, labels, groups)

    assert np.allclose(made.predict_proba(bags), made.predict_proba([bag[::-1] for bag in bags]))


def test_the_positive_class_can_be_named() -> None:
    bags, labels, groups = bags_with_witnesses(24)
    renamed = np.where(labels == "malignant", "cancer", "normal")

    made = make("mi_svm", positive="cancer").fit(bags, renamed, groups)

    assert list(made.classes_) == ["cancer", "normal"]
    assert roc_auc_score(renamed == "cancer", made.predict_proba(bags)[:, 0]) > 0.85
    with pytest.raises(ValueError, match="none of the classes"):
        make("mi_svm", positive="malign").fit(bags, renamed, groups)


def test_multiple_instance_learning_needs_two_classes() -> None:
    bags, labels, _ = bags_with_witnesses(6)

    with pytest.raises(ValueError, match="two classes"):
        make("mi_svm").fit(bags, ["benign"] * len(labels))


@pytest.mark.parametrize("name", ["axis_parallel_rectangle", "em_diverse_density"])
def test_one_concept_that_every_positive_bag_reaches_is_found(name: str) -> None:
    """One instance of a positive bag lies near a point in two of four columns; all others are noise."""

    def drawn(number: int, seed: int) -> tuple[list[np.ndarray], np.ndarray]:
        rng = np.random.default_rng(seed)
        bags = [rng.uniform(-4, 4, (5, 4)) for _ in range(number)]
        for bag in bags[::2]:
            bag[2, :2] = rng.normal((2.0, -1.5), 0.15)
        for bag in bags[1::2]:  # no negative instance is near it
            bag[(np.abs(bag[:, :2] - (2.0, -1.5)) < 1).all(axis=1), 0] -= 3
        return bags, np.array(["cancer", "none"])[np.arange(number) % 2]

    block = build("aggregate", name, positive="cancer", starts=10 if name.startswith("axis") else 2, seed=0)
    bags, labels = drawn(40, 1)
    block.fit(bags, labels, groups=[str(n) for n in range(40)])
    held, truth = drawn(60, 2)
    assert (block.predict(held) == truth).mean() > 0.85
