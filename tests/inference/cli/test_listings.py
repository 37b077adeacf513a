"""What the laboratory says that it has: recipes, blocks, generated trees."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from inference.blocks import registry
from inference.champions import registry as champions
from inference.cli.main import main
from inference.datasets.catalogue import DATASETS
from inference.datasets.generated import TREES
from inference.recipes.recipe_file import known, load
from inference.recipes.review import DATASETS as SETS
from inference.recipes.review import METHODS


def test_every_recipe_is_listed_with_its_sets_and_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CAD_RUNS", str(tmp_path))
    run = tmp_path / "sha2020_grasshopper-quick"
    run.mkdir()
    (run / "run.json").write_text('{"hash": "00"}')
    (run / "splits.json").write_text("[{}, {}, {}]")
    assert main(["recipes", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    found = {one["name"]: one for one in listed if one["kind"] in ("review", "served") and one["name"]}
    assert set(found) == {*known(), *champions.names()}
    sha = found["sha2020_grasshopper"]
    assert (sha["reference"], sha["datasets"], sha["state"]) == (51, ["mini_mias"], "runs")
    assert sha["hash"] == load("sha2020_grasshopper").hash and "exports" not in sha
    assert [(run["run"], run["state"]) for run in sha["runs"]] == [
        ("sha2020_grasshopper-quick", "0 of 3 folds")
    ]
    assert found["jiang2019_bhcnet"]["datasets"] == ["breakhis", "idc"]
    assert found["jiang2019_bhcnet"]["runs"] == []
    bhcnet = found["jiang2019_bhcnet"]
    assert bhcnet["review_number"] == 0.9887 and bhcnet["ours"]["low"] < bhcnet["ours"]["value"] < 0.9
    assert found["ultrasound"]["kind"] == "served"
    assert set(METHODS) <= {one["reference"] for one in listed if one["kind"] == "review"}
    assert [one["name"] for one in listed if one["kind"] == "dataset" and one["state"] == "runs"] == list(
        SETS
    )
    told = {"reference", "name", "title", "datasets", "state", "review_number", "ours"}
    assert all(told <= set(one) and one["title"] for one in listed)
    missing = [one for one in listed if one["state"] == "missing"]
    assert all(one["name"] is None and one["ours"] is None for one in missing)
    assert not {one["reference"] for one in missing} & {one["reference"] for one in found.values()}
    assert main(["recipes"]) == 0
    assert "[51]      sha2020_grasshopper  Segmentation and feature" in capsys.readouterr().out


def test_the_list_of_recipes_imports_no_block() -> None:
    """It is asked for all the time; torch alone takes seconds."""
    said = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "inference", "recipes"],
        capture_output=True, text=True, check=True,
    ).stderr  # fmt: skip
    imported = {line.rpartition("|")[2].strip() for line in said.splitlines()}
    assert "inference.recipes.recipe_file" in imported
    assert not imported & {"torch", "sklearn", "scipy", "inference.recipes.rehearsal"}
    assert not [
        name for name in imported if name.startswith(("inference.blocks.networks", "inference.training"))
    ]


@pytest.mark.long
def test_a_check_says_of_every_recipe_whether_it_can_be_exported(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "--check", "--json"]) == 0
    listed = {one["name"]: one for one in json.loads(capsys.readouterr().out)}
    assert all(listed[name]["state"] == "runs" and "exports" in listed[name] for name in known())
    assert listed["ultrasound"]["exports"] and listed["ultrasound"]["hash"]
    masses = listed["baccouche2021_connected_unets"]
    assert "cut out by the truth's outline" in masses["why_not"] and masses["why_not_variants"]["whole"] == ""
    assert main(["recipes", "--check"]) == 0
    printed = capsys.readouterr().out
    assert "not exported: its regions are cut out" in printed and "(the variants whole can be)" in printed


def test_every_block_is_listed_with_its_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["blocks", "--json"]) == 0
    found = {(one["family"], one["name"]): one for one in json.loads(capsys.readouterr().out)}
    assert set(found) == {(family, name) for family in registry.FAMILIES for name in registry.names(family)}
    assert [name for name, one in found.items() if not one["summary"]] == []
    svm = found["head", "svm"]
    assert svm["parameters"][0] == {"name": "C", "type": "float", "default": 1.0}
    assert svm["source"] == "inference.blocks.heads.catalogue"
    assert found["preprocess", "resize"]["parameters"][0]["needed"] is True
    assert (
        found["loss", "dice_bce"]["takes"] == "outlines" and found["preprocess", "macenko"]["colour"] == "rgb"
    )
    assert main(["blocks", "pool"]) == 0
    assert "  pnorm: {p: float = 3.0, learn: bool = false}" in capsys.readouterr().out
    assert main(["blocks", "pools"]) == 1
    assert "pools is no family of" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(TREES))
def test_a_tree_of_every_set_is_written_and_its_importer_reads_it(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "tree"
    assert main(["generate", name, str(folder)]) == 0
    assert capsys.readouterr().out.strip() == str(folder)
    assert DATASETS[name].read(folder).samples
    before = sorted(folder.rglob("*"))
    assert main(["generate", name, str(folder)]) == 1
    assert "is no empty folder; nothing was written" in capsys.readouterr().err
    assert sorted(folder.rglob("*")) == before


def test_generate_says_what_it_cannot_make(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "nobody", str(tmp_path / "a")]) == 1
    assert main(["generate", "busi"]) == 1
    (tmp_path / "file").write_text("")
    assert main(["generate", "busi", str(tmp_path / "file")]) == 1
    assert main(["generate", "busi", str(tmp_path / "file" / "below")]) == 1
    errors = capsys.readouterr().err
    assert errors.count("inference: ") == errors.count("\n") == 4
    assert main(["generate", "list"]) == 0
    assert capsys.readouterr().out.split() == sorted(TREES)
