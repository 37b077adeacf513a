"""Cards, written from figures and records, and those of the committed models."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from inference.champions.registry import datasets_of
from inference.cli.main import main
from inference.evaluation.account import Account, AccountError, read_account, write_account
from inference.evaluation.card import CARD, card_text
from inference.evaluation.folder import METRICS, measured_elsewhere, write_results
from inference.evaluation.mark_levels import mark_thresholds
from inference.evaluation.measuring import facts_of, held_out, predict
from inference.evaluation.plots import PLOTS, Plot, plots, svg
from inference.evaluation.records import (
    PREDICTIONS,
    RecordsError,
    apart,
    read_records,
    write_records,
)
from inference.evaluation.results import results_on_record
from inference.runtime.onnx_session import OnnxForward
from inference.runtime.store import model_names, read_manifest, verified_weights, version_folder
from inference.training.export import MAX_WEIGHTS_BYTES, preprocessing_sha256
from tests.inference.evaluation.made_up import frames

ACCOUNT = Account("made-up frames", "a made-up network", "Five folds, drawn once.", ("It is made up.",))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model's folder with predictions and an account of its run."""
    manifest = read_manifest("ultrasound")
    made = version_folder(manifest, tmp_path)
    made.mkdir(parents=True)
    shutil.copy(version_folder(manifest) / "manifest.json", made)
    write_records(made / PREDICTIONS, frames())
    write_account(made, ACCOUNT)
    return made


# --- the card ------------------------------------------------------------------------------------------------


