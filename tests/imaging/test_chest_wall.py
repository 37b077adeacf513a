"""The chest wall read in the pixels: plain pictures have one, doubtful ones have none."""

from __future__ import annotations

import numpy as np
import pytest

from imaging.chest_wall import chest_wall
from imaging.phantoms import mammography

EXAM = mammography.exam(4, rows=640)


def _border(values: np.ndarray, *, bright_is_dense: bool = True) -> str | None:
    return chest_wall(values, bright_is_dense=bright_is_dense)


@pytest.mark.parametrize("number", range(4))
def test_the_breast_is_cut_where_the_side_says(number: int) -> None:
    made = EXAM[number]

    assert _border(made.pixels) == ("left" if made.laterality == "L" else "right")
    assert _border(made.pixels.max() - made.pixels, bright_is_dense=False) == _border(made.pixels)


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("where", ["air", "all round", "marker"])
def test_a_film_border_or_a_marker_does_not_fool_it(number: int, where: str) -> None:
    made = EXAM[number]
    white = int(made.pixels.max())
    left = made.laterality == "L"
    values = made.pixels.copy()
    if where == "air":
        values = np.pad(values, ((0, 0), (0, 60) if left else (60, 0)), constant_values=white)
    elif where == "all round":
        values = np.pad(values, 30, constant_values=white)
    else:
        columns = slice(-60, -10) if left else slice(10, 60)
        values[20:60, columns] = white

    assert _border(values) == ("left" if left else "right")


def test_a_turned_picture_is_cut_elsewhere() -> None:
    left_cc = next(made for made in EXAM if (made.laterality, made.view) == ("L", "CC"))

    assert _border(np.rot90(left_cc.pixels)) == "bottom"
    assert _border(left_cc.pixels[::-1]) == "left"


def test_what_is_no_plain_mammogram_has_no_answer() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (300, 200), dtype=np.uint8)
    both = np.hstack([EXAM[0].pixels, EXAM[0].pixels[:, ::-1]])
    inverted = EXAM[0].pixels.max() - EXAM[0].pixels

    assert [_border(each) for each in (noise, both, inverted, np.zeros((300, 200), np.uint8))] == [None] * 4
