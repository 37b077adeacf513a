"""Trained there, tested here: which sets taught an answer, scanner by scanner, and what is missing is named."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from inference.cli.main import main
from inference.datasets.generated import write as write_tree
from inference.evaluation import external
from inference.evaluation.matrix import ALL, OUTLINE, cells, untested
from inference.evaluation.records import Record
from inference.recipes.recipe_file import load
from inference.recipes.runner import RunOptions, run
from inference.recipes.schema import Recipe
from inference.runtime.pipelines import WHOLE_IMAGE
from inference.runtime.store import DEFAULT_STORE, read_manifest
from inference.runtime.whole_image.pipeline import OUTLINED
from tests.inference.recipes.trees import CLASSIC, recipe_file

ULTRASOUND, MAMMOGRAPHY = read_manifest("ultrasound", version="2.2.0"), read_manifest("mammography")


def frames(dataset: str, split: str, number: int = 80) -> list[Record]:
    made = []
    for index in range(number):
        chance = (index * 37 % 100) / 100
        told = {"malignant": chance, "benign": 1 - chance, "normal": 0.0}
        facts = {"device": "AB"[index // 2 % 2]} if dataset == "busbra" else {}
        label = "malignant" if index % 3 == 0 else "benign"
        made.append(Record(dataset, str(index), f"g{index // 2}", label, told, split=split, facts=facts))  # type: ignore[arg-type]
    return made


def test_a_cell_is_a_pair_a_scanner_and_an_answer_with_thresholds() -> None:
    found = cells(ULTRASOUND, [*frames("busbra", "external"), *frames("busi", "oof")], ["busi"], {})
    assert {(cell.trained_on, cell.tested_on, cell.scanner, cell.split) for cell in found} == {
        (("busi",), "busbra", ALL, "external"), (("busi",), "busbra", "A", "external"),
        (("busi",), "busbra", "B", "external"), (("busi",), "busi", ALL, "oof"),
    }  # fmt: skip
    names = {figure.name for cell in found for figure in cell.figures}
    assert {"auc_malignant_benign", "auc_patient_malignant_benign", "ece_malignant_rest"} <= names
    assert {
        f"{what}_{point}" for what in ("sensitivity", "specificity") for point in ULTRASOUND.thresholds
    } <= names


def test_a_scanner_of_few_images_makes_no_cell() -> None:
    few = frames("busbra", "external", 100)
    few = [*few[:70], *(r for r in few[70:] if r.facts["device"] == "A")]
    few = [r for k, r in enumerate(few) if r.facts["device"] == "A" or k < 20]
    assert {cell.scanner for cell in cells(ULTRASOUND, few, ["busi"], {})} == {ALL, "A"}


def test_an_answer_was_taught_by_the_sets_that_ask_for_it_and_know_it() -> None:
    films = [
        Record("mini_mias", str(k), str(k // 2), ("malignant", "benign", "normal")[k % 3],
               {"malignancy": k % 7 / 7, "abnormal": k % 5 / 5, "normal": 0.0}, split="oof")
        for k in range(60)
    ]  # fmt: skip
    foreign = {"mini_mias": ("malignancy",)}
    records = external.parted(films, foreign)
    found = cells(MAMMOGRAPHY, records, ["cbis_mass_256", "mini_mias"], foreign)
    assert {(cell.trained_on, cell.tested_on, cell.split) for cell in found} == {
        (("cbis_mass_256",), "mini_mias", "external"), (("mini_mias",), "mini_mias", "oof"),
    }  # fmt: skip


def test_pairs_that_need_a_training_are_named() -> None:
    found = cells(ULTRASOUND, frames("busbra", "external"), ["busi"], {})
    assert untested(found, ["busi", "busbra"]) == [("busi", "busi"), ("busbra", "busi"), ("busbra", "busbra")]


def test_the_command_measures_anew_what_lies_in_the_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    shutil.copytree(DEFAULT_STORE / "ultrasound" / "2.2.0", store / "ultrasound" / "2.2.0")
    words = ["matrix", "ultrasound", "--json", "--store", str(store)]
    assert main(words) == 0
    content = json.loads(capsys.readouterr().out)
    assert {cell["tested_on"] for cell in content["cells"]} == {"busi", "busbra"}
    assert {"trained_on": "busbra", "tested_on": "busi"} in content["untested"]
    write_tree("busbra", tmp_path / "data" / "busbra")
    write_tree("idc", tmp_path / "data" / "idc")
    assert main([*words, "--data", str(tmp_path / "data"), "--rerun"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert {cell["images"] for cell in content["cells"] if cell["tested_on"] == "busbra"} == {21}


@pytest.mark.long
def test_a_version_that_was_trained_elsewhere_fills_the_cells_that_no_champion_can(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("busbra", "busi"):
        write_tree(name, tmp_path / "data" / name)
    recipe = {
        **CLASSIC, "id": "toy_there", "head": "naive_bayes",
        "data": {"dataset": "busbra", "size": [48, 48], "folds": 2, "near_duplicates": "join"},
    }  # fmt: skip
    path, store, data = recipe_file(tmp_path, recipe), tmp_path / "store", str(tmp_path / "data")
    shutil.copytree(DEFAULT_STORE / "ultrasound" / "2.2.0", store / "ultrasound" / "2.2.0")
    told = load(str(path))
    assert isinstance(told, Recipe)
    run(told, RunOptions(tmp_path / "data", tmp_path / "run", path, quiet=True))
    words = ["export", str(tmp_path / "run"), "--store", str(store), "--data", data, "--threads", "1"]
    assert main(words) == 0, capsys.readouterr().err
    broken = store / "toy_broken" / "1.0.0"
    shutil.copytree(store / "toy_there" / "1.0.0", broken)
    (broken / "manifest.json").write_text("{")
    capsys.readouterr()
    assert main(["matrix", "ultrasound", "--json", "--store", str(store), "--data", data]) == 0
    said = capsys.readouterr()
    content = json.loads(said.out)
    by = {(cell["model"], *cell["trained_on"], cell["tested_on"], cell["split"]) for cell in content["cells"]}
    assert by >= {
        ("toy_there 1.0.0", "busbra", "busbra", "oof"), ("toy_there 1.0.0", "busbra", "busi", "external"),
        ("ultrasound 2.2.0", "busi", "busi", "oof"), ("ultrasound 2.2.0", "busi", "busbra", "external"),
    }  # fmt: skip
    assert content["untested"] == [] and "left out: toy_broken" in said.err
    assert main(["matrix", "toy_there", "--store", str(store)]) == 0
    said_of_it = capsys.readouterr().out
    assert "toy_there 1.0.0, trained on busbra, tested on busbra" in said_of_it


def test_what_only_outlines_has_a_cell_a_scanner_and_none_where_nothing_was_outlined() -> None:
    outlines = ULTRASOUND.model_copy(
        update={"name": "toy", "pipeline": WHOLE_IMAGE, "classes": OUTLINED, "positive_class": OUTLINED[1]}
    )
    known = [
        replace(r, probabilities={"outlined": 0.9}, dice=int(r.image) % 7 / 7)
        for r in frames("busbra", "external")
    ]
    found = cells(outlines, [*known, *frames("busi", "oof")], ["busi"], {})
    assert {(cell.trained_on, cell.tested_on, cell.scanner, cell.answer) for cell in found} == {
        (("busi",), "busbra", scanner, OUTLINE) for scanner in (ALL, "A", "B")
    }  # fmt: skip
    assert all(cell.figures[0].name == "dice" for cell in found)
    assert untested(found, ["busi", "busbra"]) == [("busi", "busi"), ("busbra", "busi"), ("busbra", "busbra")]


def test_a_folder_that_holds_no_set_of_the_models_is_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not silently the cells that are on record."""
    tree = write_tree("mini_mias", tmp_path / "films" / "mini_mias")
    for folder in (tmp_path / "nothing", tree, tree.parent):
        assert main(["matrix", "ultrasound", "--data", str(folder)]) == 1
        said = capsys.readouterr()
        assert f"inference: {folder} holds no set that ultrasound reads" in said.err and not said.out
