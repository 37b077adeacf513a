"""Figures with their intervals, and the records that they are computed of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.evaluation.detection import components, froc, mark_of
from inference.evaluation.figures import FEW, Measure, NotComputable, figure
from inference.evaluation.lines import lines_of
from inference.evaluation.protocol import PROTOCOLS, measure, protocol_of
from inference.evaluation.records import (
    PREDICTIONS,
    Record,
    RecordsError,
    read_records,
    write_records,
)
from inference.evaluation.subgroups import rows, spreads
from inference.runtime.store import read_manifest
from tests.inference.evaluation.made_up import frames, record


def auc() -> Measure:
    manifest = read_manifest("ultrasound")
    return next(line for line in lines_of(PROTOCOLS["busi"], manifest) if line.name == "auc_malignant_benign")


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
