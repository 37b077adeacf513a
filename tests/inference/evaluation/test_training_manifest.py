"""A model is never measured on what it was trained on, however that is named."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imaging.digest import sha256_of
from inference.datasets import busi
from inference.datasets.sample import ULTRASOUND, LeakError, Sample
from inference.evaluation.training_manifest import (
    TRAINING_MANIFEST,
    refusal,
    refuse_training_samples,
    trained_samples,
    write_training_manifest,
)


def picture(path: Path, seed: int) -> Path:
    """A smooth made-up frame of its own look."""
    generator = np.random.default_rng(seed)
    coarse = Image.fromarray(generator.integers(0, 255, (9, 9), dtype=np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse.resize((120, 100), Image.Resampling.BICUBIC).save(path)
    return path


def sample(path: Path, group: str, dataset: str = "made up", patient: str | None = None) -> Sample:
    return Sample(
        id=path.stem, dataset=dataset, discipline=ULTRASOUND, path=path, group_id=group, label="benign",
        label_binary=False, patient_id=patient,
    )  # fmt: skip


def test_the_manifest_lists_groups_patients_and_the_bytes_of_every_image(tmp_path: Path) -> None:
    seen = [sample(picture(tmp_path / f"{n}.png", n), f"g{n // 2}", patient=f"p{n // 2}") for n in range(4)]
    frames = [sample(picture(tmp_path / f"f{n}.png", 9 + n), f"{n}", "busi") for n in range(2)]
    listed = json.loads(write_training_manifest(tmp_path, [*seen, *frames]).read_text())
    assert listed["made up"]["groups"] == ["g0", "g1"] and listed["made up"]["patients"] == ["p0", "p1"]
    assert listed["made up"]["sha256"] == sorted(sha256_of(entry.path) for entry in seen)
    assert len(listed["busi"]["looks"]) == 2 and "looks" not in listed["made up"]


def test_a_group_and_a_patient_of_the_training_are_refused(tmp_path: Path) -> None:
    write_training_manifest(tmp_path, [sample(picture(tmp_path / "a.png", 1), "a", patient="p")])
    fresh = picture(tmp_path / "b.png", 2)
    refuse_training_samples([sample(fresh, "b")], tmp_path)
    with pytest.raises(LeakError, match="1 by group"):
        refuse_training_samples([sample(fresh, "a")], tmp_path)
    with pytest.raises(LeakError, match="1 by patient"):
        refuse_training_samples([sample(fresh, "b", patient="p")], tmp_path)


def test_a_renamed_copy_is_refused_by_its_bytes(tmp_path: Path) -> None:
    trained = picture(tmp_path / "trained.png", 1)
    write_training_manifest(tmp_path, [sample(trained, "a")])
    copied = Path(shutil.copy(trained, tmp_path / "innocent.png"))
    with pytest.raises(LeakError, match=r"1 of these 1 samples \(known 1 by bytes\): made up innocent"):
        refuse_training_samples([sample(copied, "elsewhere")], tmp_path)


def test_busis_group_numbers_mean_nothing_in_another_tree(tmp_path: Path) -> None:
    write_training_manifest(tmp_path, [sample(picture(tmp_path / "a.png", 1), "317", "busi")])
    refuse_training_samples([sample(picture(tmp_path / "b.png", 2), "317", "busi")], tmp_path)


def test_a_group_of_a_tree_that_holds_a_trained_image_is_trained(tmp_path: Path) -> None:
    trained = sample(picture(tmp_path / "a.png", 1), "7", "busi")
    write_training_manifest(tmp_path, [trained])
    other = sample(picture(tmp_path / "b.png", 2), "7", "busi")
    assert trained_samples([other], tmp_path) == {}
    assert trained_samples([other], tmp_path, tree=[other, trained]) == {0: "group"}


def test_a_mirrored_or_brightened_copy_of_a_frame_is_known_by_its_look(tmp_path: Path) -> None:
    trained = picture(tmp_path / "a.png", 1)
    write_training_manifest(tmp_path, [sample(trained, "1", "busi")])
    pixels = np.asarray(Image.open(trained))
    Image.fromarray(np.ascontiguousarray(pixels[:, ::-1])).save(tmp_path / "mirrored.png")
    Image.fromarray((pixels * 0.8 + 10).astype(np.uint8)).save(tmp_path / "brighter.png")
    copies = [sample(tmp_path / f"{name}.png", name, "busi") for name in ("mirrored", "brighter")]
    others = [sample(picture(tmp_path / f"{n}.png", n), str(n), "busi") for n in range(2, 22)]
    assert trained_samples([*copies, *others], tmp_path) == {0: "look", 1: "look"}


def test_a_refusal_counts_them_all_and_names_the_first(tmp_path: Path) -> None:
    seen = [sample(picture(tmp_path / f"{n}.png", n), f"g{n}") for n in range(15)]
    write_training_manifest(tmp_path, seen)
    fresh = sample(picture(tmp_path / "fresh.png", 99), "fresh")
    asked = [fresh, *seen]
    sentence = refusal(asked, trained_samples(asked, tmp_path), "m")
    assert (
        "15 of these 16 samples" in sentence and sentence.endswith("and 3 more") and "fresh" not in sentence
    )


def test_without_a_training_manifest_nothing_is_measured(tmp_path: Path) -> None:
    with pytest.raises(LeakError, match=TRAINING_MANIFEST):
        refuse_training_samples([sample(picture(tmp_path / "a.png", 1), "a")], tmp_path)


def test_frames_of_one_group_look_alike_and_of_others_do_not(shared_data: Path, tmp_path: Path) -> None:
    """BUSI itself: no frame of `val` is taken for one of `train`."""
    manifest = busi.read(shared_data / busi.NAME)
    write_training_manifest(tmp_path, manifest.part("train"))
    assert trained_samples(manifest.part("val"), tmp_path, tree=manifest.samples) == {}
    renumbered = [replace(entry, group_id=f"new {entry.group_id}") for entry in manifest.part("val")]
    assert trained_samples(renumbered, tmp_path) == {}


def hold_out(root: Path, numbers: range) -> Path:
    """A tree in BUSI's grammar with a `split.csv` of its own."""
    tree = root / "Dataset_BUSI_with_GT"
    rows = []
    for number in numbers:
        label = "malignant" if number % 2 else "benign"
        image = picture(tree / label / f"{label} ({number}).png", number)
        mask = np.zeros((100, 120), np.uint8)
        mask[30:60, 40:80] = 255
        Image.fromarray(mask).save(image.with_name(f"{image.stem}_mask.png"))
        rows.append((image.name, label, str(number), "test"))
    with (root / "split.csv").open("w", newline="") as lines:
        csv.writer(lines).writerows([("image", "class", "group", "split"), *rows])
    return root


