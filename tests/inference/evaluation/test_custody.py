"""Figures cannot be edited unseen: whatever of a version is altered is refused, by name."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from imaging.digest import sha256_of
from inference.champions.recipe import ChampionRecipe
from inference.champions.registry import names, recipe_of
from inference.cli.main import main
from inference.cli.retrain import recipe_of_version
from inference.evaluation.records import PREDICTIONS, RecordsError, read_records, write_records
from inference.runtime import custody
from inference.runtime.custody import CUSTODY, NOT_KEPT, NOT_RECORDED, RECIPE, CustodyError
from inference.runtime.store import read_manifest, version_folder

Harm = Callable[[Path], object]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the committed histopathology 2.2.0, in a store of its own."""
    manifest = read_manifest("histopathology", version="2.2.0")
    copied = version_folder(manifest, tmp_path)
    shutil.copytree(version_folder(manifest), copied)
    return copied


def cell(row: int, column: str, value: str) -> Harm:
    """Write another value into a row of the predictions."""

    def edit(folder: Path) -> None:
        path = folder / PREDICTIONS
        with path.open(newline="") as lines:
            table = list(csv.reader(lines))
        place = table[0].index(column)
        assert table[row][place] != value
        table[row][place] = value
        with path.open("w", newline="") as lines:
            csv.writer(lines, lineterminator="\n").writerows(table)

    return edit


def replaced(name: str, old: str, new: str) -> Harm:
    def edit(folder: Path) -> None:
        text = (folder / name).read_text(encoding="utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1), encoding="utf-8")

    return edit


def one_byte(name: str) -> Harm:
    def edit(folder: Path) -> None:
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / name).write_bytes(content)

    return edit


def figure(folder: Path) -> None:
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["figures"][0]["value"] = 1.0
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2))


def trained_on(folder: Path) -> None:
    listed = json.loads((folder / "training_manifest.json").read_text())
    listed["idc"]["patients"].pop()
    (folder / "training_manifest.json").write_text(json.dumps(listed, indent=1))


def row_dropped(folder: Path) -> None:
    lines = (folder / PREDICTIONS).read_text().splitlines(keepends=True)
    (folder / PREDICTIONS).write_text("".join(lines[:5] + lines[6:]))


ALTERED: list[tuple[str, Harm, Sequence[str]]] = [
    (
        "a prediction",
        cell(7, "probabilities", '{"not_idc":0.0,"idc":1.0}'),
        ("predictions.csv", "what the model said"),
    ),
    ("a label", cell(7, "label", "made up"), ("predictions.csv", "the truth")),
    ("a mark", cell(9, "marks", "0.900000:1"), ("predictions.csv", "what the model said")),
    ("a flag", cell(9, "flags", "uncertain out_of_distribution"), ("predictions.csv", "what the model said")),
    ("a fact", cell(9, "facts", "{}"), ("predictions.csv", "the facts")),
    ("a group of the split", cell(3, "group", "elsewhere"), ("predictions.csv", "the split")),
    ("an image's name", cell(3, "image", "elsewhere"), ("predictions.csv", "the split")),
    ("a row's network", cell(4, "network", "0" * 64), ("predictions.csv, line 5", "0000")),
    ("no network", cell(4, "network", ""), ("predictions.csv, line 5", "nobody")),
    ("a row taken away", row_dropped, ("predictions.csv",)),
    ("what was trained on", trained_on, ("training_manifest.json",)),
    ("a byte of the weights", one_byte("model.onnx"), ("model.onnx", "weights")),
    ("a byte of the weights for GPUs", one_byte("model.pt"), ("model.pt",)),
    ("the manifest's digest", replaced("manifest.json", "2eaebb3d", "3eaebb3d"), ("manifest.json", "other weights")),
    ("an operating point", replaced("manifest.json", "0.2146", "0.3146"), ("manifest.json",)),
    ("a line of the recipe", replaced(RECIPE, '"softening":0.4', '"softening":0.5'), (RECIPE,)),
    ("the account", replaced("protocol.json", '"restarts": "2"', '"restarts": "9"'), ("protocol.json",)),
    ("a figure", figure, ("metrics.json",)),
    ("the card", replaced("card.md", "0.", "1."), ("card.md",)),
    ("a plot", lambda folder: next((folder / "plots").iterdir()).write_text("<svg/>"), ("plots/",)),
    ("a file taken away", lambda folder: (folder / "answer.json").unlink(), ("answer.json", "missing")),
    ("a file put there", lambda folder: (folder / "better.csv").write_text(""), ("better.csv",)),
    ("the record taken away", lambda folder: (folder / CUSTODY).unlink(), ("has no custody.json", "inference seal")),
    ("another version's record", replaced(CUSTODY, '"2.2.0"', '"2.3.0"'), ("custody.json", "2.3.0")),
    ("the record's recipe", replaced(CUSTODY, '256": "829a', '256": "929a'), ("custody.json", "another recipe")),
    (
        "the record's networks",
        replaced(CUSTODY, '"networks": {', f'"networks": {{"oof fold 7": "{"1" * 64}",'),
        ("custody.json", "oof fold 7"),
    ),
    ("a digest of the record", replaced(CUSTODY, '"card.md": "', '"card.md": "0'), ("no custody record",)),
]  # fmt: skip


@pytest.mark.parametrize("model", names())
def test_what_was_sealed_when_it_was_built_names_code_and_every_network(model: str) -> None:
    sealed = custody.verify(version_folder(read_manifest(model, version="3.0.0")))
    assert sealed.sealed == "when it was built" and re.fullmatch(r"[0-9a-f]{40}\+?", sealed.code)
    assert NOT_KEPT not in sealed.networks.values()


