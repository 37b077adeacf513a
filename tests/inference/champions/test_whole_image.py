"""A recipe's run becomes a version of the store, and every command takes it."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from imaging.digest import sha256_of
from inference.champions.whole_image import bundle
from inference.evaluation.account import read_account
from inference.evaluation.measuring import analyse_alone
from inference.evaluation.shift import read_reference
from inference.recipes.runfolder import FOLD
from inference.runtime.custody import verify
from inference.runtime.onnx_session import OnnxForward
from inference.runtime.store import read_manifest
from tests.inference import plain_network  # noqa: F401 - registers `plain`
from tests.inference.champions.runs import Made, Say, exported, made
from tests.inference.recipes.trees import NEURAL, busi_tree

#: Of a size whose quarter can be halved, as ONNX wants it.
GRAY: dict[str, Any] = {**NEURAL, "data": {"dataset": "busi", "size": [28, 36], "folds": 2}}
#: With a map, in colour, resized twice, over one published part.
COLOUR: dict[str, Any] = {
    **NEURAL,
    "id": "toy_colour",
    "data": {"dataset": "busi", "size": [48, 48], "protocol": "official", "colour": "rgb"},
    "streams": [{"network": {"bhcnet": {"modules": 1, "width": 4}}, "resize": [32, 40]}],
    "train": {"epochs": 1, "batch": 8},
    "calibrate": True,
}


@pytest.fixture(scope="module")
def gray(tmp_path_factory: pytest.TempPathFactory) -> Made:
    one = made(tmp_path_factory.mktemp("gray"), GRAY)
    assert exported(one) == 0
    return one


@pytest.fixture(scope="module")
def colour(tmp_path_factory: pytest.TempPathFactory) -> Made:
    one = made(tmp_path_factory.mktemp("colour"), COLOUR, published=True)
    assert exported(one) == 0
    return one


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "predictions.csv").open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.parametrize("name", ["gray", "colour"])
def test_evaluate_prints_the_figures_of_the_run(name: str, say: Say, request: pytest.FixtureRequest) -> None:
    one: Made = request.getfixturevalue(name)
    status, printed, _ = say("evaluate", one.page["id"], "--store", one.store, "--json")
    assert status == 0
    ours = {figure["name"]: figure for figure in json.loads(printed)["figures"]}
    theirs = {figure["name"]: figure for figure in one.page["figures"]}
    for there, here in (
        ("auc", "auc_malignant"), ("accuracy", "accuracy"), ("balanced_accuracy", "balanced_accuracy"),
        ("average_precision", "pr_auc_malignant"), ("brier", "brier_malignant"), ("ece", "ece_malignant"),
    ):  # fmt: skip
        for bound in ("value", "low", "high"):
            assert ours[here][bound] == pytest.approx(theirs[there][bound], abs=1e-4), (there, bound)
    assert not any("lesion" in figure or "froc" in figure for figure in ours)


def test_each_row_names_the_network_of_its_fold(gray: Made) -> None:
    digests = {str(n): sha256_of(gray.run / f"fold-{n}" / "model.onnx") for n in (0, 1)}
    rows = rows_of(gray.folder)
    assert len(rows) == 24 and {row["split"] for row in rows} == {"oof"}
    assert all(row["network"] == digests[row["fold"]] for row in rows)
    custody = verify(gray.folder)
    served = read_manifest("toy_neural", gray.store).weights.sha256
    assert served == custody.networks["served"] and served not in digests.values()
    assert custody.sealed == "when it was built" and custody.recipe_sha256 == gray.page["hash"]
    assert read_account(gray.folder).refitted


def test_of_one_published_part_the_very_network_is_served(colour: Made) -> None:
    rows = rows_of(colour.folder)
    manifest = read_manifest("toy_colour", colour.store)
    assert {row["split"] for row in rows} == {"val"} and {row["fold"] for row in rows} == {""}
    assert {row["network"] for row in rows} == {manifest.weights.sha256}
    account = read_account(colour.folder)
    assert not account.refitted and "very network" in account.protocol
    # points of an image are fitted without its group: not all the same, and not the served ones
    points = {json.loads(row["facts"])["balanced"] for row in rows}
    assert len(points) > 1
    assert manifest.calibration["temperature"] >= 1.0 and manifest.research


def test_the_served_weights_have_seen_all_of_it(gray: Made, colour: Made, say: Say) -> None:
    for one in (gray, colour):
        status, _, sentence = say(
            "evaluate", one.page["id"], "--store", one.store, "--rerun", "--data", one.tree
        )
        assert status == 1 and "trained on 24 of these 24" in sentence


@pytest.mark.parametrize("name", ["gray", "colour"])
def test_it_knows_what_its_own_images_look_like(
    name: str, say: Say, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Of every prediction of record, without being asked: `shift` and `acceptance` need it."""
    one: Made = request.getfixturevalue(name)
    reference = read_reference(one.folder)
    assert len(reference) == len(rows_of(one.folder))
    assert {seen.label for seen in reference} == {"benign", "malignant"}
    assert {"score", "gate", "contrast", "sharpness"} <= reference[0].features.keys()
    store = tmp_path / "store"
    shutil.copytree(one.folder, store / one.page["id"] / "1.0.0")
    words = ("shift", one.page["id"], "--reference", "--data", one.tree, "--store", store)
    assert say(*words)[0] == 0, "written again from the data"
    assert read_reference(store / one.page["id"] / "1.0.0") == reference


