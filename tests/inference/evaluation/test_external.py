"""Figures of sets that were never seen: kept apart, first on the card, a patient's beside an image's, the reader's."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.cli.main import main
from inference.datasets.generated import write as write_tree
from inference.evaluation import external
from inference.evaluation.account import Account, write_account
from inference.evaluation.card import CARD
from inference.evaluation.external import parted
from inference.evaluation.figures import NotComputable, figure
from inference.evaluation.folder import METRICS, write_results
from inference.evaluation.lines import lines_of
from inference.evaluation.patients import birads
from inference.evaluation.protocol import PROTOCOLS
from inference.evaluation.records import PREDICTIONS, Record, RecordsError, write_records
from inference.evaluation.results import all_on_record, results_on_record
from inference.runtime.store import model_names, read_manifest, version_folder

ACCOUNT = Account("made-up frames", "a made-up network", "Five folds, drawn once.", ("It is made up.",))


def frames(dataset: str, split: str, number: int = 60, apart: float = 0.3) -> list[Record]:
    generator = np.random.default_rng(len(dataset))
    made = []
    for index in range(number):
        malignant = index // 2 % 3 == 0
        chance = float(np.clip(generator.normal(0.4 + apart * malignant, 0.1), 0.01, 0.99))
        made.append(
            Record(
                dataset, f"{index}", f"g{index // 2}", "malignant" if malignant else "benign",
                {"benign": 1 - chance, "malignant": chance, "normal": 0.0}, dice=0.6, lesions=1, marks=((0.8, 1),),
                split=split, facts={"birads": "5" if malignant else "2", "device": "ab"[index % 2]},  # type: ignore[arg-type]
            )
        )  # fmt: skip
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    manifest = read_manifest("ultrasound", version="2.2.0")
    made = version_folder(manifest, tmp_path)
    made.mkdir(parents=True)
    for name in ("manifest.json", "training_manifest.json"):
        shutil.copy(version_folder(manifest) / name, made)
    write_records(made / PREDICTIONS, frames("busi", "oof"))
    write_account(made, ACCOUNT)
    return made


def figures_of(folder: Path, split: str) -> dict[str, float]:
    stated = json.loads((folder / METRICS).read_text())["figures"]
    return {entry["name"]: entry["value"] for entry in stated if entry["split"] == split}


def test_a_card_without_external_figures_opens_with_that(folder: Path) -> None:
    write_results(folder)
    card = (folder / CARD).read_text()
    assert card.split("## ")[1].startswith("External figures\n\n**No external figure.**")


def test_a_card_opens_with_the_outside_then_home_then_the_reader(folder: Path) -> None:
    external.write(folder, frames("busbra", "external", apart=0.02))
    write_results(folder)
    card = (folder / CARD).read_text()
    assert [part.split("\n")[0] for part in card.split("\n## ")[1:4]] == [
        "External figures", "Internal figures", "The reader's own level",
    ]  # fmt: skip
    away, home, reader = card.split("\n## ")[1:4]
    assert "BUS-BRA" in away and "BUSI" not in away.split("\n- ")[0] and "BUS-BRA" not in home
    assert "at home (busi oof)" in away and "reader's BI-RADS alone" not in away
    assert "reader's BI-RADS alone: AUC a patient" in reader
    outside, inside = figures_of(folder, "external"), figures_of(folder, "oof")
    assert outside["auc_malignant_benign"] < inside["auc_malignant_benign"]
    assert outside["reader_auc_patient"] == 1.0
    assert "| a | 30 |" in card.split("busbra external, by scanner")[1]
    assert "trained on busbra and tested at home, is **not measured**" in away
    assert "sensitivity a patient at the high-sensitivity operating point" in away
    assert "sensitivity_patient_high_sensitivity" not in inside, "BUSI says nothing of patients"


def test_an_external_table_of_a_trained_set_or_of_another_split_is_refused(folder: Path) -> None:
    external.write(folder, [replace(r, split="external") for r in frames("busi", "oof")])
    with pytest.raises(RecordsError, match="trained on busi"):
        all_on_record(folder)
    shutil.rmtree(folder / external.FOLDER)
    external.write(folder, frames("busbra", "val"))
    with pytest.raises(RecordsError, match="busbra"):
        all_on_record(folder)


def test_what_no_network_of_the_set_answers_is_external() -> None:
    film = Record("mini_mias", "1", "1", "benign", {"abnormal": 0.2, "malignancy": 0.7}, split="oof", fold=2)
    away, home = parted([film], {"mini_mias": ("malignancy",)})
    assert (away.split, away.fold, away.probabilities) == ("external", None, {"malignancy": 0.7})
    assert (home.split, home.fold, home.probabilities) == ("oof", 2, {"abnormal": 0.2})
    assert parted([film], {}) == [film]


def test_a_patient_is_as_suspicious_as_her_most_suspicious_image() -> None:
    line = next(
        one for one in lines_of(PROTOCOLS["busbra"], read_manifest("ultrasound", version="2.2.0"))
        if one.name == "auc_patient_malignant_benign"
    )  # fmt: skip

    def image(patient: str, label: str, chance: float) -> Record:
        told = {"malignant": chance, "benign": 1 - chance, "normal": 0.0}
        return Record("busbra", f"{patient} {chance}", patient, label, told, split="external")

    women = [("a", "malignant", (0.9, 0.1)), ("b", "benign", (0.5, 0.4)), ("c", "malignant", (0.2, 0.3))]
    records = [image(name, label, chance) for name, label, chances in women for chance in chances]
    assert figure(line, records).value == 0.5  # 0.9 and 0.3 against 0.5
    assert figure(line, records).groups == 3


def test_a_patient_is_called_positive_where_any_of_her_images_is() -> None:
    lines = {
        one.name: one for one in lines_of(PROTOCOLS["busbra"], read_manifest("ultrasound", version="2.2.0"))
    }
    level = read_manifest("ultrasound", version="2.2.0").thresholds["balanced"]

    def image(patient: str, label: str, above: float) -> Record:
        chance = level + above
        told = {"malignant": chance, "benign": 1 - chance, "normal": 0.0}
        return Record("busbra", f"{patient} {above}", patient, label, told, split="external")

    women = [
        ("a", "malignant", (0.1, -0.1)), ("b", "malignant", (-0.1, -0.15)), ("c", "benign", (-0.05, -0.1, 0.01)),
        ("d", "benign", (-0.2, -0.1)), ("e", "benign", (-0.01,)), ("f", "benign", (0.0,)),
    ]  # fmt: skip
    records = [image(name, label, each) for name, label, above in women for each in above]
    found = {
        name: figure(lines[f"{name}_patient_balanced"], records) for name in ("sensitivity", "specificity")
    }
    assert found["sensitivity"].value == 0.5 and found["specificity"].value == 0.5
    assert [found[name].groups for name in ("sensitivity", "specificity")] == [2, 4]
    assert found["sensitivity"].interval == "wilson", "two patients are too few to be drawn from"
    # one benign image beside her cancer makes nobody healthy, and one that is called makes her called
    mixed = [replace(records[0], label="benign"), *records[1:]]
    mixed[1] = replace(mixed[1], label="malignant")
    assert figure(lines["sensitivity_patient_balanced"], mixed).value == 0.5
    with pytest.raises(NotComputable):
        figure(lines["sensitivity_patient_balanced"], [r for r in records if r.label == "benign"])


@pytest.mark.parametrize(
    ("stated", "category"), [("4", 4.0), ("3|4", 4.0), ("0|2", 2.0), ("0", None), ("", None), ("4B", 4.3)]
)
def test_the_readers_category_is_the_highest_that_he_gave(stated: str, category: float | None) -> None:
    assert birads(Record("busbra", "1", "1", "benign", {}, facts={"birads": stated})) == category


def test_without_categories_there_is_no_readers_level() -> None:
    bare = [replace(record, facts={}) for record in frames("busbra", "external")]
    lines = {
        line.name: line
        for line in lines_of(PROTOCOLS["busbra"], read_manifest("ultrasound", version="2.2.0"))
    }
    with pytest.raises(NotComputable):
        figure(lines["reader_auc"], bare)


@pytest.mark.long
def test_rerun_on_a_set_never_seen_and_its_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a person calls it: the served weights on a generated BUS-BRA, PNG and AVIF, then kept beside them."""
    store = tmp_path / "store"
    real = version_folder(read_manifest("ultrasound", version="2.2.0"))
    folder = store / "ultrasound" / real.name
    shutil.copytree(real, folder)
    data = tmp_path / "data"
    write_tree("busbra", data / "busbra")
    asked = ["evaluate", "ultrasound", "--store", str(store), "--data", str(data), "--dataset", "busbra"]
    (table,) = external.files(folder)
    before = table.read_bytes()
    assert main([*asked, "--rerun"]) == 0
    said = capsys.readouterr().out
    assert "busbra external" in said and "AUC a patient" in said and "Dice" in said and "(21 images" in said
    assert table.read_bytes() == before
    assert main([*asked, "--record"]) == 0
    assert external.files(folder) == [table] and len(external.read(folder)) == 21
    capsys.readouterr()
    assert main(["evaluate", "ultrasound", "--store", str(store), "--dataset", "busbra"]) == 0
    said = capsys.readouterr().out
    assert "the served weights" in said and "(21 images" in said
    assert main(["evaluate", "ultrasound", "--store", str(store), "--split", "oof"]) == 0
    assert "busbra" not in capsys.readouterr().out