@pytest.mark.parametrize("model", names())
def test_the_committed_versions_are_what_was_sealed(model: str) -> None:
    sealed = custody.verify(version_folder(read_manifest(model, version="2.2.0")))
    assert sealed.code == NOT_RECORDED and sealed.sealed == "afterwards"
    served = read_manifest(model, version="2.2.0").weights.sha256
    for part, network in sealed.networks.items():
        assert network == (NOT_KEPT if part.startswith("oof") else served), "never invented"


@pytest.mark.parametrize("model", names())
def test_the_recipe_lies_beside_the_weights(model: str) -> None:
    folder = version_folder(read_manifest(model))
    account = json.loads((folder / "protocol.json").read_text())
    sealed = custody.verify(folder)
    assert sealed.recipe_sha256 == account["recipe_sha256"]
    assert sha256_of(folder / RECIPE) == account["recipe_sha256"]


@pytest.mark.parametrize(("harm", "named"), [each[1:] for each in ALTERED], ids=[each[0] for each in ALTERED])
def test_whatever_is_altered_is_refused_by_name(folder: Path, harm: Harm, named: Sequence[str]) -> None:
    custody.verify(folder)
    harm(folder)
    with pytest.raises(CustodyError) as refused:
        custody.verify(folder)
    assert all(words in str(refused.value) for words in ("histopathology 2.2.0", *named)), str(refused.value)


@pytest.mark.parametrize(
    "words",
    [
        ("evaluate", "histopathology"),
        ("evaluate", "histopathology", "--json", "--split", "val"),
        ("evaluate", "histopathology", "--card"),
        ("evaluate", "histopathology", "--record"),
        ("evaluate", "histopathology", "--marks"),
        ("evaluate", "histopathology", "--retrain-fold", "0"),
        ("variants", "histopathology", "--images", "1"),
        ("seal", "histopathology"),
    ],
    ids=" ".join,
)
def test_every_command_that_speaks_of_figures_refuses(
    folder: Path, capsys: pytest.CaptureFixture[str], words: Sequence[str]
) -> None:
    cell(7, "label", "not_idc" if "idc" in words else "made up")(folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert main([*words, "--store", str(folder.parents[1])]) == 1
    assert "predictions.csv was changed after it was sealed: the truth" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_forged_version_is_no_measure_for_another(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["evaluate", "histopathology", "--against"]
    assert main([*asked, str(folder.parents[1])]) == 0
    cell(7, "probabilities", '{"not_idc":0.0,"idc":1.0}')(folder)
    for place in (folder.parents[1], folder, folder / PREDICTIONS):
        assert main([*asked, str(place)]) == 1
        assert "was changed after it was sealed" in capsys.readouterr().err


def test_what_is_rewritten_on_purpose_is_sealed_again(folder: Path) -> None:
    (folder / custody.SIGNATURE).write_text("vouched for")
    before = custody.verify(folder)
    with custody.rewriting(folder):
        (folder / "card.md").write_text("# Corrected\n")
    after = custody.verify(folder)
    changed = {name for name, digest in after.files.items() if before.files[name] != digest}
    assert changed == {"card.md"} and not (folder / custody.SIGNATURE).exists()
    assert after.model_dump(exclude={"files"}) == before.model_dump(exclude={"files"})


def test_a_version_is_sealed_after_its_figures_were_found_true(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / CUSTODY).unlink()
    records = read_records(folder / PREDICTIONS)
    write_records(folder / PREDICTIONS, [replace(record, network="") for record in records])
    assert main(["seal", "histopathology", "--store", str(folder.parents[1])]) == 0
    assert "networks that were not kept: none" in capsys.readouterr().out
    assert custody.verify(folder) == custody.verify(
        version_folder(read_manifest("histopathology", version="2.2.0"))
    )


@pytest.mark.parametrize(
    "harm", [figure, cell(7, "probabilities", '{"not_idc":0.0,"idc":1.0}'), one_byte("model.onnx")]
)
def test_a_version_whose_figures_do_not_hold_is_not_sealed(folder: Path, harm: Harm) -> None:
    (folder / CUSTODY).unlink()
    harm(folder)
    assert main(["seal", "histopathology", "--store", str(folder.parents[1])]) == 1
    assert not custody.is_sealed(folder)


def test_two_networks_do_not_make_one_part(folder: Path) -> None:
    cell(4, "network", "0" * 64)(folder)
    with pytest.raises(CustodyError, match="line 5: val was made by 0000"):
        custody.write(folder, sealed="afterwards", code=NOT_RECORDED)


def test_a_version_without_figures_claims_nothing(folder: Path) -> None:
    for name in (CUSTODY, "metrics.json", PREDICTIONS):
        (folder / name).unlink()
    custody.refuse_unsealed_figures(folder)
    write_records(folder / PREDICTIONS, [])
    with pytest.raises(CustodyError, match=r"has no custody\.json"):
        custody.refuse_unsealed_figures(folder)


def test_a_fold_is_trained_again_by_the_versions_own_recipe(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    of_now = recipe_of("histopathology", "2.2.0")
    assert recipe_of_version(folder) == of_now and "form of before" in capsys.readouterr().err
    other = ChampionRecipe.model_validate({**of_now.model_dump(), "gates": {"novelty_room": 1.3}})
    (folder / RECIPE).write_text(other.canonical)
    assert (
        recipe_of_version(folder).gates.novelty_room == 1.3 and recipe_of_version(folder).hash == other.hash
    )
    (folder / RECIPE).unlink()
    with pytest.raises(RecordsError, match="was not kept"):
        recipe_of_version(folder)
