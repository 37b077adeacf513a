"""DeLong's test, two models on the same images, and a fold trained again."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from inference.cli.retrain import committed_fold, compare_fold
from inference.evaluation.account import Account, write_account
from inference.evaluation.comparison import compare
from inference.evaluation.delong import auc_covariance, auc_interval, delong, placements
from inference.evaluation.folder import METRICS
from inference.evaluation.records import PREDICTIONS, Record, RecordsError, write_records
from inference.runtime import custody
from inference.runtime.store import read_manifest, version_folder


def busi_records(shift: float, seed: int, *, number: int = 120, folds: int = 3) -> list[Record]:
    """Frames whose malignancy is told apart the better the larger `shift` is."""
    generator = np.random.default_rng(seed)
    records = []
    for index in range(number):
        label = "malignant" if index % 3 == 0 else "benign"
        chance = float(1 / (1 + np.exp(-(generator.normal() + shift * (label == "malignant")))))
        told = {"benign": 1 - chance, "malignant": chance, "normal": 0.0}
        records.append(
            Record("busi", f"{label} ({index})", f"g{index // 2}", label, told, dice=0.8, lesions=1,
                   split="oof", fold=index // 2 % folds)
        )  # fmt: skip
    return records


def test_the_standard_error_is_the_published_one() -> None:
    """109 CT scans rated 1 to 5 (Hanley and McNeil 1982, table I): DeLong's standard error of the area,
    0.8932, is 0.0307 in Stata's manual (roctab)."""
    normal, abnormal = (33, 6, 6, 11, 2), (3, 2, 2, 11, 33)
    ratings = np.repeat(np.tile(np.arange(1.0, 6.0), 2), (*normal, *abnormal))
    truth = np.repeat([False, True], (sum(normal), sum(abnormal)))
    areas, spread = auc_covariance(truth, (ratings,))
    assert areas[0] == pytest.approx(0.8932, abs=5e-5)
    assert np.sqrt(spread[0, 0]) == pytest.approx(0.0307, abs=5e-5)


@pytest.mark.parametrize(("positives", "negatives"), [(10, 10), (10, 100), (3, 40)])
def test_classes_that_are_parted_wholly_leave_room_for_luck(positives: int, negatives: int) -> None:
    """DeLong's variance is zero there. At the bound, all pairs are in order less often than once in 40 samples."""
    truth = np.arange(positives + negatives) < positives
    areas, spread = auc_covariance(truth, (truth * 1.0,))
    low, high = auc_interval(float(areas[0]), float(spread[0, 0]), positives, negatives)
    assert 0.3 < low < 0.95 and high == 1.0
    assert auc_interval(0.0, 0.0, positives, negatives) == pytest.approx((0.0, 1 - low))
    gap = NormalDist().inv_cdf(low) * 2**0.5
    generator = np.random.default_rng(3)
    right = generator.normal(gap, size=(4000, positives)).min(1) > generator.normal(
        size=(4000, negatives)
    ).max(1)
    assert right.mean() < 1 / 40


def test_the_bound_tightens_with_more_images_and_none_is_made_of_one() -> None:
    lows = [auc_interval(1.0, 0.0, many, many)[0] for many in (10, 20, 50, 200)]
    assert lows == sorted(lows) and lows[-1] > 0.99
    areas, spread = auc_covariance(np.array([True, False, False]), (np.array([0.9, 0.2, 0.1]),))
    assert auc_interval(float(areas[0]), float(spread[0, 0]), 1, 2) == (0.0, 1.0)


def test_placements_are_the_shares_of_pairs_won() -> None:
    truth = np.array([True, True, False, False, False])
    scores = np.array([0.9, 0.4, 0.4, 0.1, 0.9])
    above, below = placements(truth, scores)
    assert above == pytest.approx([2.5 / 3, 1.5 / 3]) and below == pytest.approx([1.5 / 2, 1.0, 0.5 / 2])
    with pytest.raises(ValueError, match="both classes"):
        placements(np.ones(3, bool), np.arange(3.0))


def test_the_p_value_is_that_of_swapping_the_two_models_at_random() -> None:
    """A permutation of which model said what, image by image, needs no formula."""
    generator = np.random.default_rng(4)
    truth = np.arange(150) % 3 == 0
    shared = generator.normal(size=150) + truth
    first, second = (
        shared + generator.normal(0, 0.7, 150) + 0.35 * truth,
        shared + generator.normal(0, 0.7, 150),
    )
    found = delong(truth, first, second)

    def gap(a: np.ndarray, b: np.ndarray) -> float:
        return float(placements(truth, a)[0].mean() - placements(truth, b)[0].mean())

    extreme = 0
    for _ in range(1500):
        swap = generator.random(150) < 0.5
        extreme += abs(gap(np.where(swap, second, first), np.where(swap, first, second))) >= abs(
            gap(first, second)
        )
    assert 0.002 < found.p < 0.5
    assert found.p == pytest.approx(extreme / 1500, abs=0.03)


