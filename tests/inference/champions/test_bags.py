"""Bags of patches, and streams of several kinds: one packed row, one graph, one answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from inference.contract import NotApplicable
from inference.recipes.pictures import Picture, instances
from inference.recipes.schema import Patches
from inference.runtime.custody import verify
from inference.runtime.pipelines import pipeline_of
from inference.runtime.store import read_manifest
from inference.runtime.whole_image import steps
from inference.runtime.whole_image.bags import Grid
from tests.inference.champions.runs import Made, Say, apart, bundle_apart, exported, made
from tests.inference.recipes.trees import NEURAL

SMALL = {"classifier": {"backbone": {"vgg_mini": {"width": 4, "stages": 3}}, "pool": "gap"}}
BASE: dict[str, Any] = {
    **NEURAL,
    "data": {"dataset": "busi", "size": [32, 40], "protocol": "official"},
    "train": {"epochs": 1, "batch": 16},
}
BY_HAND: dict[str, Any] = {
    **BASE,
    "id": "toy_bag",
    "streams": [
        {
            "patches": {"size": 16, "stride": 8, "limit": 6},
            "features": ["intensity"],
            "aggregate": {"non_parametric": {"neighbours": 4, "positive": "malignant"}},
        }
    ],
    "calibrate": True,
}
TWO_SIZES: dict[str, Any] = {
    **BASE,
    "id": "toy_patches",
    "data": {**BASE["data"], "colour": "rgb"},
    "preprocess": ["median"],
    "streams": [
        {"patches": {"size": 24, "stride": 8, "limit": 4}, "resize": [16, 16], "network": SMALL, "aggregate": "p_norm"},
        {
            "patches": {"size": 16, "stride": 16, "limit": 9},
            "network": SMALL,
            "trained": False,
            "aggregate": {"kmeans_discriminative": {"clusters": 3, "folds": 2}},
        },
    ],
    "head": "svm",
}  # fmt: skip
SEVERAL_KINDS: dict[str, Any] = {
    **BASE,
    "id": "toy_kinds",
    "streams": [
        {"network": SMALL, "trained": False},
        {
            "patches": {"size": 16, "stride": 16, "limit": 9},
            "features": ["intensity", {"glcm": {"distances": [1]}}],
        },
        {"resize": [24, 24], "network": SMALL, "trained": False},
    ],
    "select": ["information_gain"],
    "head": "logistic_regression",
}
ITS_OWN_JUDGE: dict[str, Any] = {
    **BASE,
    "id": "toy_top",
    "streams": [
        {
            "patches": {"size": 16, "stride": 12, "limit": 4},
            "network": SMALL,
            "aggregate": {"top_share": {"share": 0.5}},
        }
    ],
}
RECIPES = {
    recipe["id"].removeprefix("toy_"): recipe for recipe in (BY_HAND, TWO_SIZES, SEVERAL_KINDS, ITS_OWN_JUDGE)
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    found = {
        name: made(tmp_path_factory.mktemp(name), recipe, published=True) for name, recipe in RECIPES.items()
    }
    for one in found.values():
        assert exported(one) == 0
    return found


@pytest.mark.parametrize("name", RECIPES)
def test_serving_says_what_the_run_said_and_evaluate_its_figures(
    name: str, runs: dict[str, Made], say: Say
) -> None:
    one = runs[name]
    assert apart(one) < 1e-4
    verify(one.folder)
    status, printed, _ = say("evaluate", one.page["id"], "--store", one.store, "--json")
    assert status == 0
    ours = {figure["name"]: figure["value"] for figure in json.loads(printed)["figures"]}
    theirs = {figure["name"]: figure["value"] for figure in one.page["figures"]}
    assert ours["auc_malignant"] == pytest.approx(theirs["auc"], abs=1e-4)


def test_the_manifest_says_how_an_image_is_cut_and_the_card_what_becomes_of_it(runs: dict[str, Made]) -> None:
    manifest = read_manifest("toy_patches", runs["patches"].store)
    first, second = manifest.preprocessing["described"]  # type: ignore[misc]
    assert first["patches"] == {"size": 24, "stride": 8, "limit": 4} and first["size"] == [16, 16]
    assert second["size"] is None and second["features"] == []
    long = 4 * 16 * 16 * 3 + 4 * 16 * 16 * 3  # of the second a grid of two by two
    assert pipeline_of(manifest).input_shape(manifest) == (1, 1, 1, long)
    card = (runs["patches"].folder / "card.md").read_text()
    assert "cut into 4 patches of 24 px, 8 px apart, brought to 16 × 16 px, each looked at by itself" in card
    assert "become one by kmeans_discriminative" in card
    by_hand = (runs["bag"].folder / "card.md").read_text()
    assert "one row a patch" in by_hand and "non_parametric" in by_hand
    assert (1, 1, 6 * 8, 4)[:2] == pipeline_of(manifest).input_shape(manifest)[:2]


@pytest.mark.parametrize("name", RECIPES)
def test_it_is_predicted_explained_and_archived(
    name: str, runs: dict[str, Made], say: Say, tmp_path: Path
) -> None:
    one, model = runs[name], f"toy_{name}"
    out = tmp_path / "out.jsonl"
    assert say("predict", model, one.image, "--out", out, "--store", one.store)[0] == 0
    assert sum(json.loads(out.read_text())["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    words = ("explain", model, one.image, "--out", tmp_path, "--store", one.store, "--method")
    status, _, sentence = say(*words, "occlusion")
    assert status == 0, sentence
    heat = np.asarray(Image.open(next(tmp_path.glob("*.heat.png"))))
    assert heat.shape == np.asarray(Image.open(one.image).convert("L")).shape
    status, printed, sentence = say("archive", "--out", tmp_path / "archives", "--store", one.store)
    assert status == 0 and f"{model}-1.0.0.mar" in printed, sentence


def test_its_maps_are_checked_by_the_networks_of_its_run_and_it_is_compared(
    runs: dict[str, Made], say: Say
) -> None:
    one = runs["patches"]
    words = (
        "explain",
        "toy_patches",
        "--check",
        "--store",
        one.store,
        "--data",
        one.tree,
        "--limit",
        "1",
        "--json",
    )
    status, printed, sentence = say(*words, "--folds", one.run)
    assert status == 0, sentence
    assert json.loads(printed)["checks"]["pointing game"].keys() == {"occlusion"}
    words = ("evaluate", "toy_patches", "--store", one.store, "--against", runs["bag"].folder, "--json")
    status, printed, sentence = say(*words)
    assert status == 0, sentence
    assert {figure["name"] for figure in json.loads(printed)} >= {"auc_malignant_benign"}


def test_monai_runs_its_bundle(runs: dict[str, Made], tmp_path: Path) -> None:
    for name in ("patches", "bag"):
        assert bundle_apart(runs[name], tmp_path / f"{name}.jsonl") < 1e-4


@pytest.mark.parametrize(
    ("size", "stride", "limit", "shape"),
    [
        (8, 8, 99, (33, 40)),
        (8, 4, 7, (32, 40)),
        (64, 8, 5, (32, 40)),
        (10, 3, 200, (31, 29)),
        (5, 50, 3, (40, 33)),
    ],
)
def test_what_is_cut_in_training_is_cut_in_serving_as_many_as_foretold(
    size: int, stride: int, limit: int, shape: tuple[int, int]
) -> None:
    image = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    grid = Grid(size, stride, limit)
    ours = grid.patches(image)
    theirs = instances(Picture(image), Patches(size=size, stride=stride, limit=limit), None)
    assert len(ours) == len(theirs) == grid.count(*shape) <= limit
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other.image)


def test_patches_of_most_contrast_fill_a_bag_that_is_too_small_for_all() -> None:
    image = np.zeros((16, 64), np.uint8)
    image[:, 32:] = np.random.default_rng(0).integers(0, 255, (16, 32))
    assert {x for _, x in Grid(16, 16, 2).corners(image)} == {32, 48}


def test_a_bag_that_no_memory_holds_is_refused_before_anything_is_made(runs: dict[str, Made]) -> None:
    served = steps.steps_of(read_manifest("toy_patches", runs["patches"].store))
    large = steps.Steps(served.sizes, served.before, served.described, 10**10)
    with pytest.raises(NotApplicable, match="GB of memory"):
        large.tensor(np.zeros((8, 8, 3), np.uint8))
