"""The report on clusters of features: found in the training part, looked up for the rest, of a recipe that asks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from inference.recipes.clusters import clustered
from inference.recipes.recipe_file import load
from inference.recipes.reporting import as_text
from inference.recipes.reproduction import collected
from inference.recipes.runner import RunOptions, run
from inference.recipes.schema import Clusters, Recipe, RecipeError
from inference.recipes.validation import changed
from tests.inference.recipes.trees import NEURAL, busi_tree, recipe_file

PLAN = Clusters(hidden=32, most=5, epochs=200)


def three_clouds(each: int, seed: int) -> tuple[np.ndarray, list[str]]:
    middles = np.random.default_rng(0).normal(size=(3, 12)) * 10
    rows = np.random.default_rng(seed).normal(size=(3 * each, 12)) + np.repeat(middles, each, axis=0)
    return rows, [name for name in ("a", "b", "c") for _ in range(each)]


def test_three_clouds_are_found_as_three_and_named_by_rows_that_it_has_not_seen() -> None:
    (train, _), (held, labels) = three_clouds(20, 1), three_clouds(8, 2)
    found = clustered(train, held, labels, PLAN, 0)
    assert found["clusters"] == 3 and found["silhouette"] > 0.6
    assert found["adjusted_rand"] > 0.8 and found["mutual_information"] > 0.8
    assert sum(one["images"] for one in found["held_out"]) == 24
    assert len(found["places"]) == 24 and found == clustered(train, held, labels, PLAN, 0)


def test_held_out_rows_change_nothing_for_one_another() -> None:
    (train, _), (held, labels) = three_clouds(20, 1), three_clouds(8, 2)
    alone = clustered(train, held[:1], labels[:1], PLAN, 0)
    assert alone["places"][0] == pytest.approx(clustered(train, held, labels, PLAN, 0)["places"][0], abs=1e-3)


def test_rows_of_one_class_have_no_more_groups_than_they_have_rows() -> None:
    found = clustered(np.zeros((2, 4)), np.ones((3, 4)), ["a", "b", "a"], PLAN, 0)
    assert (found["clusters"], found["silhouette"]) == (1, None)


def test_a_run_that_asks_for_clusters_keeps_them_beside_its_predictions(tmp_path: Path) -> None:
    content = {
        **NEURAL,
        "streams": [{"network": {"classifier": {"backbone": {"vgg_mini": {"width": 4, "stages": 2}}}}}],
        "train": {"epochs": 1, "batch": 8},
        "evaluate": {"clusters": {"hidden": 8, "most": 3, "epochs": 5}},
    }
    torch.set_num_threads(1)
    source = recipe_file(tmp_path, content)
    recipe = load(str(source))
    assert isinstance(recipe, Recipe)
    page = run(recipe, RunOptions(busi_tree(tmp_path / "tree"), tmp_path / "run", source, quiet=True))
    assert "  fold 1: 2 clusters" in as_text(page) or "  fold 1: 3 clusters" in as_text(page)
    assert len(page["clusters"]) == 2 and all(one["clusters"] >= 2 for one in page["clusters"])
    assert sum(part["images"] for one in page["clusters"] for part in one["held_out"]) == 30
    told = collected(tmp_path / "run")["clusters"]
    assert "places" in page["clusters"][0] and "places" not in told[0], (
        "nothing of single images leaves the run"
    )


def test_a_recipe_without_a_network_has_none_to_report() -> None:
    classic = load("sha2020_grasshopper")
    assert isinstance(classic, Recipe)
    with pytest.raises(RecipeError, match=r"evaluate.clusters: .* the first stream has none"):
        changed(classic, {"evaluate.clusters": {}})