@pytest.mark.parametrize("name", ["gray", "colour"])
def test_a_file_is_predicted_as_the_run_predicts_it(
    name: str, say: Say, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    one: Made = request.getfixturevalue(name)
    out = tmp_path / "out.jsonl"
    assert say("predict", one.page["id"], one.image, "--out", out, "--store", one.store)[0] == 0
    result = json.loads(out.read_text())
    assert result["probabilities"].keys() == {"benign", "malignant"}
    assert sum(result["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    if name == "colour":  # the very network: what the file's row says, if it was held out
        row = next((row for row in rows_of(one.folder) if row["image"] == "malignant (1)"), None)
        if row is not None:
            said = json.loads(row["probabilities"])["malignant"]
            assert result["probabilities"]["malignant"] == pytest.approx(said, abs=5e-3)
        assert result["heatmap"] and Image.open(result["heatmap"]).size == Image.open(one.image).size
    else:
        assert result["heatmap"] is None


def test_a_strange_image_is_flagged(gray: Made, say: Say, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    out = tmp_path / "out.jsonl"
    assert say("predict", "toy_neural", tmp_path / "noise.png", "--out", out, "--store", gray.store)[0] == 0
    assert "out_of_distribution" in json.loads(out.read_text())["flags"]


@pytest.mark.parametrize("method", ["occlusion", "integrated_gradients", "map"])
@pytest.mark.parametrize("name", ["gray", "colour"])
def test_it_is_explained(
    name: str, method: str, say: Say, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    one: Made = request.getfixturevalue(name)
    words = (
        "explain",
        one.page["id"],
        one.image,
        "--out",
        tmp_path,
        "--method",
        method,
        "--store",
        one.store,
    )
    status, _, sentence = say(*words)
    if (name, method) == ("gray", "map"):
        assert status == 1 and sentence == (
            "inference: toy_neural 1.0.0 puts no map out: ask for another --method\n"
        )
    else:
        assert status == 0, sentence
        heat = np.asarray(Image.open(next(tmp_path.glob("*.heat.png"))))
        assert heat.max() > heat.min()


def test_it_is_compared_with_another_version_and_archived(
    gray: Made, colour: Made, say: Say, tmp_path: Path
) -> None:
    status, printed, _ = say(
        "evaluate", "toy_neural", "--store", gray.store, "--against", colour.folder, "--json"
    )
    assert status == 0 and {one["name"] for one in json.loads(printed)} >= {"auc_malignant_benign"}
    for one in (gray, colour):
        status, printed, sentence = say("archive", "--out", tmp_path, "--store", one.store)
        assert status == 0 and f"{one.page['id']}-1.0.0.mar" in printed, sentence


@pytest.mark.parametrize(
    "file",
    ["predictions.csv", "model.onnx", "card.md", "recipe.json", "protocol.json", "bundle/models/model.pt"],
)
def test_a_changed_byte_is_refused(file: str, gray: Made, say: Say, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(gray.store, store)
    path = store / "toy_neural" / "1.0.0" / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    status, printed, sentence = say("evaluate", "toy_neural", "--store", store)
    assert status == 1 and not printed and sentence.count("\n") == 1


def test_a_hospital_measures_it_on_its_own_cases(gray: Made, say: Say, tmp_path: Path) -> None:
    other = busi_tree(tmp_path / "own", groups=60)
    rng = np.random.default_rng(5)
    lines = ["image,label"]
    for path in sorted(other.glob("Dataset_BUSI_with_GT/*/*).png")):
        pixels = np.asarray(Image.open(path)).astype(np.int16) + rng.integers(-9, 10, (45, 60))
        turned = np.clip(pixels[::-1, ::-1], 1, 254).astype(np.uint8)
        Image.fromarray(turned).save(tmp_path / "own" / path.name)
        known = {"malignant": "positive", "benign": "benign"}[path.parent.name]
        lines.append(f"{path.name},{known}")
    (tmp_path / "cases.csv").write_text("\n".join(lines) + "\n")
    status, printed, sentence = say(
        "acceptance", "toy_neural", "--cases", tmp_path / "cases.csv", "--images", tmp_path / "own", "--out",
        tmp_path / "report", "--store", gray.store,
    )  # fmt: skip
    assert status in (0, 2) and "report: " in printed, sentence
    report = "".join(path.read_text() for path in (tmp_path / "report").glob("*.md"))
    assert "60" in report


def test_a_set_is_asked_under_the_labels_of_the_recipe(tmp_path: Path, say: Say) -> None:
    """BUSI says `malignant`, the recipe `sick`: of another tree of the set too."""
    task = {
        "classes": ["well", "sick"], "positive": "sick", "labels": {"benign": "well", "malignant": "sick"},
    }  # fmt: skip
    one = made(tmp_path, {**GRAY, "id": "toy_renamed", "task": task})
    assert exported(one) == 0
    other = busi_tree(tmp_path / "other", groups=40)
    for path in other.glob("Dataset_BUSI_with_GT/*/*.png"):
        Image.open(path).transpose(Image.Transpose.ROTATE_180).save(path)
    words = ("evaluate", "toy_renamed", "--rerun", "--skip-trained", "--data", other, "--store", one.store)
    status, printed, sentence = say(*words, "--json")
    assert status == 0, sentence
    figures = {figure["name"]: figure for figure in json.loads(printed)["figures"]}
    assert figures["auc_sick"]["images"] >= 10 and figures["auc_sick"]["value"] > 0.5


@pytest.mark.parametrize("name", ["gray", "colour"])
def test_the_bundle_says_what_the_version_says(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    one: Made = request.getfixturevalue(name)
    configs = one.folder / "bundle" / "configs"
    described = json.loads((configs / "inference.json").read_text())
    assert described["network_def"]["_target_"] == f"{bundle.__name__}.network"
    network = bundle.network(str(configs / "recipe.json"))
    weights = torch.load(one.folder / "bundle" / "models" / "model.pt", weights_only=True)
    network.load_state_dict(weights)
    given = bundle.reader(str(configs / "recipe.json"))(str(one.image))
    with torch.no_grad():
        said = torch.softmax(network.eval()(given[None]), dim=1)[0].tolist()
    manifest = read_manifest(one.page["id"], one.store)
    result = analyse_alone(manifest, OnnxForward(one.folder / "model.onnx"), one.image, None, tmp_path)
    assert said == pytest.approx(list(result.probabilities.values()), abs=2e-3)
    metadata = json.loads((configs / "metadata.json").read_text())
    # what MONAI's schema of 2024 asks for
    assert metadata.keys() >= {
        "schema", "version", "monai_version", "pytorch_version", "numpy_version", "required_packages_version",
        "task", "description", "authors", "copyright", "network_data_format",
    }  # fmt: skip
    (image,) = metadata["network_data_format"]["inputs"].values()
    assert image["spatial_shape"] == list(given.shape[-2:] if name == "gray" else given.shape[:2])
    assert metadata["network_data_format"]["outputs"]["pred"]["channel_def"] == {
        "0": "benign",
        "1": "malignant",
    }


def test_monai_runs_the_bundle(colour: Made, tmp_path: Path) -> None:
    from monai import bundle  # seconds to import

    place, images = colour.folder / "bundle", colour.image.parent
    workflow = bundle.ConfigWorkflow(
        config_file=str(place / "configs" / "inference.json"), meta_file=str(place / "configs" / "metadata.json"),
        workflow_type="infer", logging_file=False, bundle_root=str(place), dataset_dir=str(images),
        output=str(tmp_path / "lines.jsonl"),
    )  # fmt: skip
    workflow.initialize()
    assert workflow.check_properties() == []
    workflow.run()
    assert len((tmp_path / "lines.jsonl").read_text().splitlines()) == len(list(images.glob("*.png")))


def test_the_card_says_what_the_recipe_says(gray: Made, colour: Made) -> None:
    card = (gray.folder / "card.md").read_text()
    assert "Substituted: A toy." in card and "3 epochs of batches of 4 by adamw (rate 0.01" in card
    assert "changed by affine, brightness" in card and "calibrate: false" in card
    assert "the review says 0.990" in card and gray.page["hash"][:16] in card
    assert "calibrate: false" not in (colour.folder / "card.md").read_text()
    assert {path.name for path in (gray.folder / "plots").iterdir()} >= {"roc_busi_oof_malignant.svg"}


def test_it_gets_the_next_version_a_name_of_its_own_and_nothing_is_fitted_twice(gray: Made, say: Say) -> None:
    before = (gray.run / "final" / FOLD).stat().st_mtime_ns
    words = ("export", gray.run, "--store", gray.store, "--data", gray.tree)
    status, printed, _ = say(*words, "--name", "again")
    assert status == 0 and printed.startswith("again 1.0.0: ")
    weights = [read_manifest(name, gray.store).weights.sha256 for name in ("again", "toy_neural")]
    assert weights[0] == weights[1]
    assert (gray.run / "final" / FOLD).stat().st_mtime_ns == before
    status, _, sentence = say(*words, "--name", "again", "--version", "1.0.0")
    assert status == 1 and "the store has again 1.0.0 already" in sentence
    status, _, sentence = say(*words, "--name", "ultrasound")
    assert status == 1 and "give --name" in sentence
    status, _, sentence = say(*words, "--name", "Not a name")
    assert status == 1 and sentence.count("\n") == 1 and "--name" in sentence
    status, _, sentence = say("evaluate", "nobody", "--store", gray.store)
    assert status == 1 and "the store has no model nobody; it has again, toy_neural" in sentence


def test_a_run_of_other_data_a_control_or_half_a_run_is_refused(gray: Made, say: Say, tmp_path: Path) -> None:
    other = busi_tree(tmp_path / "other", groups=22)
    words = ("export", gray.run, "--store", tmp_path / "store")
    status, _, sentence = say(*words, "--data", other)
    assert status == 1 and "other data" in sentence
    control = made(tmp_path, GRAY, shuffle_labels=True)
    status, _, sentence = say("export", control.run, "--store", tmp_path / "store", "--data", control.tree)
    assert status == 1 and "a control, not a result" in sentence
    (control.run / "summary.json").unlink()
    status, _, sentence = say("export", control.run, "--store", tmp_path / "store", "--data", control.tree)
    assert status == 1 and "not finished" in sentence
    status, _, sentence = say("export", tmp_path, "--store", tmp_path / "store")
    assert status == 1 and "holds no run of a recipe" in sentence
    assert not list(tmp_path.glob("store/*"))


def test_serving_that_says_otherwise_than_the_run_is_not_exported(tmp_path: Path, say: Say) -> None:
    one = made(tmp_path, GRAY)
    path = one.run / "fold-0" / "predictions.csv"
    rows = path.read_text().splitlines()
    cells = next(csv.reader([rows[1]]))
    said = json.loads(cells[6])
    swapped = {"benign": said["malignant"], "malignant": said["benign"]}
    with path.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.writer(lines, lineterminator="\n")
        for number, row in enumerate(csv.reader(rows)):
            writer.writerow([*row[:6], json.dumps(swapped), *row[7:]] if number == 1 else row)
    status, _, sentence = say("export", one.run, "--store", one.store, "--data", one.tree)
    assert status == 1 and "the version would not be what was measured" in sentence
    assert not one.folder.exists()


def test_a_network_that_onnx_has_no_words_for_is_told(tmp_path: Path, say: Say) -> None:
    one = made(tmp_path, NEURAL)
    status, _, sentence = say("export", one.run, "--store", one.store, "--data", one.tree)
    assert (
        status == 1
        and "its network cannot be written as ONNX and served (" in sentence
        and sentence.count("\n") == 1
    )
    assert not one.store.exists()