def test_one_call_writes_figures_plots_and_card_and_the_same_bytes_again(folder: Path) -> None:
    write_results(folder)
    written = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert {path.name for path in written} >= {METRICS, CARD, "roc_busi_oof_malignant_benign.svg"}
    (folder / PLOTS / "stale.svg").write_text("<svg/>")
    write_results(folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == written
    card = (folder / CARD).read_text()
    for path in written:
        if path.suffix == ".svg":
            assert f"]({PLOTS}/{path.name})" in card
    for words in (
        "made-up frames",
        "It is made up.",
        "networks of the folds",
        "0.700",
        "published part",
        "±",
    ):
        assert words in card


def test_the_card_of_refitted_weights_says_whose_figures_it_shows(folder: Path) -> None:
    write_account(folder, replace(ACCOUNT, refitted=True, recipe="us.yaml", recipe_sha256="ab" * 32,
                                  run={"epochs": "30"}))  # fmt: skip
    write_results(folder)
    card = (folder / CARD).read_text()
    assert (
        "fitted again on train and val together" in card
        and "None of the internal figures was measured on them" in card
    )
    assert "us.yaml, SHA-256 `abababababababab…`" in card and "| epochs | 30 |" in card
    assert json.loads((folder / METRICS).read_text())["measured_on"] == "networks from before the refit"


def test_every_operating_point_stands_with_what_it_gave(folder: Path) -> None:
    found = write_results(folder)
    card = (folder / CARD).read_text()
    for point, level in found.manifest.thresholds.items():
        value = next(f.value for f in found.figures if f.name == f"sensitivity_{point}")
        assert f"| {point.replace('_', ' ')} | {level:.3f} | busi oof | {value:.3f} (" in card


def test_explanation_checks_and_latency_stand_in_the_card_when_they_were_made(folder: Path) -> None:
    write_results(folder)
    assert "No explanation checks are on record." in (folder / CARD).read_text()
    pointing = {"value": 0.85, "low": 0.8, "high": 0.9, "chance": 0.2, "images": 120, "groups": 90}
    checks = {
        "weights_sha256": "0" * 64,
        "protocol": "Made up for a test.",
        "holds": {"served map: points into the lesion in at least 80%": True, "map: gone": False},
        "checks": {"pointing game": {"served_map": pointing}},
    }
    (folder / "explanation.json").write_text(json.dumps(checks))
    (folder / "latency.json").write_text(
        json.dumps({"threads": 1, "frame": {"median_ms": 21.5, "runs": [1.0] * 20}})
    )
    write_results(folder)
    card = (folder / CARD).read_text()
    for line in ("| pointing game | served map | **0.850** | 0.800–0.900 | 0.200 | 120 |",
                 "- Holds: served map: points into", "- **Fails**: map: gone.", "Made up for a test.",
                 "other weights than those served now", "| frame: median ms | 21.5 |"):  # fmt: skip
        assert line in card
    assert "runs" not in card


def test_what_was_not_recorded_is_said(folder: Path) -> None:
    with pytest.raises(RecordsError, match="no predictions of idc val are on record; there are: busi oof"):
        results_on_record(folder, "idc", "val")
    (folder / "protocol.json").write_text("{}")
    with pytest.raises(AccountError, match="not an account"):
        read_account(folder)
    (folder / "protocol.json").unlink()
    with pytest.raises(AccountError, match="how it was made is not on record"):
        write_results(folder)


def test_a_plot_stays_inside_its_square() -> None:
    drawn = svg(Plot("p", "P", "x", "y", tuple((n / 1000, 1.0) for n in range(1001)), dots=((0.5, 0.5),)))
    corners = drawn.split('<polyline points="')[1].split('"')[0].split()
    assert len(corners) <= 400 and corners[0] == "56.0,34.0" and corners[-1] == "376.0,34.0"
    assert '<circle cx="216.0" cy="194.0"' in drawn


# --- the committed models ------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", model_names())
def test_the_card_says_what_the_predictions_of_record_say(model: str) -> None:
    folder = version_folder(read_manifest(model))
    found = results_on_record(folder)
    metrics = json.loads((folder / METRICS).read_text())
    assert metrics["weights_sha256"] == found.manifest.weights.sha256
    assert metrics == json.loads(json.dumps(found.as_json()))
    drawn = plots(found.manifest, found.records)
    assert drawn and all((folder / PLOTS / plot.file).read_text() == svg(plot) for plot in drawn)
    notes = [measured_elsewhere(folder / f"{each}.json") for each in ("explanation", "latency", "robustness")]
    assert (folder / CARD).read_text() == card_text(found, read_account(folder), drawn, *notes)


@pytest.mark.parametrize("model", model_names())
def test_the_manifest_describes_the_weights(model: str) -> None:
    manifest = read_manifest(model)
    assert verified_weights(manifest).stat().st_size <= MAX_WEIGHTS_BYTES
    assert manifest.parameters <= 10_000_000
    assert manifest.preprocessing_sha256 == preprocessing_sha256(manifest.preprocessing)
    assert manifest.thresholds == json.loads((version_folder(manifest) / "thresholds.json").read_text())


def measured_by_the_served_weights() -> list[str]:
    """Models of whose predictions of record some were made by the very weights that are served."""
    return [
        model
        for model in model_names()
        if not read_account(folder := version_folder(read_manifest(model))).refitted
        and any(record.split == "val" for record in read_records(folder / PREDICTIONS))
    ]


@pytest.mark.parametrize("model", measured_by_the_served_weights())
def test_the_weights_still_give_the_predictions_of_record(model: str, shared_data: Path) -> None:
    manifest = read_manifest(model)
    records = read_records(version_folder(manifest) / PREDICTIONS)
    of_record = {(r.dataset, r.image): r for r in records if r.split == "val"}
    samples = held_out(datasets_of(model), shared_data)[:: 40 if model == "histopathology" else 20]
    samples = [entry for entry in samples if (entry.dataset, entry.id) in of_record]
    assert samples
    for again in predict(manifest, OnnxForward(verified_weights(manifest)), samples):
        before = of_record[again.dataset, again.image]
        assert apart(again, before) < 1e-3, (again, before)
        assert again.group == before.group


def test_facts_are_what_the_set_says_of_an_image(shared_data: Path) -> None:
    films = {entry.id: facts_of(entry) for entry in held_out(datasets_of("mammography"), shared_data)}
    assert films["mdb023"]["density"] == "G" and films["mdb023"]["kinds"] == "CIRC"
    masses = [facts for name, facts in films.items() if name.startswith("Mass")]
    assert masses and all({"view", "subtlety", "birads", "density", "positive"} <= set(f) for f in masses)


def test_the_levels_of_marks_are_those_that_the_predictions_of_record_give(
    capsys: pytest.CaptureFixture[str],
) -> None:
    manifest = read_manifest("mammography")
    folder = version_folder(manifest)
    assert manifest.mark_thresholds == mark_thresholds(read_records(folder / PREDICTIONS))
    assert main(["evaluate", "mammography", "--marks"]) == 0
    printed = capsys.readouterr().out
    assert all(f"{level:.4f}" in printed for level in manifest.mark_thresholds.values())
    lines = [float(line.split()[-1]) for line in printed.splitlines()[1:]]
    assert lines == sorted(lines), "more false marks find more lesions"
    # a false mark an image is four an exam: the figure of the card
    figures = json.loads((folder / METRICS).read_text())["figures"]
    (found,) = (entry["value"] for entry in figures if entry["name"] == "masses_found")
    assert lines[-1] == pytest.approx(found, abs=6e-4)


def test_levels_of_marks_need_lesions_on_record(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "histopathology", "--marks"]) == 1
    assert "no image on record has a lesion" in capsys.readouterr().err
