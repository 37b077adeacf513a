"""A fold trained again by the version's own recipe: digests of recipe and weights, rows and figures come out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from inference.champions import registry
from inference.champions.mammography import clusters
from inference.champions.plan import Plan
from inference.champions.recipe import parse
from inference.cli.main import main
from inference.cli.retrain import Repeated, Retrained, committed_fold, compare_fold, recipe_of_version
from inference.evaluation.account import Account, write_account
from inference.evaluation.figures import Figure
from inference.evaluation.records import PREDICTIONS, Record, RecordsError, write_records
from inference.recipes.recipe_file import read
from inference.runtime import custody
from inference.runtime.custody import NOT_RECORDED, RECIPE
from inference.runtime.store import MANIFEST, read_manifest, version_folder
from tests.inference.recipes.trees import busi_tree


def idc_tree(root: Path) -> None:
    """Nine patients to train and to calibrate, three of the published `val` part."""
    rows, chance = ["file,patient,group,label,split"], np.random.default_rng(0)
    for patient in range(12):
        for number in range(4 if patient < 9 else 8):
            label = number % 2
            name = f"{8000 + patient}/{label}/{8000 + patient}_idx5_x{50 * number}_y0_class{label}.png"
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            colour = (210, 150, 190) if label else (230, 210, 225)  # BGR, as OpenCV writes it
            field = np.clip(chance.normal(colour, 18, (50, 50, 3)), 0, 255).astype(np.uint8)
            cv2.imwrite(str(root / name), field)
            rows.append(f"{name},{8000 + patient},{patient},{label},{'train' if patient < 9 else 'val'}")
    (root / "split.csv").write_text("\n".join(rows) + "\n")


TREES = {"ultrasound": ("busi", lambda root: busi_tree(root, groups=20)), "histopathology": ("idc", idc_tree)}


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", TREES)
def test_a_fold_is_trained_again_by_the_recipe_that_lies_beside_the_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    torch.set_num_threads(1)
    folder, write = TREES[name]
    write(tmp_path / "data" / folder)
    path = registry.recipe_file(name)
    recipe = parse(read(path, ("quick",)), path)
    plan = Plan(tmp_path / "data", tmp_path / "run", tmp_path / "store", "1.0.0", recipe)
    original = read_manifest(name)
    folder = tmp_path / "store" / name / "1.0.0"
    folder.mkdir(parents=True)
    (folder / MANIFEST).write_text(original.model_copy(update={"version": "1.0.0"}).model_dump_json())
    weights = original.weights.file
    (folder / weights).write_bytes((version_folder(original) / weights).read_bytes())
    (folder / RECIPE).write_text(recipe.canonical)
    write_account(folder, Account("made up", "made up", "made up", ()))
    write_records(folder / PREDICTIONS, registry.retrain_fold(name, 0, plan))
    custody.write(folder, sealed="when it was built", code=NOT_RECORDED)

    def again(run: str) -> dict[str, Any]:
        capsys.readouterr()
        words = ["--store", str(tmp_path / "store"), "--data", str(tmp_path / "data"), "--json"]
        main(["evaluate", name, "--retrain-fold", "0", "--run", str(tmp_path / run), *words])
        return dict(json.loads(capsys.readouterr().out))

    said = again("again")
    assert said["recipe_sha256"] == recipe.hash == custody.verify(folder).recipe_sha256
    assert said["networks"] and all(one["same"] for one in said["networks"].values())
    assert said["rows"] == said["alike"] > 0
    assert said["figures"] and all(one["within"] for one in said["figures"])

    # the recipe is obeyed: another one, sealed too, is another training
    content = read(path, ("quick",))
    for network in content["networks"].values():
        network["train"]["weight_decay"] *= 30
    (folder / RECIPE).write_text(parse(content, path).canonical)
    custody.write(folder, sealed="afterwards", code=NOT_RECORDED)
    other = again("other")
    assert other["recipe_sha256"] != said["recipe_sha256"]
    assert not any(one["same"] for one in other["networks"].values())
    assert other["alike"] < other["rows"]


@pytest.mark.parametrize("name", ["ultrasound", "mammography", "histopathology"])
def test_a_version_in_the_form_of_before_is_trained_by_its_own_recipe_and_not_by_a_later_one(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = version_folder(read_manifest(name, version="2.2.0"))
    recipe = recipe_of_version(folder)
    assert "in the form of before version 2.3.0" in capsys.readouterr().err
    on_record = json.loads((folder / RECIPE).read_text())["train"]
    said = json.dumps(on_record)
    for part, network in recipe.networks.items():
        for stage in network.train:
            assert stage.batch == on_record["batch"], part
            assert str(stage.epochs) in said and str(stage.learning_rate) in said, part
    assert set(recipe.networks) == PARTS_OF_2_2_0[name]
    assert recipe.hash == registry.recipe_of(name, "2.2.0").hash


PARTS_OF_2_2_0 = {
    "ultrasound": {"lesion"},
    "mammography": {"masses"},
    "histopathology": {"reader_0", "reader_1", "teacher"},
}


def test_a_film_network_whose_recipe_has_no_clusters_trains_none(tmp_path: Path) -> None:
    recipe = registry.recipe_of("mammography", "2.2.0")
    plan = Plan(tmp_path, tmp_path / "run", tmp_path / "store", "2.2.0", recipe)
    made = clusters.train(plan, [], tmp_path / "run" / "clusters")
    assert not made.stamp.seen and not (tmp_path / "run").exists()


def test_what_was_trained_once_has_one_fold_of_its_val_part() -> None:
    folder = version_folder(read_manifest("histopathology"))
    rows = committed_fold(folder, 0)
    assert {(row.split, row.fold) for row in rows} == {("val", None)} and len(rows) > 1000
    with pytest.raises(RecordsError, match=r"folds on record: 0$"):
        committed_fold(folder, 1)


def test_what_comes_out_is_told_to_people_and_to_programs() -> None:
    again = Figure("dice", 0.71, 0.7, 0.72, 20, 12, "mean Dice of the outline", "busi", "oof")
    found = Retrained(
        "f" * 64, {"oof fold 0": ("a" * 64, "b" * 64), "val": ("c" * 64,) * 2}, 20, 3, (Repeated(0, 0.74, again),)
    )  # fmt: skip
    lines = found.as_text().splitlines()
    assert lines[0] == f"trained by the recipe {'f' * 64}"
    assert lines[1] == f"network of oof fold 0: {'a' * 64} on record; other weights, {'b' * 64}"
    assert lines[2].endswith("the very same weights")
    assert lines[3] == "3 of 20 rows say what is on record"
    assert lines[4].endswith("committed 0.740, again 0.710 [0.700, 0.720]: OUTSIDE")
    told = json.loads(json.dumps(found.as_json()))
    assert told["networks"]["oof fold 0"] == {"committed": "a" * 64, "again": "b" * 64, "same": False}
    assert (told["rows"], told["alike"], told["figures"][0]["within"]) == (20, 3, False)


def test_what_is_not_on_record_is_told_and_refuses_nothing() -> None:
    again = Figure("auc_of_breasts", 0.787, 0.709, 0.864, 210, 120, "AUC a breast", "cbis_mass_256", "val")
    entry = Repeated(0, None, again)
    assert entry.within and json.loads(json.dumps(entry.as_json()))["committed"] is None
    said = Retrained("f" * 64, {}, 1, 0, (entry,)).as_text().splitlines()[-1]
    assert said.endswith("AUC a breast (cbis_mass_256): not on record, again 0.787 [0.709, 0.864]")


@pytest.mark.parametrize(("label", "group"), [("benign", "g1"), ("malignant", "g2")])
def test_data_that_say_otherwise_than_the_record_are_refused(label: str, group: str) -> None:
    one = Record("busi", "malignant (1)", "g1", "malignant", {"malignant": 0.9}, split="oof", fold=0)
    other = Record("busi", "malignant (1)", group, label, {"malignant": 0.9}, split="oof", fold=0)
    with pytest.raises(
        RecordsError, match=rf"malignant \(1\) is {label} of {group} in these data, malignant of g1"
    ):
        compare_fold(read_manifest("ultrasound"), [one], [other], 0)
