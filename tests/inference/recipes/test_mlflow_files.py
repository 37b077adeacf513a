"""A run as MLflow's file store has it. The layout was read with mlflow-skinny 3.17.2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from inference.recipes.recipe_file import load
from inference.recipes.runner import RunOptions, run
from inference.recipes.schema import Recipe
from tests.inference import plain_network  # noqa: F401 - registers `plain`
from tests.inference.recipes.trees import NEURAL, busi_tree, recipe_file


@pytest.fixture
def page(tmp_path: Path) -> dict[str, Any]:
    path = recipe_file(tmp_path, NEURAL)
    recipe = load(str(path))
    assert isinstance(recipe, Recipe)
    order = RunOptions(
        busi_tree(tmp_path / "busi", 12), tmp_path / "run", path, quiet=True, mlflow=tmp_path / "mlruns"
    )
    first, again = run(recipe, order), run(recipe, order)
    assert first == again, "a finished run is the same run"
    return again


def test_a_run_is_one_run_of_the_store(page: dict[str, Any], tmp_path: Path) -> None:
    (experiment,) = (tmp_path / "mlruns").iterdir()
    (found,) = (folder for folder in experiment.iterdir() if folder.is_dir())
    named = yaml.safe_load((experiment / "meta.yaml").read_text())
    assert named["name"] == "toy_neural" and named["experiment_id"] == experiment.name
    meta = yaml.safe_load((found / "meta.yaml").read_text())
    assert meta["run_id"] == found.name and meta["status"] == 3 and meta["end_time"] >= meta["start_time"]
    assert (found / "params" / "recipe").read_text() == page["hash"]
    losses = (found / "metrics" / "fold-1.streams.0.network.loss").read_text().splitlines()
    assert [line.split()[2] for line in losses] == ["1", "2", "3"]
    auc = next(figure["value"] for figure in page["figures"] if figure["name"] == "auc")
    assert float((found / "metrics" / "result.auc").read_text().split()[1]) == auc
