"""Every recipe of the review learns from its generated tree and answers, in `bin/test`: the first fold of its `quick`
variant, 27 s of processor for 45. Whole runs from the command line are those of `test_run.py`, most of them `long`."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch

from inference.datasets.generated import tree_below
from inference.recipes.pipeline import Pipeline, Place
from inference.recipes.recipe_file import known, load
from inference.recipes.reporting import records
from inference.recipes.runner import RunOptions, prepared, rows_of

#: Seconds of processor that a recipe may take here.
MOST_SECONDS = 4.0


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every set's tree, made when it is first asked for."""
    return tmp_path_factory.mktemp("trees")


@pytest.mark.parametrize("name", known())
def test_a_tiny_variant_learns_and_answers(name: str, trees: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    recipe = load(name, ("quick",))
    for data in (recipe.data, recipe.tissue):
        if data is not None:
            tree_below(trees, data.dataset)
    began = time.process_time()
    ready = prepared(recipe, RunOptions(trees, tmp_path, tmp_path))
    fold = ready.folds[0]
    train, held = (rows_of(samples, ready.pictures) for samples in (fold.train, fold.held_out))
    pipeline = Pipeline(recipe, 0, tissue=ready.tissue)
    pipeline.fit(train, Place(tmp_path))
    made = records(recipe, pipeline.predict(held), held, 0)
    took = time.process_time() - began
    assert [record.image for record in made] == [sample.id for sample in fold.held_out]
    for record in made:
        if recipe.task.kind == "segment":
            assert record.dice is not None and 0 <= record.dice <= 1
        else:
            assert sum(record.probabilities.values()) == pytest.approx(1, abs=1e-6)
    assert took < MOST_SECONDS
