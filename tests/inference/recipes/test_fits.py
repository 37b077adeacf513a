"""What would die later is refused before: parts of a recipe that do not go together, and small leaves."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.blocks import registry
from inference.blocks.parameters import make
from inference.cli.main import main
from inference.datasets.sample import DatasetError
from inference.recipes.pictures import Picture
from inference.recipes.pipeline import Pipeline, Place
from inference.recipes.provenance import Rows
from inference.recipes.rehearsal import rehearse
from inference.recipes.schema import RecipeError
from inference.recipes.steps import anonymous_sample
from inference.recipes.validation import parse
from tests.inference.recipes.trees import CLASSIC, NEURAL, busi_tree, recipe_file

HEADLESS = {key: value for key, value in CLASSIC.items() if key != "head"}
NETWORK = {"classifier": {"backbone": {"vgg_mini": {"width": 4, "stages": 2}}}}
NETWORKED: dict[str, Any] = {**HEADLESS, "streams": [{"network": NETWORK}]}
SEGMENT: dict[str, Any] = {
    **HEADLESS,
    "task": {**CLASSIC["task"], "kind": "segment"},
    "streams": [{"network": {"unet": {"width": 4, "depth": 2}}}],
    "train": {"loss": "dice_bce"},
    "expect": {"measure": "dice"},
}
RGB = {**CLASSIC["data"], "colour": "rgb"}
THREE = {"task": {"classes": ["benign", "malignant", "normal"], "positive": "malignant"}}


@pytest.mark.parametrize(
    ("base", "changes", "sentence"),
    [
        (
            SEGMENT,
            {"train": {}},
            "train.loss: cross_entropy works on labels, and the task is to outline; there are dice",
        ),
        (SEGMENT, {"train": {"loss": "focal"}}, "train.loss: focal works on labels"),
        (
            NETWORKED,
            {"train": {"loss": "tversky"}},
            "train.loss: tversky works on outlines, and the task is to classify",
        ),
        (SEGMENT, {"streams": [{"network": NETWORK}]}, "streams.0.network: classifier answers with classes"),
        (
            NETWORKED,
            {"streams": [{"network": "unet"}]},
            "streams.0.network: unet outlines, and the task is to classify",
        ),
        (
            SEGMENT,
            {"train": {"loss": "dice_bce", "sampler": "class_balanced"}},
            "train.sampler: class_balanced works on labels",
        ),
        (
            SEGMENT,
            {"data": RGB, "train": {"loss": "dice_bce", "augment": ["stains"]}},
            "train.augment.0: stains works on labels",
        ),
        (SEGMENT, {"train": {"loss": "dice_bce", "balance": "weights"}}, "train.balance: it counts classes"),
        (
            SEGMENT,
            {"task": {**SEGMENT["task"], "level": "patient"}},
            "task.level: outlines are judged image by image",
        ),
        (SEGMENT, {"preprocess": ["side_flip"]}, "preprocess.0: side_flip moves pixels"),
        (SEGMENT, {"preprocess": ["median", {"resize": {"size": 24}}]}, "preprocess.1: resize moves pixels"),
        (SEGMENT, {"evaluate": {"recognition_rates": True}}, "evaluate.recognition_rates"),
        (
            SEGMENT,
            {"streams": [{**SEGMENT["streams"][0], "aggregate": "mean"}]},
            "streams.0.aggregate: an outline",
        ),
        (
            SEGMENT,
            {"expect": {"measure": "auc"}},
            "expect.measure: auc cannot be measured where the task is to segment",
        ),
        (
            CLASSIC,
            {"expect": {"measure": "iou"}},
            "expect.measure: iou cannot be measured where the task is to classify",
        ),
        (
            CLASSIC,
            {"expect": {"measure": "image_recognition_rate"}},
            "needs evaluate: {recognition_rates: true}",
        ),
        (
            CLASSIC,
            {"preprocess": ["macenko"]},
            "preprocess.0: macenko works on rgb images, and data.colour is gray",
        ),
        (
            CLASSIC,
            {"data": RGB, "preprocess": ["breast_mask"]},
            "preprocess.0: breast_mask works on gray images",
        ),
        (NETWORKED, {"train": {"augment": ["stains"]}}, "train.augment.0: stains works on rgb images"),
        (
            NETWORKED,
            {"train": {"balance": "oversample"}},
            "train.balance: oversample repeats the rows of a head",
        ),
        (CLASSIC, {"train": {"balance": "weights"}}, "train.balance: weights go into the loss of a network"),
        (
            NETWORKED,
            {"train": {"loss": {"cross_entropy": {"weights": [1, 2, 3]}}}},
            "train.loss: 3 weights for 2 classes",
        ),
        (
            NETWORKED,
            {"train": {"loss": {"focal": {"gamma": -1}}}},
            "train.loss: focal: focal loss needs a gamma",
        ),
        (
            NETWORKED,
            {"train": {"schedule": {"cosine": {"warm_up": 2}}}},
            "train.schedule: cosine: warm_up is a share",
        ),
        (
            CLASSIC,
            {"streams": [{"features": ["glcm"], "aggregate": "vote"}]},
            "streams.0.aggregate: vote pools the prob",
        ),
        (
            NETWORKED,
            {"head": "svm", "streams": [{"network": NETWORK, "aggregate": "mean"}]},
            "no head may follow",
        ),
        (
            CLASSIC,
            {"head": None, "streams": [{"features": ["glcm"], "aggregate": "p_norm"}]},
            "and there is no head that decides by it",
        ),
        (
            CLASSIC,
            {"head": None, **THREE, "streams": [{"features": ["glcm"], "aggregate": "mi_svm"}]},
            "needs two classes, not 3",
        ),
        (
            CLASSIC,
            {
                "head": None,
                "streams": [{"features": ["glcm"], "aggregate": {"citation_knn": {"positive": "cancer"}}}],
            },
            "'cancer' is none of the classes",
        ),
        (
            CLASSIC,
            {"head": {"hierarchical": {"branches": {"a": ["benign"]}}}},
            "'malignant' stands in no branch",
        ),
        (
            CLASSIC,
            {"head": {"hierarchical": {"branches": {"a": ["benign", "malignant"]}}}},
            "the classes stand in one branch",
        ),
        (
            CLASSIC,
            {"head": {"hierarchical": {"branches": {"a": ["benign"], "b": ["malignant"]}, "second": "knnn"}}},
            "hierarchical: no head block 'knnn'",
        ),
        (
            CLASSIC,
            {"select": [{"genetic": {"head": "svm", "head_settings": {"D": 1}}}]},
            "select.0: genetic: ",
        ),
        (CLASSIC, {"search": {"over": {"data.folds": [2, 3]}}}, "search.over: data.folds is settled before"),
        (CLASSIC, {"search": {"over": {"head.parameters.C": [1, "much"]}}}, "'much' makes no recipe"),
    ],
)
def test_parts_that_do_not_go_together_are_told_with_their_key(
    base: dict[str, Any], changes: dict[str, Any], sentence: str
) -> None:
    parse(base, "toy.yaml")
    with pytest.raises(RecipeError) as caught:
        parse({**base, **changes}, "toy.yaml")
    assert str(caught.value).startswith("toy.yaml: ") and sentence in str(caught.value)


@pytest.mark.parametrize(
    ("base", "changes", "sentence"),
    [
        (CLASSIC, {"preprocess": [{"median": {"size": 4}}]}, "preprocess.0: median: "),
        (CLASSIC, {"head": {"knn": {"neighbours": 0}}}, "head: knn: "),
        (CLASSIC, {"head": {"svm": {"kernel": "square"}}}, "head: svm: "),
        (CLASSIC, {"head": {"svm": {"tune": {"D": [1]}}}}, "head: svm: "),
        (
            NETWORKED,
            {
                "train": {"batch": 1},
                "streams": [{"network": {"classifier": {"backbone": "resnet18"}}, "resize": [16, 16]}],
            },
            "streams.0.network",
        ),
        (
            NETWORKED,
            {
                **THREE,
                "streams": [{"network": {"classifier": {"backbone": "vgg_mini", "groups": [[0], [1]]}}}],
            },
            "do not hold 3 classes",
        ),
        (
            NETWORKED,
            {"streams": [{"network": {"classifier": {"backbone": {"resnet18": {"weights": "imagenet"}}}}}]},
            "no package brings ImageNet weights of resnet18",
        ),
        (
            NETWORKED,
            {"streams": [{"network": {"classifier": {"backbone": {"resnet18": {"levels": [9]}}}}}]},
            "levels: [9]",
        ),
        ({**SEGMENT}, {"streams": [{"network": {"unet": {"width": 0}}}]}, "streams.0.network: unet: "),
    ],
)
def test_what_a_block_refuses_is_found_on_a_made_up_picture(
    base: dict[str, Any], changes: dict[str, Any], sentence: str
) -> None:
    rehearse(parse(base, "toy.yaml"))
    with pytest.raises(RecipeError) as caught:
        rehearse(parse({**base, **changes}, "toy.yaml"))
    assert str(caught.value).startswith("toy_classic: ") and sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("streams.0.network.parameters.backbone.vgg_mini.freeze", 6, "freeze: 6, but this backbone has"),
        ("streams.0.network.parameters.backbone.vgg_mini.levels", [9], "levels: [9]"),
        ("streams.0.network.parameters.groups", [[0], [1]], "do not hold 3 classes"),
    ],
)
def test_what_a_search_may_choose_is_tried_too_before_hours_of_it(
    key: str, value: object, sentence: str
) -> None:
    """Our recipe of [62] asked for six frozen stages of four, and died in its first fold."""
    network = {"classifier": {"backbone": {"vgg_mini": {"freeze": 0}}, "groups": None}}
    content = {**NETWORKED, **THREE, "streams": [{"network": network}]}
    plain = parse(content, "toy.yaml")
    rehearse(plain)
    rehearse(parse({**content, "search": {"over": {"train.batch": [2, 4]}}}, "toy.yaml"))
    with pytest.raises(RecipeError) as caught:
        rehearse(parse({**content, "search": {"over": {key: [value]}}}, "toy.yaml"))
    assert f"search.over.{key}: {value!r}: streams.0.network: " in str(caught.value)
    assert sentence in str(caught.value)


def test_a_pool_that_judges_by_itself_is_told_the_classes() -> None:
    content = {
        **NEURAL,
        **THREE,
        "streams": [{"network": {"classifier": {"backbone": "vgg_mini", "pool": {"ggp": {}}}}}],
    }
    rehearse(parse(content, "toy.yaml"))


HEADS = [name for name in registry.shipped("head") if name != "hierarchical"]


@pytest.mark.parametrize("second", HEADS)
@pytest.mark.parametrize("rare", [1, 2, 4])
def test_a_head_lives_with_a_leaf_of_few_rows(second: str, rare: int) -> None:
    """A leaf and a branch of so few rows; kNN of five neighbours among them too."""
    counts = {"a": 9, "b": rare, "c": rare, "d": rare}
    labels = np.repeat(list(counts), list(counts.values()))
    rows = np.random.default_rng(1).normal(size=(len(labels), 3))
    groups = [str(number) for number in range(len(labels))]
    branches = {"first": ["a", "b"], "second": ["c", "d"]}
    small: dict[str, Any] = {"trees": 5} if second in ("gradient_boosting", "random_forest") else {}
    if second == "soft_vote":
        small = {"heads": ["naive_bayes", "knn"]}
    for name, parameters in (
        ("hierarchical", {"branches": branches, "first": "naive_bayes", "second": {second: small}}),
        (second, small),
    ):
        head = make("head", name, parameters, seed=0).fit(rows, labels, groups=groups)
        chances = head.predict_proba(rows)
        assert chances.shape == (len(labels), 4) and np.allclose(chances.sum(axis=1), 1)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"data": {**NEURAL["data"], "size": [1, 1]}}, r"streams\.0\.network: classifier: .*too small"),
        (
            {"train": {"epochs": 2, "batch": 4, "learning_rate": 1e30}},
            "the training has diverged: its loss is nan",
        ),
        (
            {"train": {"epochs": 1, "batch": 100, "learning_rate": 1e30}},
            "what is predicted of .* is no number",
        ),
        (
            {"train": {"epochs": 1, "batch": 4, "learning_rate": float("inf")}},
            "train.learning_rate: .*finite number",
        ),
    ],
)
def test_a_network_that_cannot_learn_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], sentence: str
) -> None:
    content = {**NEURAL, "streams": [{"network": NETWORK}], "train": {"epochs": 1, "batch": 4}, **changes}
    tree, path = busi_tree(tmp_path / "tree", groups=8), recipe_file(tmp_path, content)
    order = ["train", str(path), "--data", str(tree), "--run", str(tmp_path / "run"), "--threads", "1"]
    assert main(order) == 1
    *_, said = capsys.readouterr().err.splitlines()
    assert said.startswith("inference: ") and re.search(sentence, said)
    assert not list((tmp_path / "run").glob("fold-*/predictions.csv"))


def test_what_a_block_cannot_do_with_the_data_is_a_sentence(tmp_path: Path) -> None:
    """Found by the data alone, after all checks: still no traceback."""
    pipeline = Pipeline(parse({**CLASSIC, "select": ["mrmr"]}, "toy.yaml"), 0)
    samples = tuple(
        replace(anonymous_sample(), id=str(n), group_id=str(n), label=("benign", "malignant")[n % 2])
        for n in range(6)
    )
    rows = Rows(samples, tuple(Picture(np.full((8, 8), 7, np.uint8)) for _ in samples))
    with pytest.raises(
        DatasetError, match=r"select\.0 cannot learn from 6 images: there is nothing to select"
    ):
        pipeline.fit(rows, Place(tmp_path))