def test_the_weights_are_measured_on_another_tree_without_what_they_were_trained_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from inference.cli.main import main
    from inference.runtime.custody import rewriting
    from inference.runtime.store import read_manifest, version_folder

    data = hold_out(tmp_path / "elsewhere", range(1, 9))
    samples = busi.read(data).samples
    store = tmp_path / "store"
    manifest = read_manifest("ultrasound")
    folder = version_folder(manifest, store)
    shutil.copytree(version_folder(manifest), folder)
    with rewriting(folder):
        write_training_manifest(folder, [s for s in samples if s.id in {"benign (2)", "malignant (3)"}])
    asked = ["evaluate", "ultrasound", "--store", str(store), "--rerun", "--data", str(data), "--json"]
    assert main(asked) == 1
    refused = capsys.readouterr()
    assert "2 of these 8 samples" in refused.err and "--skip-trained" in refused.err and not refused.out
    assert main([*asked, "--skip-trained"]) == 0
    printed = capsys.readouterr()
    figures = {entry["name"]: entry for entry in json.loads(printed.out)["figures"]}
    assert figures["auc_malignant_benign"]["images"] == 6 and figures["dice"]["images"] == 6
    assert "left out" in printed.err and "6 of 6 images" in printed.err
    assert main([*asked, "--split", "oof"]) == 1
