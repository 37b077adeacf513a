"""A set that is a table: its rows are read, divided, judged and guarded as images are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.champions.whole_image.refusals import why_not
from inference.datasets import wdbc
from inference.datasets.catalogue import DATASETS, Dataset
from inference.datasets.generated import tree_below
from inference.datasets.sample import DatasetError, LeakError
from inference.recipes.pipeline import Pipeline
from inference.recipes.protocol import choose
from inference.recipes.recipe_file import load
from inference.recipes.runfolder import FOLD
from inference.recipes.runner import RunOptions, predict_files, run
from inference.recipes.schema import RecipeError
from inference.recipes.validation import changed, parse
from tests.inference.recipes.trees import CLASSIC

TABLE: dict[str, Any] = {**CLASSIC, "data": {"dataset": "wdbc", "folds": 2}, "streams": [{"columns": True}]}


def test_the_rows_of_wdbc_are_classified_and_a_fold_says_the_same_again(tmp_path: Path) -> None:
    recipe = load("figure2_classic_table", ("quick",))
    source = tmp_path / "unused.yaml"
    source.write_text("")
    order = RunOptions(tree_below(tmp_path, "wdbc"), tmp_path / "run", source, quiet=True)
    page = run(recipe, order)
    assert page["images"] == page["groups"] == 150 and page["honest_number"]["low"] > 0.9
    fold = Pipeline.load(tmp_path / "run" / "fold-0" / FOLD)
    row = np.array(choose(recipe, tmp_path, 0).samples[0].numbers)
    assert fold.predict_alone(row).sum() == pytest.approx(1)
    with pytest.raises(DatasetError, match="reads rows of numbers"):
        predict_files(tmp_path / "run" / "fold-0", [source])
    assert "reads rows of a table" in why_not(recipe)


def test_a_row_that_stands_there_twice_may_not_cross_the_border(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = wdbc.read()
    copies = tuple(
        replace(
            s,
            id=f"copy-{n}",
            group_id=f"copy-{n}",
            patient_id=f"copy-{n}",
            path=s.path.with_name(f"copy-{n}"),
        )
        for n, s in enumerate(manifest.samples[:20])
    )
    twice = replace(manifest, samples=(*manifest.samples, *copies))
    monkeypatch.setitem(DATASETS, "wdbc", Dataset("wdbc", lambda root: twice))
    source = tmp_path / "unused.yaml"
    source.write_text("")
    with pytest.raises(LeakError, match="same bytes"):
        run(parse(TABLE, "toy"), RunOptions(tmp_path, tmp_path / "run", source, quiet=True), rehearsed=True)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"streams": [{"columns": True, "features": ["intensity"]}]}, "taken as it stands"),
        ({"data": {"dataset": "wdbc", "size": [8, 8]}}, "the rows of a table have none"),
        ({"streams": [{"features": ["intensity"]}]}, "images have one, height and width"),
        ({"preprocess": ["median"]}, "no image to prepare"),
        ({"head": None}, "head: only one trained network"),
    ],
)
def test_what_is_done_to_images_is_refused_of_a_table(changes: dict[str, Any], said: str) -> None:
    assert parse(TABLE, "toy").of_table
    with pytest.raises(RecipeError, match=said):
        parse({**TABLE, **changes}, "toy")


def test_a_table_is_no_set_of_images_and_the_reverse(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="wdbc is a table"):
        choose(parse({**CLASSIC, "data": {**CLASSIC["data"], "dataset": "wdbc"}}, "toy"), tmp_path, 0)
    tree = tree_below(tmp_path, "busi")
    with pytest.raises(RecipeError, match="busi is no table"):
        choose(parse({**TABLE, "data": {"dataset": "busi"}}, "toy"), tree, 0)
    assert changed(parse(TABLE, "toy"), {"data.folds": 3}).of_table
