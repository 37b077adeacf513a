"""A network with a fitted head: one graph of arrays, exported like every network."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from inference.blocks.parameters import make
from inference.champions.whole_image.heads import as_module
from inference.champions.whole_image.refusals import ExportError
from tests.inference.champions.runs import Made, Say, exported, made
from tests.inference.recipes.trees import NEURAL

SMALL = {"classifier": {"backbone": {"vgg_mini": {"width": 4, "stages": 3}}, "pool": "gap"}}
RECIPE: dict[str, Any] = {
    **NEURAL,
    "id": "toy_head",
    "data": {"dataset": "busi", "size": [32, 40], "protocol": "official"},
    "streams": [{"network": SMALL}, {"network": SMALL, "trained": False}],
    "select": ["information_gain"],
    "head": {"gradient_boosting": {"trees": 12}},
    "train": {"epochs": 1, "batch": 8},
    "calibrate": True,
}
HEADS = (
    ("logistic_regression", {}), ("logistic_regression", {"l1_ratio": 1.0}), ("svm", {}), ("svm", {"kernel": "poly"}),
    ("svm", {"kernel": "linear"}), ("svm", {"kernel": "sigmoid"}), ("random_forest", {"trees": 12}),
    ("random_forest", {"trees": 3, "max_depth": 2}), ("naive_bayes", {}), ("gradient_boosting", {"trees": 12}),
    ("mlp", {"hidden": [6, 4]}),
)  # fmt: skip


def fitted(kind: str, settings: dict[str, Any], classes: str) -> tuple[Any, np.ndarray]:
    rng = np.random.default_rng(1)
    names = np.array(list(classes))[rng.integers(0, len(classes), 60)]
    rows = rng.normal(size=(60, 8)) + (names == classes[0])[:, None] * rng.normal(size=8)
    rows = rows.astype(np.float32).astype(np.float64)
    head = make("head", kind, settings, classes=len(classes), seed=0)
    return head.fit(rows, names, groups=[str(n % 20) for n in range(60)]), rows


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize(("kind", "settings"), HEADS)
@pytest.mark.parametrize("classes", ["ab", "abc"])
def test_a_head_as_arrays_says_what_the_head_says(kind: str, settings: dict[str, Any], classes: str) -> None:
    head, rows = fitted(kind, settings, classes)
    asked = [*reversed(classes), "z"]  # its training part lacked one
    if kind == "svm" and len(classes) > 2:
        with pytest.raises(ExportError, match="svm of more than two classes"):
            as_module(head, asked)
        return
    with torch.no_grad():
        said = as_module(head, asked)(torch.from_numpy(rows.astype(np.float32))).numpy()
    np.testing.assert_allclose(said[:, :-1], head.predict_proba(rows)[:, ::-1], atol=1e-5)
    assert (said[:, -1] == 0).all()


def test_neighbours_are_refused() -> None:
    head, _ = fitted("knn", {}, "ab")
    with pytest.raises(
        ExportError, match="the head knn cannot be written as a graph; logistic_regression, svm"
    ):
        as_module(head, "ab")


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Made:
    made_of = made(tmp_path_factory.mktemp("head"), RECIPE, published=True)
    assert exported(made_of) == 0
    return made_of


def test_the_figures_are_those_of_the_run_and_the_card_names_the_head(one: Made, say: Say) -> None:
    status, printed, _ = say("evaluate", "toy_head", "--store", one.store, "--json")
    assert status == 0
    ours = {figure["name"]: figure["value"] for figure in json.loads(printed)["figures"]}
    theirs = {figure["name"]: figure["value"] for figure in one.page["figures"]}
    assert ours["auc_malignant"] == pytest.approx(theirs["auc"], abs=1e-4)
    assert ours["ece_malignant"] == pytest.approx(theirs["ece"], abs=1e-4)
    card = (one.folder / "card.md").read_text()
    assert (
        "The head gradient_boosting" in card
        and "chosen by information_gain" in card
        and "not trained" in card
    )
    assert not (one.folder / "bundle").exists()


def test_it_is_predicted_explained_and_archived(one: Made, say: Say, tmp_path: Any) -> None:
    out = tmp_path / "out.jsonl"
    assert say("predict", "toy_head", one.image, "--out", out, "--store", one.store)[0] == 0
    result = json.loads(out.read_text())
    assert sum(result["probabilities"].values()) == pytest.approx(1, abs=1e-5) and result["heatmap"] is None
    words = ("explain", "toy_head", one.image, "--out", tmp_path, "--store", one.store, "--method")
    assert say(*words, "occlusion")[0] == 0
    status, _, sentence = say(*words, "integrated_gradients")
    assert status == 1 and sentence.count("\n") == 1, "trees have no gradient"
    status, printed, sentence = say("archive", "--out", tmp_path / "archives", "--store", one.store)
    assert status == 0 and "toy_head-1.0.0.mar" in printed, sentence
