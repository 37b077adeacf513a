"""A mark smaller than its model can outline is no mark: 8 pixels of the canvas for mammography, 4 for ultrasound."""

from __future__ import annotations

import numpy as np
import pytest

from inference.runtime.mammography.pipeline import marks_of
from inference.runtime.mammography.preprocessing import HEIGHT, WIDTH
from inference.runtime.ultrasound.pipeline import regions_of

CALIBRATION = {"mark_peak": 1.0, "mark_present": 1.0, "mark_offset": 0.0, "mark_level": 0.5}


def mammogram_marks(width: int, height: int) -> list[tuple[int, int, int, int]]:
    """The boxes that come of one certain candidate in the middle of a patch of that size, and of another far away."""
    masses = np.zeros((HEIGHT, WIDTH), np.float32)
    for x, y, wide, high in ((200, 200, width, height), (200, 600, 40, 30)):
        masses[y : y + high, x : x + wide] = 0.9
    candidates = np.array(
        [[(200 + width // 2) / 2, (200 + height // 2) / 2, 4, 4, 0], [220 / 2, 615 / 2, 1, 1, 0]], np.float32
    )
    return [mark.box for mark in marks_of(candidates, masses, CALIBRATION)]


@pytest.mark.parametrize(("width", "height"), [(8, 8), (8, 60), (60, 8), (9, 12)])
def test_a_mammograms_mark_has_eight_pixels_in_each_direction(width: int, height: int) -> None:
    assert mammogram_marks(width, height) == [(200, 200, 200 + width, 200 + height), (200, 600, 240, 630)]


@pytest.mark.parametrize(("width", "height"), [(7, 7), (7, 60), (60, 7), (1, 1)])
def test_a_smaller_one_is_dropped_and_the_others_stay(width: int, height: int) -> None:
    assert mammogram_marks(width, height) == [(200, 600, 240, 630)]


def test_a_peak_that_stands_out_from_nothing_is_no_mark() -> None:
    masses = np.full((HEIGHT, WIDTH), 0.001, np.float32)
    masses[300, 300] = 0.9
    assert marks_of(np.array([[150, 150, 5, 5, 0]], np.float32), masses, CALIBRATION) == []


def ultrasound_regions(width: int, height: int) -> list[tuple[int, int, int, int]]:
    outline = np.zeros((448, 448), np.float32)
    outline[100 : 100 + height, 50 : 50 + width] = 0.9
    return [region.box for region in regions_of(outline, 0.5)]


@pytest.mark.parametrize(("width", "height"), [(4, 40), (40, 4), (12, 12)])
def test_an_ultrasounds_mark_has_four_pixels_in_each_direction(width: int, height: int) -> None:
    assert ultrasound_regions(width, height) == [(50, 100, 50 + width, 100 + height)]


@pytest.mark.parametrize(("width", "height"), [(3, 200), (200, 3), (1, 300), (5, 5)])
def test_a_sliver_or_a_crumb_is_none(width: int, height: int) -> None:
    assert ultrasound_regions(width, height) == []
