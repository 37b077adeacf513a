"""A length has a scale only where one is true: by region, and with pixels as high and wide as they are."""

from __future__ import annotations

import numpy as np
import pytest

from imaging.description import Description, ImageFacts, Region
from inference.contract import Box, CalibratedRegion, ImageReference
from inference.runtime.regions import outline_of, shape_descriptors
from inference.runtime.scale import Scale, scale_of

LEFT = CalibratedRegion(box=(0, 0, 100, 100), spacing_um=(100.0, 100.0))
RIGHT = CalibratedRegion(box=(100, 0, 200, 100), spacing_um=(200.0, 200.0))
TRACE = CalibratedRegion(box=(0, 100, 200, 150), kind="doppler", spacing_um=(300.0, 300.0))
TWO_DEPTHS = Scale((100.0, 100.0), (LEFT, RIGHT, TRACE))


@pytest.mark.parametrize(
    ("box", "spacing"),
    [
        ((10, 10, 50, 50), (100.0, 100.0)),
        ((110, 10, 190, 50), (200.0, 200.0)),
        ((60, 10, 101, 50), (100.0, 100.0)),  # an outline may end a pixel beyond
        ((80, 10, 120, 50), None),  # across two
        ((10, 160, 50, 190), None),  # outside all
        ((10, 110, 50, 140), None),  # a trace shows no distances
    ],
)
def test_a_region_speaks_for_what_lies_in_it(box: Box, spacing: tuple[float, float] | None) -> None:
    assert TWO_DEPTHS.at(box) == spacing
    assert TWO_DEPTHS.shape_is_known(box) == (spacing is not None)


def test_what_lies_half_under_an_inset_has_no_one_size() -> None:
    inset = CalibratedRegion(box=(100, 100, 200, 200), kind="2d", spacing_um=(50.0, 50.0))
    whole = CalibratedRegion(box=(0, 0, 300, 300), kind="2d", spacing_um=(100.0, 100.0))
    scale = Scale(None, (inset, whole))
    assert scale.at((110, 110, 190, 190)) == (50.0, 50.0)
    assert scale.at((10, 10, 90, 90)) == (100.0, 100.0)
    assert scale.at((60, 110, 140, 190)) is None
    assert scale.at((20, 110, 101, 190)) == (100.0, 100.0)  # but for a hair


def test_of_regions_that_overlap_the_first_counts() -> None:
    inset = CalibratedRegion(box=(20, 20, 80, 80), spacing_um=(50.0, 50.0))
    assert Scale(None, (inset, LEFT)).at((30, 30, 40, 40)) == (50.0, 50.0)
    assert Scale(None, (LEFT, inset)).at((30, 30, 40, 40)) == (100.0, 100.0)


@pytest.mark.parametrize(
    ("scale", "aspect"),
    [
        (Scale(), 1.0),
        (Scale((80.0, 80.2)), 1.0),
        (Scale((80.0, 40.0)), 0.5),
        (Scale(aspect=2.0), 2.0),
        (Scale((80.0, 80.0), aspect=2.0), 1.0),
        (Scale(None, (CalibratedRegion(box=(0, 0, 9, 9), spacing_um=(50.0, 100.0)),)), 2.0),
        (TWO_DEPTHS, 1.0),
        (Scale(None, (LEFT, CalibratedRegion(box=(100, 0, 200, 100), spacing_um=(50.0, 100.0)))), 1.0),
        (Scale(None, (CalibratedRegion(box=(0, 0, 9, 9), kind="m_mode", spacing_um=(1.0, 9.0)),)), 1.0),
    ],
)
def test_pixels_are_square_unless_all_that_is_said_says_otherwise(scale: Scale, aspect: float) -> None:
    assert scale.pixel_aspect == pytest.approx(aspect)


def outline(width: int, height: int, x: int = 0, y: int = 0) -> tuple[tuple[float, float], ...]:
    mask = np.zeros((400, 400), bool)
    mask[y + 10 : y + 10 + height, x + 10 : x + 10 + width] = True
    return outline_of(mask)


def test_sizes_and_height_to_width_are_those_on_the_patient() -> None:
    square = shape_descriptors(outline(50, 50), Scale((80.0, 80.0)))
    lower = shape_descriptors(outline(50, 50), Scale((80.0, 40.0)))
    assert square["aspect_ratio"] == pytest.approx(1) and lower["aspect_ratio"] == pytest.approx(0.5)
    assert lower["area_mm2"] == pytest.approx(square["area_mm2"] / 2)
    unscaled = shape_descriptors(outline(50, 50), Scale(aspect=2.0))
    assert unscaled["aspect_ratio"] == pytest.approx(2) and "area_mm2" not in unscaled
    taller = shape_descriptors(outline(50, 40), Scale((40.0, 80.0)))
    assert taller["aspect_ratio"] > 1.5 and taller["orientation_degrees"] > 80
    assert taller["longest_mm"] == pytest.approx(40 * 0.08, rel=0.05)


def test_a_lesion_is_measured_with_its_region_and_across_two_not_at_all() -> None:
    left, right = (shape_descriptors(outline(40, 40, x), TWO_DEPTHS) for x in (0, 110))
    assert right["longest_mm"] == pytest.approx(2 * left["longest_mm"])
    across = shape_descriptors(outline(40, 40, 70), TWO_DEPTHS)
    assert across.keys() == {"margin_irregularity"}


def test_the_study_speaks_before_the_file() -> None:
    facts = ImageFacts(regions=(Region(x0=0, y0=0, x1=9, y1=9, spacing_um=(100.0, 50.0)),))
    found = Description(
        kind="dicom", media_type="application/dicom", rows=9, columns=9, samples=1, bits_stored=8,
        photometric="MONOCHROME2", encoded_photometric="MONOCHROME2", pixel_spacing_um=(70.0, 70.0), facts=facts,
    )  # fmt: skip
    asked = ImageReference(image_id="a", path="a")
    (region,) = scale_of(asked, found).regions
    assert region.spacing_um == (100.0, 50.0) and scale_of(asked, found).spacing_um is None
    without = found.model_copy(update={"facts": ImageFacts()})
    assert scale_of(asked, without) == Scale((70.0, 70.0))
    stated = asked.model_copy(update={"spacing_um": (20.0, 20.0)})
    assert scale_of(stated, found) == Scale((20.0, 20.0))
