"""Sets whose pictures are never held together: the same run as from memory, to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from inference.recipes.recipe_file import load
from inference.recipes.runner import RunOptions, run
from inference.recipes.schema import Recipe
from inference.recipes.validation import parse
from inference.training.shards import INDEX
from tests.inference import plain_network  # noqa: F401 - registers `plain`
from tests.inference.recipes.trees import NEURAL, busi_tree, predictions, recipe_file

_CLASSIFIER = {"classifier": {"backbone": {"vgg_mini": {"width": 4, "stages": 2}}, "pool": "gap"}}
#: Stops early by a watching part, is calibrated, and augments.
WATCHED: dict[str, Any] = {
    **NEURAL,
    "train": {**NEURAL["train"], "patience": 1, "batch": 5},
    "calibrate": True,
}
OUTLINES: dict[str, Any] = {
    **NEURAL,
    "id": "toy_outlines",
    "task": {**NEURAL["task"], "kind": "segment"},
    "data": {"dataset": "busi", "size": [16, 24], "folds": 2},
    "streams": [{"network": {"unet": {"width": 4, "depth": 2}}}],
    "train": {"epochs": 2, "batch": 4, "loss": "dice_bce", "augment": ["flips"], "patience": 2},
    "expect": {"measure": "dice"},
}
#: In colour, after a step that learns and one that does not, as bags of patches whose features go to a head;
#: another process reads ahead.
BAGS: dict[str, Any] = {
    **NEURAL,
    "id": "toy_bags",
    "data": {"dataset": "busi", "size": [24, 32], "folds": 2, "colour": "rgb"},
    "preprocess": ["median"],
    "streams": [
        {"patches": {"size": 16, "stride": 8, "limit": 3}, "network": _CLASSIFIER, "aggregate": "p_norm"}
    ],
    "head": "logistic_regression",
    "train": {"epochs": 1, "batch": 8, "workers": 1},
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return busi_tree(tmp_path_factory.mktemp("busi"), groups=16)


def made(folder: Path, content: dict[str, Any], tree: Path, memory_mb: int) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    said = {**content, "data": {**content["data"], "memory_mb": memory_mb}}
    path = recipe_file(folder, said)
    recipe = load(str(path))
    assert isinstance(recipe, Recipe)
    return run(recipe, RunOptions(tree, folder / "run", path, quiet=True))


@pytest.mark.parametrize("content", [WATCHED, OUTLINES, BAGS], ids=["watched", "outlines", "bags"])
def test_a_run_over_its_budget_ends_with_the_same_predictions(
    content: dict[str, Any], tmp_path: Path, tree: Path
) -> None:
    held, streamed = (
        made(tmp_path / name, content, tree, mb) for name, mb in (("held", 64), ("streamed", 0))
    )
    assert predictions(tmp_path / "streamed" / "run") == predictions(tmp_path / "held" / "run") != {}
    assert held["figures"] == streamed["figures"]
    assert not list(tmp_path.rglob("*.shards")), "what was learned from is not kept"


def test_a_killed_run_finds_its_shards_again(
    tmp_path: Path, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inference.recipes.runfolder import RunFolder

    logged = RunFolder.log

    def dying(self: RunFolder, name: str, epoch: int, values: dict[str, float]) -> None:
        logged(self, name, epoch, values)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(RunFolder, "log", dying)
        made(tmp_path / "killed", WATCHED, tree, 0)
    (kept,) = (tmp_path / "killed").rglob("*network.shards")
    written = (kept / INDEX).stat().st_mtime_ns
    half = kept.with_name("streams.0.network.watch.shards")
    (half / INDEX).unlink()  # as if it had died while writing these
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(RunFolder, "log", dying)
        made(tmp_path / "killed", WATCHED, tree, 0)
    assert (kept / INDEX).stat().st_mtime_ns == written and (half / INDEX).is_file()
    made(tmp_path / "killed", WATCHED, tree, 0)
    made(tmp_path / "whole", WATCHED, tree, 0)
    assert predictions(tmp_path / "killed" / "run") == predictions(tmp_path / "whole" / "run") != {}


def test_what_is_not_said_of_streaming_changes_no_digest() -> None:
    plain = parse(NEURAL, "toy")
    silent = {"data": {**NEURAL["data"], "memory_mb": 4096}, "train": {**NEURAL["train"], "workers": 0}}
    assert parse({**NEURAL, **silent}, "toy").hash == plain.hash
    assert "memory_mb" not in plain.canonical and "workers" not in plain.canonical
    assert parse({**NEURAL, "data": {**NEURAL["data"], "memory_mb": 64}}, "toy").hash != plain.hash
