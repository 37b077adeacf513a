"""Figures of networks that left a collection or a scanner out: first on the card, kept apart, under custody."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from inference.evaluation import left_out
from inference.evaluation.account import Account, write_account
from inference.evaluation.card import CARD
from inference.evaluation.folder import METRICS, write_results
from inference.evaluation.matrix import ALL, cells, untested
from inference.evaluation.records import PREDICTIONS, Part, Record, RecordsError, write_records
from inference.evaluation.results import all_on_record, results_on_record
from inference.runtime import custody
from inference.runtime.custody import NOT_RECORDED, CustodyError
from inference.runtime.store import read_manifest, version_folder

ULTRASOUND = read_manifest("ultrasound", version="2.2.0")


def frames(dataset: str, split: Part, network: str, fold: int) -> list[Record]:
    made = []
    for index in range(80):
        chance = (index * 37 % 100) / 100
        told = {"malignant": chance, "benign": 1 - chance, "normal": 0.0}
        facts = {"device": "AB"[index // 2 % 2]} if dataset == "busbra" else {}
        label = "malignant" if index % 3 == 0 else "benign"
        made.append(
            Record(
                dataset, str(index), f"g{index // 2}", label, told, split=split, facts=facts, fold=fold,
                network=network,
            )
        )  # fmt: skip
    return made


def of_scanners() -> list[Record]:
    """Each scanner's frames by a network of their own."""
    both = frames("busbra", "left_out_scanner", "c" * 64, 2)
    return [replace(r, network="d" * 64, fold=3) if r.facts["device"] == "B" else r for r in both]


AWAY = [
    *frames("busi", "left_out_collection", "a" * 64, 0),
    *frames("busbra", "left_out_collection", "b" * 64, 1),
    *of_scanners(),
]
HOME = [*frames("busi", "oof", "e" * 64, 0), *frames("busbra", "oof", "e" * 64, 0)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = version_folder(ULTRASOUND, tmp_path)
    made.mkdir(parents=True)
    for name in ("manifest.json", "training_manifest.json", "model.onnx"):
        shutil.copy(version_folder(ULTRASOUND) / name, made)
    write_records(made / PREDICTIONS, HOME)
    left_out.write(made, AWAY)
    write_account(made, Account("made up", "made up", "made up", (), refitted=True))
    write_results(made)
    return made


def test_they_stand_first_on_the_card_and_are_no_figures_at_home(folder: Path) -> None:
    card = (folder / CARD).read_text()
    first, internal = card.split("\n## ")[1:3]
    assert (
        first.startswith("External figures\n\nNetworks of the same recipe")
        and "No external figure" not in first
    )
    for split in ("left_out_collection", "left_out_scanner"):
        assert f"(`{split}`)" in first and split not in internal
    assert (
        first.index("BUSI: by a network") < first.index("BUS-BRA: by a network") < first.index("each scanner")
    )
    assert "on busbra (left_out_scanner)" in first and "at home (busbra oof)" in first
    assert "The served weights themselves have seen all sets" in first
    stated = {entry["split"] for entry in json.loads((folder / METRICS).read_text())["figures"]}
    assert stated == {"oof", "left_out_collection", "left_out_scanner"}
    assert results_on_record(folder, "busbra", "left_out_scanner").measured_on == (
        "networks of the same recipe that left something out"
    )


def test_the_table_holds_nothing_else(folder: Path) -> None:
    assert left_out.read(folder) == AWAY and all_on_record(folder) == [*AWAY, *HOME]
    write_records(folder / left_out.FOLDER / PREDICTIONS, [*AWAY, HOME[0]])
    with pytest.raises(RecordsError, match="other predictions than those of what was left out"):
        left_out.read(folder)
    bare = folder.parent / "bare"
    bare.mkdir()
    left_out.write(bare, [])
    assert left_out.read(bare) == [] and not list(bare.iterdir())


def test_the_matrix_says_what_each_network_was_trained_on(folder: Path) -> None:
    found = cells(ULTRASOUND, all_on_record(folder), ["busi", "busbra"], {})
    pairs = {(c.trained_on, c.tested_on, c.scanner) for c in found if c.split == "left_out_collection"}
    assert {(("busi",), "busbra", ALL), (("busi",), "busbra", "A"), (("busbra",), "busi", ALL)} <= pairs
    scanners = {(c.trained_on, c.scanner) for c in found if c.split == "left_out_scanner"}
    assert scanners == {(("busi", "busbra"), name) for name in (ALL, "A", "B")}
    assert untested(found, ["busi", "busbra"]) == []


@pytest.mark.parametrize("column", ["probabilities", "label", "network", "fold"])
def test_a_forged_row_is_refused_and_named(folder: Path, column: str) -> None:
    custody.write(folder, sealed="when it was built", code=NOT_RECORDED)
    custody.verify(folder)
    forged = {
        "probabilities": {"probabilities": {"malignant": 0.999, "benign": 0.001, "normal": 0.0}},
        "label": {"label": "benign"},
        "network": {"network": "f" * 64},
        "fold": {"fold": 2},
    }[column]
    write_records(folder / left_out.FOLDER / PREDICTIONS, [replace(AWAY[0], **forged), *AWAY[1:]])
    with pytest.raises(CustodyError):
        custody.verify(folder)


def test_one_part_is_one_network(folder: Path) -> None:
    write_records(folder / left_out.FOLDER / PREDICTIONS, [replace(AWAY[0], network="f" * 64), *AWAY[1:]])
    with pytest.raises(CustodyError, match="left_out_collection fold 0 was made by"):
        custody.write(folder, sealed="when it was built", code=NOT_RECORDED)
