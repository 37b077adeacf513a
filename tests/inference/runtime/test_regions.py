"""From maps to findings."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from inference.runtime.regions import clipped_box, outline_of, png_of, regions_above, shape_descriptors
from inference.runtime.scale import Scale


def disc(radius_x: float, radius_y: float) -> np.ndarray:
    y, x = np.mgrid[0:200, 0:200]
    return ((x - 100) / radius_x) ** 2 + ((y - 100) / radius_y) ** 2 <= 1


def test_two_lesions_are_two_regions_in_order_of_their_peaks() -> None:
    values = np.zeros((100, 100), np.float32)
    values[10:20, 10:30] = 0.6
    values[60:80, 60:70] = 0.9
    values[95, 95] = 0.99  # a crumb
    first, second = regions_above(values, 0.5, smallest=5)
    assert first.box == (60, 60, 70, 80) and first.area == 200 and first.peak == pytest.approx(0.9)
    assert second.box == (10, 10, 30, 20)


def test_a_round_mass_is_round_and_smooth_and_has_its_area() -> None:
    found = shape_descriptors(outline_of(disc(40, 40)), Scale((100.0, 100.0)))
    assert found["area_mm2"] == pytest.approx(np.pi * 4**2, rel=0.06)
    assert found["aspect_ratio"] == pytest.approx(1, abs=0.05)
    assert found["margin_irregularity"] < 0.05 and found["roundness"] > 0.85
    assert found["longest_mm"] == pytest.approx(8, rel=0.08)


def test_orientation_is_told_from_the_skin() -> None:
    parallel = shape_descriptors(outline_of(disc(60, 25)), Scale())
    upright = shape_descriptors(outline_of(disc(25, 60)), Scale())
    assert parallel["orientation_degrees"] < 10 and parallel["aspect_ratio"] < 0.5
    assert upright["orientation_degrees"] > 80 and upright["aspect_ratio"] > 2
    assert "area_mm2" not in parallel


def test_a_star_is_more_irregular_than_a_disc() -> None:
    star = disc(30, 30) | disc(80, 6) | disc(6, 80)
    smooth = shape_descriptors(outline_of(disc(40, 40)), Scale())
    assert (
        shape_descriptors(outline_of(star), Scale())["margin_irregularity"]
        > smooth["margin_irregularity"] + 0.3
    )


def test_nothing_has_no_outline_and_no_shape() -> None:
    assert outline_of(np.zeros((5, 5), bool)) == () and shape_descriptors((), Scale()) == {}


def test_boxes_are_cut_to_the_image() -> None:
    assert clipped_box((-4, 3, 20, 9), 10, 8) == (0, 3, 10, 8)
    box = clipped_box((9.9, 7.9, 30, 30), 10, 8)
    assert box is not None and 0 <= box[0] < box[2] <= 10 and 0 <= box[1] < box[3] <= 8


def test_a_map_becomes_an_8_bit_png() -> None:
    png = png_of(np.array([[0, 0.5], [1, 2]], np.float32))
    back = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    assert back.dtype == np.uint8 and back.tolist() == [[0, 128], [255, 255]]
