"""Figures, records, and the cards that are written from them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.champions.registry import datasets_of
from inference.cli.main import main
from inference.evaluation.account import Account, AccountError, read_account, write_account
from inference.evaluation.card import CARD, card_text
from inference.evaluation.detection import components, froc, mark_of
from inference.evaluation.figures import FEW, Measure, NotComputable, figure
from inference.evaluation.folder import METRICS, measured_elsewhere, write_results
from inference.evaluation.lines import lines_of
from inference.evaluation.mark_levels import mark_thresholds
from inference.evaluation.measuring import facts_of, held_out, predict
from inference.evaluation.plots import PLOTS, Plot, plots, svg
from inference.evaluation.protocol import PROTOCOLS, measure, protocol_of
from inference.evaluation.records import (
    PREDICTIONS,
    Record,
    RecordsError,
    apart,
    read_records,
    write_records,
)
from inference.evaluation.results import results_on_record
from inference.evaluation.subgroups import rows, spreads
from inference.runtime.onnx_session import OnnxForward
from inference.runtime.store import model_names, read_manifest, verified_weights, version_folder
from inference.training.export import MAX_WEIGHTS_BYTES, preprocessing_sha256

ACCOUNT = Account("made-up frames", "a made-up network", "Five folds, drawn once.", ("It is made up.",))


def record(number: int, label: str, chance: float, **more: object) -> Record:
    told_ = {"malignant": chance, "benign": 1 - chance, "normal": 0.0}
    return Record("busi", str(number), f"g{number}", label, told_, **more)  # type: ignore[arg-type]


def auc() -> Measure:
    manifest = read_manifest("ultrasound")
    return next(line for line in lines_of(PROTOCOLS["busi"], manifest) if line.name == "auc_malignant_benign")


def frames(number: int = 90, *, split: str = "oof") -> list[Record]:
    """Out-of-fold predictions of three folds, with lesions of three sizes and one false mark in four."""
    generator = np.random.default_rng(1)
    made = []
    for index in range(number):
        label = ("benign", "malignant", "normal")[index % 3]
        chance = float(np.clip(generator.normal(0.7 if label == "malignant" else 0.3, 0.2), 0, 1))
        shows = label != "normal"
        made.append(
            Record(
                "busi", f"{label} ({index})", f"g{index // 2}", label,
                {"benign": 0.9 * (1 - chance), "malignant": chance, "normal": 0.1 * (1 - chance)},
                dice=0.7 if shows else None, lesions=int(shows),
                marks=((0.8, int(shows and index % 4 > 0)),),
                split=split, fold=index // 2 % 3 if split == "oof" else None,  # type: ignore[arg-type]
                facts={"part": "train" if index % 2 else "val"}
                | ({"lesion_share": f"{0.01 * (1 + index % 5):.5f}"} if shows else {}),
            )
        )  # fmt: skip
    return made


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


# --- figures -------------------------------------------------------------------------------------------------


def test_shuffled_labels_give_an_interval_around_a_half() -> None:
    generator = np.random.default_rng(3)
    records = [
        record(number, "malignant" if generator.random() < 0.4 else "benign", float(generator.random()))
        for number in range(300)
    ]
    found = figure(auc(), records)
    assert found.low < 0.5 < found.high and found.groups == 300


def test_the_interval_is_over_groups_not_images() -> None:
    one_a_group = [record(n, "malignant" if n % 2 else "benign", (n % 7) / 7) for n in range(60)]
    copies = [replace(entry, image=f"{entry.image}-{n}") for entry in one_a_group for n in range(10)]
    few, many = figure(auc(), copies), figure(auc(), one_a_group)
    assert few.value == many.value and few.images == 600
    assert few.groups == 60 and (few.high - few.low) == pytest.approx(many.high - many.low, abs=0.02)


def test_a_figure_of_one_class_is_refused() -> None:
    with pytest.raises(NotComputable, match="class is missing"):
        figure(auc(), [record(1, "benign", 0.1)])
    with pytest.raises(NotComputable, match="no figure"):
        measure(read_manifest("ultrasound"), [Record("nowhere", "1", "1", "?", {})])


def test_an_operating_point_counts_at_or_above() -> None:
    manifest = read_manifest("ultrasound")
    level = manifest.thresholds["balanced"]
    records = [
        record(1, "malignant", level),
        record(2, "malignant", level - 0.01),
        record(3, "benign", level),
    ]
    found = {entry.name: entry for entry in measure(manifest, records)}
    assert found["sensitivity_balanced"].value == 0.5 and found["sensitivity_balanced"].images == 2
    assert found["specificity_balanced"].value == 0
    assert found["balanced_accuracy_balanced"].value == 0.25


def test_an_out_of_fold_image_is_judged_at_the_point_of_its_own_fold() -> None:
    manifest = read_manifest("ultrasound")
    between = manifest.thresholds["balanced"] / 2
    own = {"balanced": f"{between - 0.01:.6f}"}
    records = [record(1, "malignant", between, split="oof", fold=0, facts=own), record(2, "benign", 0.0)]
    found = {entry.name: entry for entry in measure(manifest, records) if entry.split == "oof"}
    assert found["sensitivity_balanced"].value == 1


def test_shares_of_few_images_have_wilsons_interval() -> None:
    manifest = read_manifest("ultrasound")
    half = [
        record(n, "malignant" if n % 2 else "benign", 0.99 if n % 4 == 1 else 0.01) for n in range(4 * FEW)
    ]
    many = {entry.name: entry for entry in measure(manifest, half)}
    few = {entry.name: entry for entry in measure(manifest, half[:20])}
    assert many["sensitivity_balanced"].interval == "bootstrap"
    assert few["sensitivity_balanced"].interval == "wilson"
    assert many["specificity_balanced"].interval == "wilson", "all of them: nothing varies"
    assert many["specificity_balanced"].low < 1 == many["specificity_balanced"].high


def test_figures_never_pool_two_splits_or_data_sets() -> None:
    manifest = read_manifest("ultrasound")
    found = measure(manifest, [*frames(), *frames(split="val")])
    areas = [entry for entry in found if entry.name == "auc_malignant_benign"]
    assert [(entry.split, entry.images) for entry in areas] == [("oof", 60), ("val", 60)]


def test_a_set_without_a_sheet_is_asked_for_its_positive_class() -> None:
    manifest = read_manifest("histopathology")
    records = [
        Record("bach", str(n), str(n), "Benign", {"not_idc": 1 - n / 40, "idc": n / 40},
               facts={"positive": "yes" if n > 20 else "no"})
        for n in range(40)
    ]  # fmt: skip
    assert protocol_of("bach", manifest).headline == ("auc_idc", "auc_patient_idc")
    found = {entry.name: entry for entry in measure(manifest, records)}
    assert found["auc_idc"].value == found["auc_patient_idc"].value == 1
    assert {"sensitivity_balanced", "specificity_balanced", "ece_idc"} <= set(found)  # at the shipped points
    assert "reader_auc" not in found


def test_breakhis_has_its_recognition_rates_with_their_spread_over_folds() -> None:
    manifest = read_manifest("histopathology")
    records = [
        Record("breakhis", str(n), f"w{n // 4}", "x", {"idc": 0.9 if n % 5 else 0.1}, split="oof", fold=n // 20,
               facts={"positive": "yes" if n % 3 else "no", "slide": f"s{n // 4}", "magnification": "40"})
        for n in range(100)
    ]  # fmt: skip
    by_name = {entry.name: entry for entry in measure(manifest, records)}
    right = [(n % 5 > 0) == (n % 3 > 0) for n in range(100)]
    assert by_name["image_recognition_rate"].value == pytest.approx(np.mean(right))
    spread = {entry.name: entry for entry in spreads(manifest, records)}["image_recognition_rate"]
    of_folds = [np.mean(right[20 * fold : 20 * fold + 20]) for fold in range(5)]
    assert (spread.number, spread.mean) == (5, pytest.approx(np.mean(of_folds), abs=1e-4))
    assert spread.sd == pytest.approx(np.std(of_folds, ddof=1), abs=1e-4)


def test_camelyon17_is_drawn_over_patients_not_centres() -> None:
    manifest = read_manifest("histopathology")
    labels = ("negative", "itc", "micro", "macro")
    records = [
        Record("camelyon17", f"p{p} {node}", f"centre-{p % 5}", labels[p % 4],
               {name: float(name == labels[p % 4]) for name in labels}, facts={"patient": f"p{p}"})
        for p in range(20) for node in range(5)
    ]  # fmt: skip
    found = measure(manifest, records)[0]
    assert (found.name, found.value, found.groups) == ("kappa", 1, 20)


# --- subgroups -----------------------------------------------------------------------------------------------


def test_lesions_are_cut_into_thirds_by_size() -> None:
    table = [row for row in rows(read_manifest("ultrasound"), frames()) if "size" in row.table]
    assert [row.subgroup.split(" (")[0] for row in table] == [
        "smallest third",
        "middle third",
        "largest third",
    ]
    assert sum(row.images for row in table) == 60
    assert {entry.name for entry in table[0].figures} == {"auc_malignant_benign", "dice"}


def test_a_kind_of_lesion_stands_against_all_normal_films() -> None:
    manifest = read_manifest("mammography")
    films = [
        Record("mini_mias", str(n), str(n // 2), "benign" if n % 3 == 0 else "normal",
               {"normal": 0.5, "abnormal": (n % 10) / 10, "malignancy": 0.5},
               facts={"density": "FGD"[n % 2], "kinds": ("CIRC", "SPIC CALC")[n % 2] if n % 3 == 0 else "NORM"})
        for n in range(60)
    ]  # fmt: skip
    kinds = {row.subgroup: row for row in rows(manifest, films) if row.table.startswith("kind")}
    assert set(kinds) == {"CIRC", "SPIC", "CALC"}
    assert all(row.images == 40 + 10 for row in kinds.values())
    assert kinds["SPIC"].figures[0].name == "auc_abnormal"


# --- records -------------------------------------------------------------------------------------------------


def test_a_hit_is_a_mark_whose_centre_lies_in_the_mask() -> None:
    lesions = components(np.pad(np.ones((10, 10), bool), 10))
    assert mark_of(0, 0.9, (8, 8, 22, 22), lesions).hits == {1}
    assert not mark_of(0, 0.9, (0, 0, 11, 11), lesions).hits
    curve = froc(
        [mark_of(0, 0.9, (8, 8, 22, 22), lesions), mark_of(0, 0.8, (0, 0, 4, 4), lesions),
         mark_of(1, 0.7, (8, 8, 22, 22), lesions)],
        lesions=2, images=2,
    )  # fmt: skip
    assert curve.at(0.0) == (0.5, 0.9) and curve.at(0.5) == (1.0, 0.7)


def test_records_survive_the_file(tmp_path: Path) -> None:
    written = [
        record(
            1, "malignant", 0.123456, dice=0.5, lesions=2, marks=((0.7, 1), (0.2, 0)), flags=("uncertain",),
            split="oof", fold=4, facts={"density": "3", "kinds": "CIRC SPIC"},
        ),
        record(2, "benign", 0.9),
    ]  # fmt: skip
    write_records(tmp_path / PREDICTIONS, written)
    assert read_records(tmp_path / PREDICTIONS) == written


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (("busi,oof", "busi,test"), r"line 2: split 'test'"),
        (("dataset,split", "dataset"), "other columns"),
        (('""malignant""', "malignant"), "line 2"),
        ((",oof,4,", ",oof,four,"), "line 2: .*four"),
    ],
)
def test_a_damaged_table_is_refused_by_its_line(
    tmp_path: Path, damage: tuple[str, str], sentence: str
) -> None:
    path = tmp_path / PREDICTIONS
    write_records(path, [record(1, "malignant", 0.5, split="oof", fold=4)])
    damaged = path.read_text().replace(*damage)
    assert damaged != path.read_text()
    path.write_text(damaged)
    with pytest.raises(RecordsError, match=sentence):
        read_records(path)


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


def test_a_breast_is_the_mean_of_its_views() -> None:
    def view(woman: str, side: str, name: str, chance: float, label: str) -> Record:
        facts = {"side": side, "view": name}
        return Record(
            "cbis_mass_256", f"{woman} {side} {name}", woman, label, {"malignancy": chance}, facts=facts
        )

    records = [
        # of this breast one view alone would mislead
        view("1", "L", "CC", 0.2, "malignant"), view("1", "L", "MLO", 0.9, "malignant"),
        view("1", "R", "CC", 0.1, "benign"), view("2", "R", "CC", 0.4, "benign"),
        view("2", "R", "MLO", 0.3, "benign"),
    ]  # fmt: skip
    manifest = read_manifest("mammography", version="2.2.0")
    lines = {line.name: line for line in lines_of(PROTOCOLS["cbis_mass_256"], manifest)}
    assert lines["auc_breast_malignancy"].value(records) == 1.0 > lines["auc_malignancy"].value(records)
    sideless = [Record(**{**vars(record), "facts": {}}) for record in records]
    assert np.isnan(lines["auc_breast_malignancy"].value(sideless))
