"""What is smaller than its model can outline: a mammogram's proposal is shown without an outline (below 8 pixels of the
canvas), an ultrasound's crumb of 4 is nothing."""

from __future__ import annotations

import numpy as np
import pytest

from inference.runtime.calibration import Platt
from inference.runtime.geometry import Placement
from inference.runtime.mammography.pipeline import MassMark, findings_of, marks_of
from inference.runtime.mammography.preprocessing import HEIGHT, WIDTH
from inference.runtime.scale import Scale
from inference.runtime.ultrasound.pipeline import regions_of

CALIBRATION = {"mark_peak": 1.0, "mark_present": 1.0, "mark_offset": 0.0, "mark_level": 0.5}
LARGE = (200, 600, 240, 630)
#: Three by three pixels of the outline around (200, 200).
PROPOSED = (176, 176, 224, 224)


def mammogram_marks(width: int, height: int) -> list[MassMark]:
    """The marks that come of one certain candidate in the middle of a patch of that size around (200, 200), and of
    another far below."""
    masses = np.zeros((HEIGHT, WIDTH), np.float32)
    left, top = 200 - width // 2, 200 - height // 2
    for x, y, wide, high in ((left, top, width, height), (200, 600, 40, 30)):
        masses[y : y + high, x : x + wide] = 0.9
    candidates = np.array([[100, 100, 4, 4, 0], [220 / 2, 615 / 2, 1, 1, 0]], np.float32)
    return marks_of(candidates, masses, CALIBRATION)


@pytest.mark.parametrize(("width", "height"), [(8, 8), (8, 60), (60, 8), (10, 12)])
def test_a_mammograms_outline_has_eight_pixels_in_each_direction(width: int, height: int) -> None:
    left, top = 200 - width // 2, 200 - height // 2
    first, second = mammogram_marks(width, height)
    assert (first.box, second.box) == ((left, top, left + width, top + height), LARGE)
    assert first.inside is not None and first.inside.sum() == width * height


@pytest.mark.parametrize(("width", "height"), [(7, 7), (7, 60), (60, 7), (1, 1)])
def test_what_it_proposes_and_cannot_outline_is_shown_around_the_place(width: int, height: int) -> None:
    first, second = mammogram_marks(width, height)
    assert (first.box, first.inside) == (PROPOSED, None)
    assert first.score > second.score and second.box == LARGE


def test_a_peak_that_stands_out_from_nothing_is_a_place_without_an_outline() -> None:
    masses = np.full((HEIGHT, WIDTH), 0.001, np.float32)
    masses[200, 200] = 0.9
    (mark,) = marks_of(np.array([[100, 100, 5, 5, 0]], np.float32), masses, CALIBRATION)
    assert (mark.box, mark.inside) == (PROPOSED, None)


def test_at_the_edge_of_the_film_the_place_stays_on_it() -> None:
    masses = np.full((HEIGHT, WIDTH), 0.001, np.float32)
    masses[0, 0] = masses[HEIGHT - 1, WIDTH - 1] = 0.9
    corner = [[0, 0, 5, 5, 0], [WIDTH / 2, HEIGHT / 2, 4, 4, 0]]
    first, second = marks_of(np.array(corner, np.float32), masses, CALIBRATION)
    assert first.box == (0, 0, 24, 24) and second.box == (WIDTH - 25, HEIGHT - 25, WIDTH, HEIGHT)


def test_a_place_without_an_outline_has_a_box_and_no_size_and_is_not_in_the_mask() -> None:
    placement = Placement(WIDTH, HEIGHT, (0, 0, WIDTH, HEIGHT), 1.0, 1.0, 0, 0, WIDTH, HEIGHT)
    shown, outlined = findings_of(mammogram_marks(1, 1), Platt(1.0, 0.0), placement, Scale())
    assert shown[0].box == PROPOSED and shown[0].polygon is None
    assert set(shown[0].descriptors) == {"malignancy"} < set(shown[1].descriptors)
    assert outlined.sum() == 40 * 30


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
