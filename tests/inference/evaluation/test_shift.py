"""The test over a set: loud where images differ, quiet where they do not, and not misled by patients or prevalence."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.cli.main import main
from inference.datasets.generated import write as write_tree
from inference.evaluation.shift import (
    FEWEST,
    REFERENCE,
    Seen,
    ShiftError,
    read_reference,
    reference_of,
    shift_of,
    write_reference,
)
from inference.runtime.store import model_names, read_manifest, version_folder

DATA = Path(os.environ.get("CAD_DATA_DIR", "../shared/data"))


def images(
    number: int, *, seed: int, moved: float = 0.0, malignant: float = 0.3, each: int = 1
) -> list[Seen]:
    """`each` images a patient, alike within her; the score depends on the label."""
    generator = np.random.default_rng(seed)
    made = []
    for patient in range(number // each):
        label = "malignant" if generator.random() < malignant else "benign"
        score = generator.normal(2.0 if label == "malignant" else -2.0)
        contrast, sharpness = generator.normal(0.2 + moved, 0.05), generator.normal(-1, 0.5)
        for _ in range(each):
            features = {
                "score": score + generator.normal(0, 0.05), "gate": 0.0,
                "contrast": contrast + generator.normal(0, 0.002), "sharpness": sharpness,
            }  # fmt: skip
            made.append(Seen(f"{seed} {patient}", label, features))
    return made


def test_a_set_of_other_images_is_named_with_what_differs() -> None:
    found = shift_of(images(300, seed=1), images(60, seed=2, moved=0.06))
    assert {one.name for one in found.named} >= {"contrast", "all"} and "contrast" in found.in_words()
    assert found.as_json()["shifted"] is True
    (contrast,) = [one for one in found.compared if one.name == "contrast"]
    assert contrast.cases_median is not None and contrast.reference_median is not None
    assert contrast.cases_median > contrast.reference_median


def test_another_prevalence_is_no_shift_where_labels_are_known() -> None:
    reference, cases = images(400, seed=1), images(100, seed=3, malignant=0.8)
    assert not shift_of(reference, cases).named
    unlabelled = shift_of(reference, [replace(one, label="") for one in cases])
    assert not unlabelled.weighed and "score" in {one.name for one in unlabelled.named}


def test_labels_that_the_cases_lack_are_left_out_of_the_reference() -> None:
    normal = [
        replace(one, label="normal", features={**one.features, "score": -9.0}) for one in images(200, seed=5)
    ]
    found = shift_of([*images(300, seed=1), *normal], images(80, seed=2))
    assert found.reference_images == 300 and not found.named


def test_cases_of_a_label_that_the_reference_lacks_are_counted_as_left_out() -> None:
    found = shift_of(
        images(300, seed=1), [*images(80, seed=2), *(replace(one, label="odd") for one in images(9, seed=4))]
    )
    assert (found.left_out, found.images) == (9, 80)


def test_many_images_of_few_patients_are_no_many_draws() -> None:
    """Twelve images of each of ten patients differ by chance as ten images would, not as 120."""
    alarms = sum(
        bool(
            shift_of(
                images(300, seed=100 + k, each=3), images(120, seed=200 + k, each=12), permutations=1000
            ).named
        )
        for k in range(20)
    )
    assert alarms <= 1


def test_fewer_than_fifty_images_say_nothing() -> None:
    with pytest.raises(ShiftError, match=f"{FEWEST - 1} images"):
        shift_of(images(300, seed=1), images(FEWEST - 1, seed=2))


def test_images_that_were_not_read_are_no_images() -> None:
    with pytest.raises(ShiftError, match="30 images"):
        shift_of(
            images(300, seed=1), [*images(30, seed=2), *(Seen(f"x{k}", "benign", {}) for k in range(40))]
        )


def test_the_same_set_twice_gives_the_same_answer() -> None:
    assert shift_of(images(200, seed=1), images(60, seed=2)) == shift_of(
        images(200, seed=1), images(60, seed=2)
    )


def alarms_of_itself(reference: list[Seen], resamples: int) -> int:
    """How often a random part of the reference, groups whole, is named against the rest."""
    members = defaultdict(list)
    for one in reference:
        members[one.group].append(one)
    alarms = 0
    for number in range(resamples):
        order = np.random.default_rng(number).permutation(sorted(members))
        wanted, part = (50, 100, 150, 200)[number % 4], set()
        size = 0
        for group in order:
            if size >= wanted:
                break
            part.add(group)
            size += len(members[group])
        cases = [one for one in reference if one.group in part]
        rest = [one for one in reference if one.group not in part]
        alarms += bool(shift_of(rest, cases, permutations=1000, seed=number).named)
    return alarms


def test_busi_against_itself_is_quiet() -> None:
    reference = read_reference(version_folder(read_manifest("ultrasound")))
    assert alarms_of_itself(reference, 20) <= 1


@pytest.mark.long
def test_busi_against_itself_is_named_in_at_most_one_resample_of_twenty() -> None:
    reference = read_reference(version_folder(read_manifest("ultrasound")))
    assert alarms_of_itself(reference, 200) <= 10


@pytest.mark.skipif(not (DATA / "busbra").is_dir(), reason=f"{DATA / 'busbra'} is not here")
def test_busbra_is_named_within_its_first_fifty_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = tmp_path / "busbra"
    (tree / "Images").mkdir(parents=True)
    for name in ("bus_data.csv", "split.csv", "Masks"):
        (tree / name).symlink_to((DATA / "busbra" / name).resolve())
    for path in sorted((DATA / "busbra" / "Images").iterdir())[:50]:
        (tree / "Images" / path.name).symlink_to(path.resolve())
    assert main(["shift", "ultrasound", "--data", str(tree), "--json"]) == 2
    (found,) = [one for name, one in json.loads(capsys.readouterr().out).items() if name == "busbra"]
    assert found["images"] == 50 and "all" in found["named"]


@pytest.mark.parametrize("model", model_names())
def test_every_version_brings_a_small_reference_of_its_images_of_record(model: str) -> None:
    folder = version_folder(read_manifest(model))
    assert (folder / REFERENCE).stat().st_size < 200_000
    reference = read_reference(folder)
    assert len(reference) >= 200 and {"score", "gate"} <= set(reference[0].features)
    assert ("novelty" in reference[0].features) is (model == "histopathology")  # the others saw some of them


def test_a_reference_survives_its_file_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "ultrasound" / "9.0.0"
    folder.mkdir(parents=True)
    with pytest.raises(ShiftError, match=r"ultrasound 9\.0\.0 has no reference"):
        read_reference(folder)
    path = write_reference(folder, images(30, seed=1))
    assert [one.group for one in read_reference(folder)] == [one.group for one in images(30, seed=1)]
    path.write_text(path.read_text().replace(",0,", ",x,", 1))
    with pytest.raises(ShiftError, match=r"reference\.csv"):
        read_reference(folder)


def test_the_novelty_of_what_the_weights_were_fitted_to_is_left_out() -> None:
    from inference.evaluation.records import Record

    manifest = read_manifest("ultrasound")
    told = {"benign": 0.5, "malignant": 0.5, "normal": 0.0}
    own = {"score": 9.0, "gate": 0.0, "novelty": 0.8}
    oof = reference_of([Record("busi", "1", "1", "benign", told, split="oof")], [own], manifest)
    val = reference_of([Record("busi", "1", "1", "benign", told, split="val")], [own], manifest)
    assert "novelty" not in oof[0].features and val[0].features["novelty"] == 0.8
    assert oof[0].features["score"] == 0.0  # of record, not of weights that were trained on it


def test_too_few_images_and_other_trees_end_with_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = write_tree("busbra", tmp_path / "busbra")
    assert main(["shift", "ultrasound", "--data", str(tree)]) == 1
    assert "21 images" in capsys.readouterr().err
    assert main(["shift", "ultrasound", "--data", str(tmp_path / "none")]) == 1
    assert "holds no ultrasound data" in capsys.readouterr().err
