"""What makes images alike does so; the matrix asks about no patient that it has learned from."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from inference.challenges import shifts
from inference.challenges.embeddings import View
from inference.challenges.harmonise import learned
from inference.challenges.probe import probabilities
from inference.challenges.report import ChallengeError
from inference.cli.main import main
from inference.datasets.generated import tree_below
from inference.datasets.sample import Sample
from tests.inference.challenges.cohorts import made_up


def grey(seed: int, middle: float, spread: float) -> np.ndarray:
    image = np.random.default_rng(seed).normal(middle, spread, size=(40, 40, 1))
    return np.repeat(np.clip(image, 0, 255), 3, axis=2).astype(np.uint8)


def test_a_histogram_is_brought_to_the_references_in_the_same_order() -> None:
    change, _ = learned("histogram", [grey(seed, 150, 10) for seed in range(4)])
    dark = grey(9, 60, 30)
    moved = change(dark)
    assert abs(moved.mean() - 150) < 2 and abs(moved.std() - 10) < 2
    order = np.argsort(dark[..., 0].ravel(), kind="stable")
    assert (np.diff(moved[..., 0].ravel()[order].astype(int)) >= 0).all()


def test_style_moves_brightness_and_leaves_what_is_where() -> None:
    change, _ = learned("style", [grey(seed, 150, 10) for seed in range(4)])
    dark = grey(9, 60, 10)
    dark[10:14, 10:14] = 90
    moved = change(dark)
    assert abs(moved.mean() - 150) < 3
    assert moved[10:14, 10:14].mean() > moved.mean() + 20


def test_another_reference_is_another_row_in_the_cache() -> None:
    digests = [learned("histogram", [grey(seed, 150, 10)])[1] for seed in (1, 1, 2)]
    assert digests[0] == digests[1] != digests[2]
    assert View(changed_by=digests[0]).key != View(changed_by=digests[2]).key != View().key


def test_grey_images_hold_no_stain_and_that_is_a_sentence() -> None:
    with pytest.raises(ChallengeError, match="no reference image holds tissue"):
        learned("macenko", [grey(1, 150, 10)])


def test_a_scanner_that_shows_everything_brighter_costs_until_it_is_made_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rows are the means of a picture's halves: of positive patients the upper one is brighter."""
    samples = made_up(60, apart=0.0).samples

    def picture(sample: Sample, view: View) -> np.ndarray:
        seed = int(sample.path.stem)
        image = grey(seed, 100, 8)
        image[:20] = np.clip(image[:20] + (16.0 if sample.label_binary else 0.0), 0, 255).astype(np.uint8)
        return image if view.change is None else view.change(image)

    def embedded(asked: list[Sample], view: View) -> np.ndarray:
        pictures = [picture(sample, view).astype(float) for sample in asked]
        return np.array([[image[:20].mean(), image[20:].mean()] for image in pictures])

    monkeypatch.setattr(shifts, "picture", picture)
    monkeypatch.setattr(shifts, "embedded", embedded)
    patients: list[list[int]] = []

    def watched(rows: np.ndarray, truth: np.ndarray, asked: np.ndarray) -> np.ndarray:
        patients.append([len(rows), len(asked)])
        return probabilities(rows, truth, asked)

    monkeypatch.setattr(shifts, "probabilities", watched)
    # another gain for each image: what is learned on constant brightness fails, order within an image stays
    gain = {index: 0.6 + 0.8 * np.random.default_rng(index).random() for index in range(len(samples))}

    def see(image: np.ndarray) -> np.ndarray:
        return np.clip(image * gain[int(image[0, 0, 0]) % len(gain)], 0, 255).astype(np.uint8)

    other = shifts.Domain("other", samples, see)
    cells = shifts.matrix([shifts.Domain("one", samples), other], ["histogram"], side=40)
    by_name = {(cell.learned_on, cell.asked_of, cell.way): cell for cell in cells}
    home, away = by_name["one", "one", shifts.PLAIN], by_name["one", "other", shifts.PLAIN]
    alike = by_name["one", "other", "histogram"]
    assert home.auc.value > away.auc.value + 0.1
    assert alike.gain is not None and alike.gain.low > 0
    assert alike.auc.value - away.auc.value == pytest.approx(alike.gain.value)
    assert all(sum(pair) == len(samples) for pair in patients)  # the halves: nobody on both sides


@pytest.mark.long
def test_the_command_on_made_up_tissue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAD_RUNS", str(tmp_path / "runs"))
    data = tree_below(tmp_path, "idc")
    arguments = ["shiftmatrix", "histopathology", "--ways", "histogram", "--side", "32", "--limit", "40"]
    assert main([*arguments, "--data", str(data), "--out", str(tmp_path / "out")]) == 0
    told = json.loads((tmp_path / "out" / "report.json").read_text())
    assert len(told["matrix"]) == 4 and len(told["ways"]) == 2 * 16
    assert all((row["gain"] is None) == (row["way"] == shifts.PLAIN) for row in told["ways"])
