"""Phantoms are the same for the same seed, look like what they are, and know their truth."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imaging import reader
from imaging.phantoms import histology, mammography, ultrasound


@pytest.mark.parametrize("lesion", ["none", "benign", "malignant"])
def test_ultrasound_knows_its_lesion(lesion: Any) -> None:
    made, again = ultrasound.phantom(11, lesion), ultrasound.phantom(11, lesion)
    np.testing.assert_array_equal(made.pixels, again.pixels)
    assert made.label == {"none": "normal"}.get(lesion, lesion)
    assert made.mask.any() == (lesion != "none") == bool(made.boxes)
    if lesion != "none":
        inside = made.pixels[made.mask].mean()
        around = made.pixels[~made.mask][: made.mask.sum()].mean()
        assert inside < 0.8 * around
        x0, y0, x1, y1 = (int(side) for side in made.boxes[0])
        assert made.mask[y0:y1, x0:x1].sum() == made.mask.sum()


def test_a_malignant_lesion_casts_a_shadow_and_a_benign_one_does_not() -> None:
    def behind(lesion: Any) -> float:
        made = ultrasound.phantom(8, lesion)
        x0, _, x1, y1 = (int(side) for side in made.boxes[0])
        middle = (x0 + x1) // 2
        under = made.pixels[y1 + 20 : y1 + 80]
        return float(under[:, middle - 20 : middle + 20].mean() / under.mean())

    assert behind("malignant") < 0.85 < 1.0 < behind("benign")


def test_an_exam_has_four_views_that_hang_back_to_back(tmp_path: Path) -> None:
    exam = mammography.exam(3, left="malignant", rows=448)
    assert [(view.laterality, view.view) for view in exam] == [
        ("R", "CC"),
        ("L", "CC"),
        ("R", "MLO"),
        ("L", "MLO"),
    ]
    studies = set()
    for made in exam:
        columns = made.pixels.shape[1]
        left_half = made.pixels[:, : columns // 2].mean()
        right_half = made.pixels[:, columns // 2 :].mean()
        assert (left_half > right_half) == (made.laterality == "L"), "chest wall at the middle of the display"
        assert bool(made.boxes) == (made.laterality == "L")
        path = tmp_path / f"{made.laterality}{made.view}.dcm"
        mammography.write_dicom(made, path, PatientID="P-3")
        header = reader.describe(path).header
        assert header is not None
        studies.add((header.study_instance_uid, header.series_instance_uid))
        np.testing.assert_array_equal(reader.read(path).values, made.pixels)
    assert len(studies) == 1


def test_the_oblique_view_shows_the_pectoral_muscle() -> None:
    oblique = mammography.phantom(3, "L", "MLO", rows=448, columns=336).pixels
    straight = mammography.phantom(3, "L", "CC", rows=448, columns=336).pixels
    assert oblique[30:90, 5:40].mean() > 2 * straight[30:90, 5:40].mean()


def test_tumour_is_where_the_mask_says() -> None:
    made = histology.photograph(3, "malignant", shape=(600, 800))
    mask = made.mask.repeat(made.mask_downsample, 0).repeat(made.mask_downsample, 1)[:600, :800]
    # Nuclei absorb red; eosin hardly does.
    assert made.pixels[mask][:, 0].mean() < made.pixels[~mask][:, 0].mean() - 10
    assert histology.photograph(3, "none", shape=(600, 800)).boxes == ()


def test_phantoms_are_made_quickly() -> None:
    for make, seconds in (
        (lambda: ultrasound.phantom(1, "malignant"), 0.5),
        (lambda: mammography.phantom(1, "L", "MLO", "malignant"), 2.0),
    ):
        started = time.process_time()
        make()
        assert time.process_time() - started < 3 * seconds
