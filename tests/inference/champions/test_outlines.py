"""A recipe that outlines becomes a version of the store, and every command takes it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from inference.champions.whole_image import bundle
from inference.datasets.generated import write as write_tree
from inference.evaluation.account import read_account
from inference.runtime.custody import verify
from inference.runtime.store import read_manifest
from inference.runtime.whole_image.pipeline import OUTLINED
from tests.inference.champions.runs import Made, Say, made
from tests.inference.recipes.trees import NEURAL, busi_tree

RECIPE: dict[str, Any] = {
    **NEURAL,
    "id": "toy_outlines",
    "title": "A small U-Net",
    "task": {**NEURAL["task"], "kind": "segment"},
    "data": {"dataset": "busi", "size": [32, 40], "protocol": "official"},
    "streams": [{"network": {"unet": {"width": 6, "depth": 2}}}],
    "train": {"epochs": 10, "batch": 4, "learning_rate": 0.01, "loss": "dice_bce", "augment": ["flips"]},
    "expect": {"measure": "dice"},
}


def test_evaluate_prints_the_dice_of_the_run_and_counts_the_served_marks(one: Made, say: Say) -> None:
    status, printed, _ = say("evaluate", "toy_outlines", "--store", one.store, "--json")
    assert status == 0
    ours = {figure["name"]: figure for figure in json.loads(printed)["figures"]}
    theirs = {figure["name"]: figure for figure in one.page["figures"]}
    for name in ("dice", "iou"):
        for bound in ("value", "low", "high"):
            assert ours[name][bound] == pytest.approx(theirs[name][bound], abs=1e-3)
    assert ours["dice"]["value"] > 0.4
    assert ours.keys() == {"dice", "iou", "lesions_found", "froc"}, "it judges no class"
    with (one.folder / "predictions.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert any(row["marks"] for row in rows) and all(float(row["dice"]) <= 1 for row in rows)
    assert {row["label"] for row in rows} == {"benign", "malignant"}
    verify(one.folder)


def test_its_manifest_and_card_claim_no_judgement(one: Made) -> None:
    manifest = read_manifest("toy_outlines", one.store)
    assert manifest.classes == OUTLINED and manifest.research and set(manifest.thresholds.values()) == {0.5}
    card = (one.folder / "card.md").read_text()
    assert "mean Dice of the outline" in card and "None is fitted" in card
    assert "It outlines and judges nothing" in card and "brought to the image as it is stored" in card
    assert "operating points" not in read_account(one.folder).protocol


def test_a_file_is_answered_with_mask_findings_and_heat_map(one: Made, say: Say, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    words = ("predict", "toy_outlines", one.image, "--out", out, "--store", one.store)
    assert say(*words)[0] == 0
    result = json.loads(out.read_text())
    stored = Image.open(one.image).size
    mask = np.asarray(Image.open(result["mask"])) > 127
    assert Image.open(result["mask"]).size == Image.open(result["heatmap"]).size == stored
    truth = np.asarray(Image.open(one.image.with_name("malignant (1)_mask.png")).convert("L")) > 127
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.5
    (first, *_) = result["findings"]
    x0, y0, x1, y1 = (round(v) for v in first["box"])
    assert mask[y0:y1, x0:x1].mean() > 0.3 and len(first["polygon"]) > 2 and 0.5 < first["score"] <= 1
    assert result["probabilities"]["outlined"] >= first["score"] and result["scores"].keys() == set(OUTLINED)
    black = tmp_path / "black.png"
    Image.fromarray(np.zeros((45, 60), np.uint8)).save(black)
    assert say("predict", "toy_outlines", black, "--out", out, "--store", one.store)[0] == 0
    nothing = json.loads(out.read_text())
    assert (nothing["probabilities"]["outlined"] > 0.5) == bool(np.asarray(Image.open(nothing["mask"])).any())


@pytest.mark.parametrize("method", ["occlusion", "integrated_gradients", "map"])
def test_it_is_explained(method: str, one: Made, say: Say, tmp_path: Path) -> None:
    words = ("explain", "toy_outlines", one.image, "--out", tmp_path, "--method", method)
    status, _, sentence = say(*words, "--store", one.store)
    assert status == 0, sentence
    heat = np.asarray(Image.open(next(tmp_path.glob("*.heat.png"))))
    assert heat.max() > heat.min()


def test_it_is_measured_elsewhere_and_archived(one: Made, say: Say, tmp_path: Path) -> None:
    other = busi_tree(tmp_path / "other", groups=10)
    for path in other.glob("Dataset_BUSI_with_GT/*/*.png"):
        Image.open(path).transpose(Image.Transpose.ROTATE_180).save(path)
    words = ("evaluate", "toy_outlines", "--rerun", "--skip-trained", "--data", other, "--store", one.store)
    status, printed, sentence = say(*words, "--json")
    assert status == 0, sentence
    assert {figure["name"] for figure in json.loads(printed)["figures"]} >= {"dice", "lesions_found"}
    status, printed, sentence = say("archive", "--out", tmp_path / "archives", "--store", one.store)
    assert status == 0 and "toy_outlines-1.0.0.mar" in printed, sentence


def test_it_gives_cells_of_the_matrix_by_set_and_scanner(one: Made, say: Say, tmp_path: Path) -> None:
    write_tree("busbra", tmp_path / "busbra")
    words = ("matrix", "toy_outlines", "--store", one.store)
    status, printed, sentence = say(*words, "--data", tmp_path, "--json")
    assert status == 0, sentence
    content = json.loads(printed)
    by = {
        (*cell["trained_on"], cell["tested_on"], cell["scanner"], cell["split"]): cell
        for cell in content["cells"]
    }
    assert by.keys() == {("busi", "busi", "all", "val"), ("busi", "busbra", "all", "external")}
    assert all([f["name"] for f in cell["figures"]][:2] == ["dice", "iou"] for cell in by.values())
    home = by["busi", "busi", "all", "val"]
    assert home["figures"][0]["value"] == pytest.approx(one.page["figures"][0]["value"], abs=1e-3)
    assert (
        home["answer"] == "how well it outlines"
        and {"trained_on": "busbra", "tested_on": "busi"} in content["untested"]
    )
    assert "toy_outlines 1.0.0, trained on busi, tested on busi (val): how well it outlines" in say(*words)[1]


def test_its_bundle_outlines_the_same(one: Made, tmp_path: Path) -> None:
    from monai import bundle as monai  # seconds to import

    place = one.folder / "bundle"
    workflow = monai.ConfigWorkflow(
        config_file=str(place / "configs" / "inference.json"), meta_file=str(place / "configs" / "metadata.json"),
        workflow_type="infer", logging_file=False, bundle_root=str(place),
        dataset_dir=str(one.image.parent), output=str(tmp_path / "masks"),
    )  # fmt: skip
    workflow.initialize()
    assert workflow.check_properties() == []
    workflow.run()
    mask = np.asarray(Image.open(tmp_path / "masks" / "malignant (1).png"))
    configs = place / "configs"
    network = bundle.network(str(configs / "recipe.json"))
    network.load_state_dict(torch.load(place / "models" / "model.pt", weights_only=True))
    with torch.no_grad():
        said = network.eval()(bundle.reader(str(configs / "recipe.json"))(str(one.image))[None])
    assert mask.shape == (32, 40) and ((said[0, 0] > 0).numpy() == (mask > 127)).all() and mask.any()


def test_an_outline_that_serving_draws_otherwise_is_not_exported(tmp_path: Path, say: Say) -> None:
    few = {**RECIPE, "train": {**RECIPE["train"], "epochs": 1}}
    one = made(tmp_path, few, published=True)
    path = one.run / "fold-0" / "predictions.csv"
    rows = list(csv.reader(path.read_text().splitlines()))
    rows[1][7] = f"{float(rows[1][7]) + (0.1 if float(rows[1][7]) < 0.5 else -0.1):.4f}"
    with path.open("w", newline="", encoding="utf-8") as lines:
        csv.writer(lines, lineterminator="\n").writerows(rows)
    status, _, sentence = say("export", one.run, "--store", one.store, "--data", one.tree)
    assert status == 1 and "the version would not be what was measured" in sentence
    assert not one.folder.exists()


def test_its_maps_are_checked_by_the_networks_of_its_run(one: Made, say: Say, tmp_path: Path) -> None:
    words = (
        "explain",
        "toy_outlines",
        "--check",
        "--store",
        one.store,
        "--data",
        one.tree,
        "--limit",
        "2",
        "--json",
    )
    status, printed, sentence = say(*words, "--folds", one.run)
    assert status == 0, sentence
    checks = json.loads(printed)["checks"]
    assert checks["pointing game"].keys() >= {"served map", "map", "integrated_gradients", "occlusion"}
    assert any("rank correlation" in name for name in checks) and "deletion, better than random" in checks
    status, _, sentence = say(*words)
    assert status == 1 and sentence.count("\n") == 1
    status, _, sentence = say(*words, "--folds", tmp_path)
    assert status == 1 and "does not hold all networks behind toy_outlines 1.0.0" in sentence
    other = busi_tree(tmp_path / "other", groups=24)
    for path in other.glob("Dataset_BUSI_with_GT/*/*).png"):
        Image.open(path).transpose(Image.Transpose.ROTATE_180).save(path)
    status, _, sentence = say(*words[:6], other, *words[7:], "--folds", one.run)
    assert status == 1 and "does not hold the images that toy_outlines 1.0.0 was measured on" in sentence