@pytest.mark.parametrize("model", model_names())
def test_every_committed_card_opens_with_external_figures(model: str) -> None:
    folder = version_folder(read_manifest(model))
    opening = (folder / CARD).read_text().split("\n## ")[1]
    assert opening.startswith("External figures")
    assert ("**No external figure.**" in opening) is (model == "histopathology")


def test_what_2_2_0_does_elsewhere_stands_on_its_card_and_in_the_readme() -> None:
    found = {
        f.name: f
        for f in results_on_record(
            version_folder(read_manifest("ultrasound", version="2.2.0")), "busbra"
        ).figures
    }
    auc = found["auc_malignant_benign"]
    assert auc.low <= 0.708 <= auc.high and auc.images == 1372 and auc.groups == 783
    assert found["specificity_high_sensitivity"].value < 0.25 and found["reader_auc_patient"].value > 0.88
    root = Path(__file__).parents[3]
    for text in (
        (root / "README.md").read_text(),
        (version_folder(read_manifest("ultrasound", version="2.2.0")) / CARD).read_text(),
    ):
        for words in ("0.708 [0.673, 0.739]", "specificity\nof 0.22", "1,875"):
            assert words.replace("\n", " ") in text.replace("\n", " ")


@pytest.mark.skipif(
    not (Path(os.environ.get("CAD_DATA_DIR", "../shared/data")) / "busbra").is_dir(),
    reason="BUS-BRA is not here",
)
def test_the_served_weights_still_give_the_external_predictions() -> None:
    from inference.datasets import busbra
    from inference.evaluation.measuring import predict
    from inference.runtime.onnx_session import OnnxForward
    from inference.runtime.store import verified_weights

    manifest = read_manifest("ultrasound", version="2.2.0")
    known = {r.image: r for r in external.read(version_folder(manifest))}
    data = Path(os.environ.get("CAD_DATA_DIR", "../shared/data")) / "busbra"
    chosen = busbra.read(data).samples[::300]
    for record in predict(manifest, OnnxForward(verified_weights(manifest)), chosen, split="external"):
        assert record.probabilities == pytest.approx(known[record.image].probabilities, abs=0.002)