def test_equal_models_differ_by_chance_as_often_as_the_level_says() -> None:
    generator = np.random.default_rng(8)
    truth = np.arange(80) % 2 == 0
    rejected = 0
    for _ in range(400):
        shared = generator.normal(size=80) + truth
        first, second = (shared + generator.normal(0, 0.7, 80) for _ in range(2))
        rejected += delong(truth, first, second).p < 0.05
    assert 0.02 < rejected / 400 < 0.09


def test_a_model_does_not_differ_from_itself() -> None:
    truth, scores = np.arange(20) % 2 == 0, np.random.default_rng(0).random(20)
    assert delong(truth, scores, scores * 2).p == 1


def test_two_models_are_compared_on_the_images_that_they_share() -> None:
    good, poor = busi_records(2.5, 1), busi_records(0.2, 2)
    found = {entry.name: entry for entry in compare(good, poor[10:])}
    entry = found["auc_malignant_benign"]
    assert entry.images == 110 and entry.groups == 55
    assert entry.first > entry.second and entry.low > 0 and entry.p_delong < 0.01
    assert entry.low <= entry.difference <= entry.high


def test_two_truths_of_one_image_are_refused() -> None:
    ours, theirs = busi_records(1, 1), busi_records(1, 2)
    theirs[4] = replace(theirs[4], label="normal")
    with pytest.raises(RecordsError, match=r"benign \(4\) is benign here, normal there"):
        compare(ours, theirs)
    with pytest.raises(RecordsError, match="no image in common"):
        compare(ours, [replace(entry, image="x") for entry in theirs])


def test_evaluate_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from inference.cli.main import main

    manifest = read_manifest("ultrasound")
    for name, shift in (("a", 2.0), ("b", 0.5)):
        folder = version_folder(manifest, tmp_path / name)
        folder.mkdir(parents=True)
        shutil.copy(version_folder(manifest) / "manifest.json", folder)
        written = [replace(entry, network=custody.NOT_KEPT) for entry in busi_records(shift, len(name))]
        write_records(folder / PREDICTIONS, written)
        write_account(folder, Account("made up", "made up", "made up", ()))
        shutil.copy(version_folder(manifest) / manifest.weights.file, folder)
        custody.write(folder, sealed="afterwards", code=custody.NOT_RECORDED)
    asked = ["evaluate", "ultrasound", "--store", str(tmp_path / "a"), "--json", "--against"]
    assert main([*asked, str(tmp_path / "b")]) == 0
    by_store = json.loads(capsys.readouterr().out)
    assert main([*asked, str(version_folder(manifest, tmp_path / "b") / PREDICTIONS)]) == 0
    assert json.loads(capsys.readouterr().out) == by_store
    assert by_store[0]["name"] == "auc_malignant_benign" and by_store[0]["first"] > by_store[0]["second"]
    assert main(["evaluate", "ultrasound", "--store", str(tmp_path / "a"), "--card", "--json"]) == 0
    written = json.loads((version_folder(manifest, tmp_path / "a") / METRICS).read_text())
    assert json.loads(capsys.readouterr().out) == written
    asked_again = ["evaluate", "ultrasound", "--store", str(tmp_path / "a"), "--dataset", "busi", "--json"]
    assert main([*asked_again, "--split", "oof"]) == 0
    assert json.loads(capsys.readouterr().out) == written
    assert main([*asked_again, "--split", "val"]) == 1
    assert "no predictions of busi val are on record; there are: busi oof" in capsys.readouterr().err
    assert main(["evaluate", "ultrasound", "--store", str(tmp_path / "a"), "--retrain-fold", "9"]) == 1
    assert "folds on record: 0, 1, 2" in capsys.readouterr().err
    assert main([*asked, str(tmp_path / "c")]) == 1
    assert "no table of predictions" in capsys.readouterr().err


def test_a_fold_trained_again_holds_its_committed_figure_or_not() -> None:
    manifest = read_manifest("ultrasound")
    committed = [entry for entry in busi_records(1.5, 1) if entry.fold == 1]
    again = [replace(entry, dice=0.8) for entry in committed]
    again[0] = replace(again[0], probabilities={"benign": 1.0, "malignant": 0.0, "normal": 0.0})
    held = {entry.again.name: entry for entry in compare_fold(manifest, committed, again, 1)}
    assert set(held) == {"auc_malignant_benign", "dice"}
    assert held["auc_malignant_benign"].within
    worse = [entry for entry in busi_records(-2.0, 3) if entry.fold == 1]
    lost = {entry.again.name: entry for entry in compare_fold(manifest, committed, worse, 1)}
    assert not lost["auc_malignant_benign"].within


def test_a_fold_of_other_images_is_no_repetition(tmp_path: Path) -> None:
    manifest = read_manifest("ultrasound")
    records = busi_records(1.5, 1)
    first, second = ([entry for entry in records if entry.fold == fold] for fold in (0, 1))
    with pytest.raises(RecordsError, match="other images"):
        compare_fold(manifest, first, second, 0)
    write_records(tmp_path / PREDICTIONS, records)
    assert {entry.image for entry in committed_fold(tmp_path, 1)} == {entry.image for entry in second}
    with pytest.raises(RecordsError, match="folds on record: 0, 1, 2"):
        committed_fold(tmp_path, 7)
