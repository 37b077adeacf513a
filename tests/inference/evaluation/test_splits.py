"""The leak guard: a group, and a patient, stand on one side of every split."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.champions.registry import datasets_of
from inference.datasets import busi, cbis_mass_256, idc, mini_mias
from inference.datasets.sample import ULTRASOUND, LeakError, Manifest, Sample, assert_disjoint, grouped_folds
from inference.evaluation.account import read_account
from inference.evaluation.measuring import held_out
from inference.evaluation.records import PREDICTIONS, read_records
from inference.evaluation.training_manifest import refuse_training_samples, write_training_manifest
from inference.runtime.store import model_names, read_manifest, version_folder


def sample(number: int, group: str, label: str, patient: str | None = None, split: str = "train") -> Sample:
    return Sample(
        id=str(number),
        dataset="made up",
        discipline=ULTRASOUND,
        path=Path(f"{number}.png"),
        group_id=group,
        label=label,
        label_binary=label == "malignant",
        patient_id=patient,
        split=split,
    )


@given(
    st.lists(
        st.tuples(st.integers(0, 20), st.sampled_from(["benign", "malignant"])), min_size=30, max_size=80
    ),
    st.integers(2, 5),
    st.integers(0, 3),
)
def test_folds_cover_everything_once_and_never_cut_a_group(
    drawn: list[tuple[int, str]], folds: int, seed: int
) -> None:
    samples = [sample(number, f"g{group}", label) for number, (group, label) in enumerate(drawn)]
    if len({s.group_id for s in samples}) < folds:
        return
    pairs = grouped_folds(samples, folds, seed)
    assert sorted(index for _, outside in pairs for index in outside) == list(range(len(samples)))
    for inside, outside in pairs:
        assert not {samples[i].group_id for i in inside} & {samples[i].group_id for i in outside}
    assert pairs == grouped_folds(samples, folds, seed)


def test_folds_share_the_classes_out() -> None:
    samples = [sample(i, f"g{i}", "malignant" if i % 5 == 0 else "benign") for i in range(100)]
    counts = [Counter(samples[i].label for i in outside) for _, outside in grouped_folds(samples, 5, 0)]
    assert all(count == {"benign": 16, "malignant": 4} for count in counts)


def test_a_planted_duplicate_patient_is_rejected() -> None:
    with pytest.raises(LeakError, match="patient_id 7"):
        assert_disjoint({"train": [sample(1, "a", "benign", "7")], "val": [sample(2, "b", "benign", "7")]})


def test_a_published_split_that_cuts_a_group_is_rejected() -> None:
    cut = Manifest("x", "x", (sample(1, "a", "benign"), sample(2, "a", "benign", split="val")))
    with pytest.raises(LeakError, match="group_id a"):
        cut.part("val")


@pytest.mark.parametrize("reader", [busi, idc, mini_mias, cbis_mass_256], ids=lambda reader: reader.NAME)
def test_the_published_splits_are_disjoint(reader: object, shared_data: Path) -> None:
    manifest = reader.read(shared_data / reader.NAME)  # type: ignore[attr-defined]
    assert len(manifest.part("train")) + len(manifest.part("val")) == len(manifest.samples)


@pytest.mark.parametrize("model", model_names())
def test_a_model_refuses_to_be_measured_on_what_it_was_trained_on(model: str, shared_data: Path) -> None:
    """`val` is free where the served weights were measured on it; what a refit took in is refused."""
    folder = version_folder(read_manifest(model))
    refitted = read_account(folder).refitted
    measured = {record.dataset for record in read_records(folder / PREDICTIONS) if record.split == "val"}
    samples = held_out(datasets_of(model), shared_data)
    free = [entry for entry in samples if entry.dataset in measured and not refitted]
    taken_in = [entry for entry in samples if entry not in free]
    refuse_training_samples(free, folder)
    if taken_in:
        with pytest.raises(LeakError, match=f"trained on {len(taken_in)} of these {len(taken_in)} samples"):
            refuse_training_samples(taken_in, folder)


def test_evaluation_refuses_a_group_of_the_training(tmp_path: Path) -> None:
    write_training_manifest(tmp_path, [sample(1, "a", "benign")])
    refuse_training_samples([sample(2, "b", "benign")], tmp_path)
    with pytest.raises(LeakError, match="1 by group"):
        refuse_training_samples([sample(3, "a", "benign")], tmp_path)
