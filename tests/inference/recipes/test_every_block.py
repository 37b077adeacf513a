"""Every block in every place that the schema lets it stand in: a figure or a sentence, never a traceback."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from inference.blocks import registry
from inference.blocks.parameters import BlockError
from inference.blocks.swarm import Method
from inference.datasets.sample import DatasetError, LeakError
from inference.recipes.runner import RunOptions, run
from inference.recipes.schema import RecipeError
from inference.recipes.validation import parse
from tests.inference.recipes.trees import CLASSIC, busi_tree

#: What a block needs to stand in a recipe at all.
NEEDED: dict[str, dict[str, Any]] = {
    "soft_vote": {"heads": ["naive_bayes", "logistic_regression"]},
    "parallel": {
        "backbones": [{"vgg_mini": {"width": 4, "stages": 2}}, {"vgg_mini": {"width": 2, "stages": 2}}]
    },
    "level_reader": {key: {"vgg_mini": {"width": 4, "stages": 2}} for key in ("backbone", "cells")},
    "resize": {"size": 24},
    "hierarchical": {"branches": {"b": ["benign"], "m": ["malignant"]}},
}
SWARMS = get_args(Method)
SMALL: dict[str, dict[str, Any]] = {
    **{name: {"agents": 3, "iterations": 1} for name in SWARMS}, "uniform_design": {"runs": 3},
    "network": {"width": 4, "depth": 2, "side": 16, "epochs": 1},
    "tuned": {"agents": 2, "iterations": 1, "working_px": 24}, "random_forest": {"trees": 5},
    "gradient_boosting": {"trees": 5}, "kmeans_discriminative": {"clusters": 2, "folds": 2},
}  # fmt: skip
NETWORK = {"classifier": {"backbone": {"vgg_mini": {"width": 4, "stages": 2}}}}
TRAIN = {"epochs": 1, "batch": 4}


def written(family: str, name: str) -> dict[str, Any]:
    inner = {"folds": 2} if family == "select" and name in SWARMS else {}
    return {name: {**NEEDED.get(name, {}), **(SMALL.get(name, {}) if family != "pool" else {}), **inner}}


def places(family: str, name: str) -> list[dict[str, Any]]:
    """Small recipes with the block in each place of its family."""
    block = written(family, name)
    classic = {**CLASSIC, "data": {"dataset": "busi", "size": [32, 40], "folds": 2}}
    neural = {
        **{k: v for k, v in classic.items() if k != "head"},
        "streams": [{"network": NETWORK}],
        "train": TRAIN,
    }
    segment = {
        **neural, "task": {**classic["task"], "kind": "segment"}, "expect": {"measure": "dice"},
        "streams": [{"network": {"unet": {"width": 4, "depth": 2}}}], "train": {**TRAIN, "loss": "dice_bce"},
    }  # fmt: skip
    detect = {
        **segment, "task": {**classic["task"], "kind": "detect"}, "expect": classic["expect"],
        "streams": [{"network": {"retina": {"width": 16, "depth": 0, "smallest": 8}}}],
        "train": {**TRAIN, "loss": "retina"},
    }  # fmt: skip
    rgb = {"data": {**classic["data"], "colour": "rgb"}}
    patches = {"size": 16, "stride": 8, "limit": 3}
    if family == "preprocess":
        return [
            {**kind, **colour, "preprocess": [block]} for kind in (classic, segment) for colour in ({}, rgb)
        ]
    if family == "features":
        parts: tuple[dict[str, Any], ...] = ({}, {"segment": "otsu"}, {"patches": patches})
        return [
            {**classic, **colour, "streams": [{"features": [block], **part}]}
            for part in parts
            for colour in ({}, rgb)
        ]
    if family == "segment":
        second = {"segment": block, "resize": [16, 16], "network": NETWORK}
        return [
            {**classic, "streams": [{"features": ["shape"], "segment": block}]},
            {**neural, "streams": [second]},
        ]
    if family in ("backbone", "pool", "attention"):
        inside: dict[str, Any] = (
            {"backbone": block} if family == "backbone" else {**NETWORK["classifier"], family: block}
        )
        if family == "attention":
            inside = {"backbone": {"vgg_mini": {"width": 4, "stages": 2, "attention": name}}}
        network = {"classifier": inside}
        return [
            {**neural, "streams": [{"network": network}]},
            {**neural, "streams": [{"network": network, "trained": False}], "head": "naive_bayes"},
        ]
    if family == "network":
        asked = {"backbone": "vgg_mini"} if name == "classifier" else NEEDED.get(name, {})
        stream: dict[str, Any] = {"network": {name: asked}}
        if name == "level_reader":  # two squares one under another
            stream["resize"] = [32, 16]
        return [
            {**neural, "streams": [stream]},
            {**segment, "streams": [stream]},
            {**neural, "streams": [{**stream, "trained": False}], "head": "knn"},
            {**detect, "streams": [stream]},
        ]
    if family == "aggregate":
        stream = {"patches": patches, "aggregate": block}
        return [
            {**base, "streams": [{**stream, **source}], **head}
            for base, source in ((classic, {"features": ["intensity"]}), (neural, {"network": NETWORK}))
            for head in ({"head": None}, {"head": "naive_bayes"})
        ]
    if family == "select":
        return [{**classic, "select": [block]}]
    if family == "head":
        return [{**classic, "head": block}]
    if family in ("schedule", "loss", "sampler"):
        return [{**base, "train": {**base["train"], family: block}} for base in (neural, segment, detect)] + [
            {**neural, "train": {**neural["train"], family: block, "balance": "weights"}}
        ]
    if family == "augment":
        return [
            {**base, **colour, "train": {**base["train"], "augment": [block]}}
            for base in (neural, segment)
            for colour in ({}, rgb)
        ]
    assert family == "search", f"say where a {family} stands"
    return [{**classic, "search": {"method": block, "over": {"head.parameters.C": [1.0, 2.0]}, "folds": 2}}]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return busi_tree(tmp_path_factory.mktemp("busi"), groups=12)


def outcome(content: dict[str, Any], tree: Path, folder: Path) -> str:
    """ "ran", or the sentence; anything else is raised."""
    source = folder / "unused.yaml"
    source.write_text("")
    try:
        run(parse(content, "fuzz"), RunOptions(tree, folder / "run", source, quiet=True))
    except (RecipeError, BlockError, DatasetError, LeakError) as error:
        assert "\n" not in str(error)
        return f"{type(error).__name__}: {error}"
    return "ran"


#: Families that only the stages of a served model name.
STAGED = ("objective", "views")
EVERY = [
    (family, name) for family in registry.FAMILIES for name in registry.names(family) if family not in STAGED
]


@pytest.mark.long
@pytest.mark.parametrize(("family", "name"), EVERY)
def test_a_block_runs_or_is_refused_in_a_sentence(family: str, name: str, tree: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    outcomes = []
    for number, content in enumerate(places(family, name)):
        folder = tmp_path / str(number)
        folder.mkdir()
        outcomes.append(outcome(content, tree, folder))
    print(family, name, outcomes)
    # the tree is grey: nothing in it has a stain to learn from; and some networks are for stages alone
    staged = registry.traits(family, name).gives == "objective"
    assert "ran" in outcomes or staged or name in ("macenko", "reinhard"), outcomes
