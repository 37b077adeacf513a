"""Canvases and the way back to stored pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.phantoms import mammography as mammograms
from inference.runtime.geometry import lay_out
from inference.runtime.histopathology import preprocessing as histopathology
from inference.runtime.mammography import preprocessing as mammography
from inference.runtime.ultrasound import preprocessing as ultrasound


@given(
    st.integers(20, 300), st.integers(20, 300), st.booleans(), st.booleans(), st.floats(0, 1), st.floats(0, 1)
)
def test_a_canvas_point_goes_back_to_where_it_came_from(
    height: int, width: int, mirrored: bool, centred: bool, across: float, down: float
) -> None:
    crop = (3, 5, width, height)
    _, placement = lay_out(
        np.zeros((height, width), np.uint8), crop, 128, 96, mirrored=mirrored, centred=centred
    )
    x = crop[0] + across * (crop[2] - crop[0])
    y = crop[1] + down * (crop[3] - crop[1])
    inside = crop[2] - x if mirrored else x - crop[0]
    canvas_x = placement.left + inside * placement.scale_x
    canvas_y = placement.top + (y - crop[1]) * placement.scale_y
    assert placement.point_to_image(canvas_x, canvas_y) == pytest.approx((x, y), abs=1e-6)


def test_a_mark_on_the_canvas_is_drawn_where_it_lies_in_the_image() -> None:
    gray = np.zeros((300, 400), np.uint8)
    gray[120:160, 250:310] = 255
    canvas, placement = ultrasound.working_canvas(gray)
    back = placement.map_to_image((canvas > 127).astype(np.float32)) > 0.5
    overlap = (back & (gray > 0)).sum() / (back | (gray > 0)).sum()
    assert back.shape == gray.shape and overlap > 0.9


def test_a_closer_look_shows_the_outlined_place_enlarged() -> None:
    gray = np.full((300, 500), 40, np.uint8)
    gray[100:140, 350:420] = 200
    canvas, placement = ultrasound.working_canvas(gray)
    outline = (canvas > 120).astype(np.float32)
    closer, place = ultrasound.closer_canvas(gray, ultrasound.closer_square(outline, placement))
    assert canvas.shape == (224, 224) and closer.shape == (160, 160)
    assert (closer > 120).mean() > 6 * (canvas > 120).mean()
    back = place.map_to_image((closer > 120).astype(np.float32)) > 0.5
    assert (back & (gray > 120)).sum() / (back | (gray > 120)).sum() > 0.85


def test_where_nothing_is_outlined_the_middle_is_looked_at() -> None:
    gray = np.full((300, 500), 40, np.uint8)
    _, placement = ultrasound.working_canvas(gray)
    x, y, side = ultrasound.closer_square(np.zeros((56, 56), np.float32), placement)
    assert (x, y, side) == (250, 150, 300)


def test_a_closer_look_past_the_edge_is_black_there() -> None:
    gray = np.full((100, 100), 90, np.uint8)
    closer, place = ultrasound.closer_canvas(gray, (0.0, 50.0, 50.0))
    assert (closer[:, :79] == 0).all() and (closer[:, 81:] == 90).all() and place.left == 80


def test_both_breasts_end_up_at_the_left_edge() -> None:
    for side in ("L", "R"):
        made = mammograms.phantom(3, side, "MLO", rows=800, columns=600)  # type: ignore[arg-type]
        canvas, mask, placement = mammography.working_canvas(made.pixels)
        assert canvas.shape == (mammography.HEIGHT, mammography.WIDTH)
        assert mask.shape == made.pixels.shape and set(np.unique(mask)) <= {0, 255}
        assert (canvas[:, :40] > 0).mean() > (canvas[:, -40:] > 0).mean() + 0.3
        assert placement.mirrored == mammography.chest_wall_on_right(mask)


def test_a_bright_label_is_no_breast() -> None:
    made = mammograms.phantom(4, "L", "CC", rows=800, columns=600)
    film = made.pixels.copy()
    on_left = not mammography.chest_wall_on_right(mammography.working_canvas(film)[1])
    label = (slice(40, 100), slice(-140, -40)) if on_left else (slice(40, 100), slice(40, 140))
    film[label] = film.max()
    mask = mammography.working_canvas(film)[1]
    assert mask[label].max() == 0 and mask.any()


def test_an_empty_film_has_a_canvas_all_the_same() -> None:
    canvas, mask, _ = mammography.working_canvas(np.zeros((500, 400), np.uint16))
    assert canvas.shape == (mammography.HEIGHT, mammography.WIDTH) and mask.min() == 255


@given(st.integers(1, 700))
def test_fields_cover_every_pixel_and_stay_inside(length: int) -> None:
    edges = histopathology.field_origins(length)
    covered = np.zeros(max(length, histopathology.FIELD_PX), bool)
    for edge in edges:
        assert edge >= 0 and edge + histopathology.FIELD_PX <= covered.size
        covered[edge : edge + histopathology.FIELD_PX] = True
    assert covered.all() and edges == sorted(set(edges))


def test_tissue_is_stained_and_glass_is_not() -> None:
    glass = np.full((50, 50, 3), 243, np.uint8)
    pen = np.full((50, 50, 3), 20, np.uint8)
    eosin = np.full((50, 50, 3), (220, 140, 180), np.uint8)
    shares = histopathology.tissue_share(np.stack([glass, pen, eosin]))
    assert shares.tolist() == [0.0, 0.0, 1.0]
