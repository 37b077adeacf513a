"""Steps before the network, and features that people wrote: served by the blocks' own code, with the run's numbers."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from inference.blocks.parameters import make
from inference.champions.whole_image.network import outputs_of, served
from inference.champions.whole_image.streams import Numbers
from inference.contract import AnalysisError, NotApplicable
from inference.datasets.generated import write as write_tree
from inference.evaluation.measuring import analyse_alone
from inference.recipes.pipeline import Pipeline
from inference.recipes.recipe_file import find, load
from inference.recipes.runfolder import FOLD
from inference.recipes.runner import RunOptions, run
from inference.recipes.schema import Recipe
from inference.recipes.validation import parse
from inference.runtime.custody import verify
from inference.runtime.onnx_session import OnnxForward
from inference.runtime.store import read_manifest
from inference.runtime.whole_image import steps
from tests.inference.champions.runs import Made, Say, apart, bundle_apart, exported, made
from tests.inference.recipes.trees import NEURAL

SMALL = {"classifier": {"backbone": {"vgg_mini": {"width": 4, "stages": 3}}, "pool": "gap"}}
BY_HAND: dict[str, Any] = {
    **NEURAL,
    "id": "toy_by_hand",
    "data": {"dataset": "busi", "size": [32, 40], "protocol": "official"},
    "preprocess": ["median", {"clahe": {}}],
    "streams": [
        {
            "segment": {"tuned": {"agents": 3, "iterations": 2, "working_px": 32}},
            "features": [{"glcm": {"distances": [1]}}, "intensity", "shape"],
        },
        {"resize": [24, 24], "features": ["lbp"]},
    ],
    "select": ["information_gain"],
    "head": "svm",
    "calibrate": True,
}
STAINED: dict[str, Any] = {
    **NEURAL,
    "id": "toy_stained",
    "data": {"dataset": "busi", "size": [48, 60], "protocol": "official", "colour": "rgb"},
    "preprocess": ["macenko"],
    "streams": [{"network": SMALL, "trained": False, "resize": [32, 40]}],
    "head": {"gradient_boosting": {"trees": 70}},
}
OUTLINED: dict[str, Any] = {
    **NEURAL,
    "id": "toy_outlined",
    "task": {**NEURAL["task"], "kind": "segment"},
    "data": {"dataset": "busi", "size": [32, 40], "protocol": "official"},
    "preprocess": ["clahe"],
    "streams": [{"network": {"unet": {"width": 4, "depth": 2}}}],
    "train": {"epochs": 2, "batch": 4, "learning_rate": 0.01, "loss": "dice_bce"},
    "expect": {"measure": "dice"},
}
RECIPES = {"by_hand": BY_HAND, "stained": STAINED}


def stain(path: Path) -> None:
    """Grey levels as more and less of two stains."""
    grey = np.asarray(Image.open(path).convert("L"), np.float64)[..., None] / 255
    rng = np.random.default_rng(len(path.name))
    eosin = grey + rng.normal(0, 0.05, grey.shape)
    density = 0.9 * (1 - grey) * [0.65, 0.70, 0.29] + 0.7 * eosin * [0.07, 0.99, 0.11]
    Image.fromarray(np.clip(255 * np.exp(-density), 0, 255).astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    found = {}
    for name, recipe in RECIPES.items():
        change = stain if name == "stained" else lambda _: None
        found[name] = made(tmp_path_factory.mktemp(name), recipe, published=True, change=change)
        assert exported(found[name]) == 0
    return found


@pytest.mark.parametrize("name", RECIPES)
def test_serving_says_what_the_run_said(name: str, runs: dict[str, Made]) -> None:
    assert apart(runs[name]) < 1e-4
    verify(runs[name].folder)


@pytest.mark.parametrize("name", RECIPES)
def test_the_figures_are_those_of_the_run(name: str, runs: dict[str, Made], say: Say) -> None:
    one = runs[name]
    status, printed, _ = say("evaluate", one.page["id"], "--store", one.store, "--json")
    assert status == 0
    ours = {figure["name"]: figure["value"] for figure in json.loads(printed)["figures"]}
    theirs = {figure["name"]: figure["value"] for figure in one.page["figures"]}
    assert ours["auc_malignant"] == pytest.approx(theirs["auc"], abs=1e-4)


def test_the_manifest_names_each_step_with_what_it_has_learned_and_nobody(runs: dict[str, Made]) -> None:
    stained = read_manifest("toy_stained", runs["stained"].store).preprocessing
    (before,) = stained["before"]  # type: ignore[attr-defined]
    assert before["block"] == "macenko" and np.shape(before["learned"]["target"][0]) == (3, 2)
    assert any("macenko" in words for words in stained["steps"])  # type: ignore[attr-defined]
    by_hand = read_manifest("toy_by_hand", runs["by_hand"].store).preprocessing
    first, second = by_hand["described"]  # type: ignore[misc]
    assert first["segment"]["block"] == "tuned" and first["segment"]["learned"].keys() == {
        "smoothing", "level", "opening", "closing",
    }  # fmt: skip
    assert [block["block"] for block in first["features"]] == ["glcm", "intensity", "shape"]
    assert second["size"] == [24, 24]
    for one in runs.values():
        assert "busi group" not in (one.folder / "manifest.json").read_text()


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.long
def test_monai_runs_its_bundle_with_the_steps(name: str, runs: dict[str, Made], tmp_path: Path) -> None:
    place = runs[name].folder / "bundle"
    assert {path.name for path in place.glob("models/*")} == {"model.onnx"}
    assert (place / "models" / "model.onnx").read_bytes() == (runs[name].folder / "model.onnx").read_bytes()
    assert bundle_apart(runs[name], tmp_path / "lines.jsonl") < 1e-4


def test_what_is_served_is_what_training_makes_of_a_picture(runs: dict[str, Made]) -> None:
    one = runs["stained"]
    pipeline = Pipeline.load(one.run / "fold-0" / FOLD)
    served = steps.steps_of(read_manifest("toy_stained", one.store))
    picture = np.asarray(Image.open(one.image).convert("RGB").resize((60, 48)))
    np.testing.assert_array_equal(served.changed(picture), pipeline.learned["preprocess.0"].thing(picture))
    assert (served.changed(picture) != picture).mean() > 0.3


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.long
def test_it_is_predicted_explained_and_archived(
    name: str, runs: dict[str, Made], say: Say, tmp_path: Path
) -> None:
    one, model = runs[name], f"toy_{name}"
    words = ("explain", model, one.image, "--out", tmp_path, "--store", one.store, "--method")
    status, _, sentence = say(*words, "occlusion")
    assert status == 0, sentence
    heat = np.asarray(Image.open(next(tmp_path.glob("*.heat.png"))))
    assert heat.shape == np.asarray(Image.open(one.image).convert("L")).shape
    for method, reason in (("integrated_gradients", "no gradient"), ("map", "puts no map out")):
        status, _, sentence = say(*words, method)
        assert status == 1 and reason in sentence and sentence.count("\n") == 1
    status, printed, sentence = say("archive", "--out", tmp_path / "archives", "--store", one.store)
    assert status == 0 and f"{model}-1.0.0.mar" in printed, sentence


def test_what_outlines_after_a_step_outlines_the_same(tmp_path: Path, say: Say) -> None:
    """An export that outlines otherwise than its run, by a Dice of 0.005, is refused."""
    one = made(tmp_path, OUTLINED, published=True)
    assert exported(one) == 0
    words = (
        "explain",
        "toy_outlined",
        one.image,
        "--out",
        tmp_path / "out",
        "--store",
        one.store,
        "--method",
    )
    for method in ("map", "occlusion"):
        status, _, sentence = say(*words, method)
        assert status == 0, sentence


def test_a_network_after_a_step_that_moves_pixels_shows_no_places() -> None:
    with_map = {**NEURAL, "streams": [{"network": {"bhcnet": {"modules": 1, "width": 4}}}]}
    for steps_before, outputs in (([], ("logits", "map")), (["side_flip"], ("logits",))):
        recipe = parse({**with_map, "preprocess": steps_before}, "toy")
        assert isinstance(recipe, Recipe)
        network = make("network", "bhcnet", {"modules": 1, "width": 4}, classes=2)
        assert outputs_of(served(network, recipe), recipe) == outputs


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.long
def test_its_maps_are_checked_with_the_steps_of_each_fold(name: str, runs: dict[str, Made], say: Say) -> None:
    one = runs[name]
    words = (
        "explain",
        f"toy_{name}",
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


def test_it_is_compared_with_another_version(runs: dict[str, Made], say: Say) -> None:
    one, another = runs["by_hand"], runs["stained"]
    words = ("evaluate", "toy_by_hand", "--store", one.store, "--against", another.folder, "--json")
    status, printed, sentence = say(*words)
    assert status == 0, sentence
    assert {figure["name"] for figure in json.loads(printed)} >= {"auc_malignant_benign"}


def other(one: Made, **changes: Any) -> Any:
    manifest = read_manifest(one.page["id"], one.store)
    return manifest.model_copy(update={"preprocessing": {**manifest.preprocessing, **changes}})


def test_steps_that_make_something_else_here_serve_nothing(runs: dict[str, Made], tmp_path: Path) -> None:
    one = runs["stained"]
    forward = OnnxForward(one.folder / "model.onnx")
    made_of = read_manifest("toy_stained", one.store).preprocessing["made"]
    changed = other(one, made=[value + 3 for value in made_of])  # type: ignore[attr-defined]
    with pytest.raises(AnalysisError, match="make something else of a picture here"):
        analyse_alone(changed, forward, one.image, None, tmp_path)
    strange = other(one, before=[{"block": "posixpath", "parameters": {}}])
    with pytest.raises(AnalysisError, match="posixpath is no preprocess block"):
        analyse_alone(strange, forward, one.image, None, tmp_path)
    forged = other(one, before=[{"block": "macenko", "parameters": {}, "learned": {"target": [[1]]}}])
    with pytest.raises(AnalysisError, match="cannot be made"):
        analyse_alone(forged, forward, one.image, None, tmp_path)


def test_a_library_that_is_not_installed_is_named(
    runs: dict[str, Made], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = runs["by_hand"]
    for name in [name for name in sys.modules if name.partition(".")[0] == "skimage"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "skimage", None)
    steps._checked.cache_clear()
    with pytest.raises(AnalysisError, match="need the package skimage"):
        analyse_alone(
            read_manifest("toy_by_hand", one.store), OnnxForward(one.folder / "model.onnx"), one.image, None, tmp_path
        )  # fmt: skip


def test_a_size_that_no_memory_holds_is_refused_before_anything_is_made(runs: dict[str, Made]) -> None:
    manifest = read_manifest("toy_stained", runs["stained"].store)
    served = steps.steps_of(manifest)
    large = steps.Steps(((200_000, 200_000),), served.before, served.described)
    with pytest.raises(NotApplicable, match="GB of memory"):
        large.tensor(np.zeros((8, 8, 3), np.uint8))


@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, -1.5, 3.0, 1e-9, -123456.78, 2.0**24, 1 / 3, np.pi * 1e5])
def test_a_number_reaches_the_head_as_it_is(value: float) -> None:
    row = np.array([value, 7.25], np.float32)
    said = Numbers(2)(torch.from_numpy(steps.bytes_of(row)[None, None]).flatten(1))
    np.testing.assert_array_equal(said.numpy()[0, 0], row)


@pytest.mark.long
def test_the_reviews_recipe_of_hand_made_features_is_exported_as_it_stands(tmp_path: Path, say: Say) -> None:
    write_tree("mini_mias", tmp_path / "mini_mias")
    recipe = load("sha2020_grasshopper", ["quick"])
    assert isinstance(recipe, Recipe)
    order = RunOptions(
        tmp_path, tmp_path / "run", find("sha2020_grasshopper"), variants=("quick",), quiet=True
    )
    run(recipe, order)
    status, printed, sentence = say(
        "export", tmp_path / "run", "--store", tmp_path / "store", "--data", tmp_path
    )
    assert status == 0 and printed.startswith("sha2020_grasshopper 1.0.0: "), sentence
