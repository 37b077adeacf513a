"""A network that finds the region: what it learns, what it refuses, and what a second stage is shown of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from inference.blocks.learned import NotFitted
from inference.blocks.overlap import dice
from inference.blocks.parameters import BlockError, make
from inference.champions.whole_image.refusals import why_not
from inference.recipes.pictures import Picture, region_of
from inference.recipes.pipeline import Pipeline
from inference.recipes.recipe_file import load
from inference.recipes.runfolder import FOLD
from inference.recipes.runner import RunOptions, run
from inference.recipes.schema import Recipe
from tests.inference.recipes.trees import busi_tree, predictions, recipe_file

SMALL = {"width": 4, "depth": 2, "side": 32, "epochs": 25}
TWO_STAGES: dict[str, Any] = {
    "id": "toy_stages", "reference": 61, "title": "Region, then class",
    "task": {"classes": ["benign", "malignant"], "positive": "malignant"},
    "data": {"dataset": "busi", "size": [44, 60], "folds": 2},
    "streams": [
        {
            "segment": {"network": {**SMALL, "epochs": 1}}, "resize": [16, 16],
            "network": {"classifier": {"backbone": {"vgg_mini": {"width": 4, "stages": 2}}}},
        }
    ],
    "train": {"epochs": 1, "batch": 4, "patience": 1, "inner_folds": 2},
    "expect": {"measure": "auc"},
}  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """More threads than cores wait for each other at every small step."""
    torch.set_num_threads(1)


def discs(number: int = 16) -> tuple[list[Any], list[Any]]:
    """Dark discs somewhere in bright noise, and where they are."""
    rng = np.random.default_rng(5)
    images, masks = [], []
    for _ in range(number):
        y, x = np.ogrid[:40, :56]
        mask = (y - rng.integers(12, 28)) ** 2 + (x - rng.integers(14, 42)) ** 2 < 64
        images.append(np.clip(rng.normal(170, 15, (40, 56)) - 110 * mask, 0, 255).astype(np.uint8))
        masks.append(mask)
    return images, masks


def test_it_learns_to_outline_and_names_whom_it_learned_from() -> None:
    images, masks = discs()
    made = make("segment", "network", SMALL, seed=1)
    with pytest.raises(NotFitted):
        made(images[0])

    made.fit(images[:12], masks[:12], groups=list("abcdefghijkl"))

    assert np.mean([dice(made(i), m) for i, m in zip(images[12:], masks[12:], strict=True)]) > 0.7
    assert made.fitted_on == set("abcdefghijkl")


def test_it_learns_from_a_threshold_where_a_set_has_no_outlines() -> None:
    images, masks = discs()
    nothing = [np.zeros_like(mask) for mask in masks]

    made = make("segment", "network", {**SMALL, "taught_by": "otsu"}, seed=1).fit(images, nothing)

    assert np.mean([dice(made(image), mask) for image, mask in zip(images, masks, strict=True)]) > 0.7
    with pytest.raises(ValueError, match="no image of the training fold has an outline"):
        make("segment", "network", SMALL, seed=1).fit(images, nothing)


def test_the_same_seed_gives_the_same_network_and_leaves_others_numbers_alone() -> None:
    images, masks = discs(4)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first, second = (make("segment", "network", {**SMALL, "epochs": 1}, seed=1) for _ in range(2))
    states = [one.fit(images, masks).__getstate__()["_network"] for one in (first, second)]

    assert all(np.array_equal(states[0][name], states[1][name]) for name in states[0])
    assert torch.equal(torch.rand(2), expected)


def test_a_side_that_cannot_be_halved_is_refused() -> None:
    with pytest.raises(BlockError, match="a side of 33 pixels cannot be halved 2 times"):
        make("segment", "network", {**SMALL, "side": 33})


def test_a_region_is_the_square_around_the_outline() -> None:
    mask = np.zeros((40, 60), bool)
    mask[10:20, 30:34] = True
    image = np.arange(2400, dtype=np.uint16).reshape(40, 60).astype(np.uint8)

    cut = region_of(Picture(image, mask), 0.0)

    assert cut.image.shape == (10, 10) and np.array_equal(cut.image, image[10:20, 27:37])
    assert region_of(Picture(image, np.zeros_like(mask)), 0.0).image is image


def test_two_stages_run_are_kept_and_say_again_what_they_said(tmp_path: Path) -> None:
    """Early stopping looks at regions too; the file of the fold brings both networks back."""
    tree = busi_tree(tmp_path / "busi", groups=12)
    path = recipe_file(tmp_path, TWO_STAGES)
    recipe = load(str(path))
    assert isinstance(recipe, Recipe)

    page = run(recipe, RunOptions(tree, tmp_path / "run", path, quiet=True))

    assert page["images"] == 12
    known = Pipeline.load(tmp_path / "run" / "fold-0" / FOLD)
    assert set(known.learned) == {"streams.0.segment", "streams.0.network"}
    picture = Picture(np.full((44, 60), 90, np.uint8))
    assert known.predict_alone(picture).sum() == pytest.approx(1)
    assert predictions(tmp_path / "run")
    assert "finds a region first" in why_not(recipe)
