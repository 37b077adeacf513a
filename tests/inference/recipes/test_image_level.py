"""The protocol `image_level` leaks by design: nobody runs it by accident, its outputs say so, none of it is served."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from inference.champions.whole_image.export import recipe_of_run
from inference.champions.whole_image.refusals import ExportError
from inference.cli.main import main
from inference.datasets.sample import LeakError, Sample
from inference.evaluation.records import PREDICTIONS, read_records
from inference.recipes.boundary import guard
from inference.recipes.protocol import LEAKY, images_apart
from inference.recipes.recipe_file import load
from inference.recipes.reporting import as_text
from inference.recipes.runner import RunOptions, run
from inference.recipes.schema import RecipeError
from inference.runtime.custody import CUSTODY, CustodyError, verify
from inference.runtime.store import MANIFEST
from tests.inference.recipes.trees import CLASSIC, busi_tree, recipe_file

STORE = Path(__file__).parents[3] / "model_store"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Women with two images of one kind each."""
    root = busi_tree(tmp_path_factory.mktemp("busi"), groups=24)
    rows = (root / "split.csv").read_text().splitlines()
    pairs = [rows[0]]
    for row in rows[1:]:
        image, label, group, part = row.split(",")
        number = int(group.removeprefix("g")) - 1
        pairs.append(f"{image},{label},g{number // 4}-{number % 2},{part}")
    (root / "split.csv").write_text("\n".join(pairs) + "\n")
    return root


@pytest.fixture(scope="module")
def leaky(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A run with `--inflated`, and its summary."""
    folder = tmp_path_factory.mktemp("leaky")
    path = recipe_file(folder, CLASSIC)
    arguments = ["train", str(path), "--data", str(tree), "--run", str(folder / "run"), "--threads", "1"]
    assert main([*arguments, "--inflated"]) == 0
    return folder / "run", json.loads((folder / "run" / "summary.json").read_text())


def test_it_is_refused_without_the_flag(tree: Path, tmp_path: Path) -> None:
    path = recipe_file(tmp_path, {**CLASSIC, "data": {**CLASSIC["data"], "protocol": "image_level"}})
    recipe = load(str(path))
    with pytest.raises(RecipeError, match="to show inflation only, with --inflated"):
        run(recipe, RunOptions(tree, tmp_path / "run", path, quiet=True))
    assert not (tmp_path / "run" / "run.json").exists()
    assert main(["train", str(path), "--data", str(tree), "--run", str(tmp_path / "run")]) == 1


def test_women_straddle_and_every_output_says_so(leaky: tuple[Path, dict[str, Any]]) -> None:
    folder, page = leaky
    images = json.loads((folder / "data.json").read_text())["images"]
    owner = {image["image"]: image["group"] for image in images}
    splits = json.loads((folder / "splits.json").read_text())
    sides = [{owner[name] for name in splits[0][side]} for side in ("train", "held_out")]
    assert sides[0] & sides[1], "nobody stands on both sides, and nothing is inflated"
    assert page["leaky"] == LEAKY and page["protocol"] == "image_level" and LEAKY in page["declared"]
    assert "24 of 24 images are of groups with several images" in " ".join(page["declared"])
    assert LEAKY in as_text(page) and "group-disjoint" not in as_text(page)
    assert json.loads((folder / "data.json").read_text())["declared"].count(LEAKY) == 1
    assert json.loads((folder / "recipe.json").read_text())["data"]["protocol"] == "image_level"
    records = read_records(folder / "fold-0" / PREDICTIONS)
    assert all(record.flags == ("image_level_leaky",) for record in records)


def test_nothing_of_it_is_exported_or_kept_in_a_store(
    leaky: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match="inflated by design"):
        recipe_of_run(leaky[0])
    version = next(iter(sorted((STORE / "ultrasound").iterdir())))
    copy = tmp_path / "ultrasound" / version.name
    copy.mkdir(parents=True)
    for name in (MANIFEST, CUSTODY):
        shutil.copy(version / name, copy / name)
    shutil.copy(leaky[0] / "recipe.json", copy / "recipe.json")
    with pytest.raises(CustodyError, match="leaky: its recipe deals images, not patients"):
        verify(copy)


def test_the_border_lets_women_through_and_still_no_image() -> None:
    samples = [
        Sample(f"{n}.png", "busi", "ultrasound", Path(f"{n}.png"), "g", "benign", False, "p") for n in (0, 1)
    ]
    digests = dict.fromkeys((sample.path for sample in samples), "same")
    apart = images_apart(samples)
    guard(apart[:1], apart[1:], digests, leaky=True)
    with pytest.raises(LeakError):
        guard(apart[:1], apart[1:], digests)
    with pytest.raises(LeakError, match="image 0 stands in both"):
        guard(apart, apart[:1], digests, leaky=True)
