"""How a picture turns to hang, for every way in which its rows and columns can lead."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from imaging import orientation

_OPPOSITE = {"A": "P", "P": "A", "R": "L", "L": "R", "F": "H", "H": "F"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A\\R", ("A", "R")),
        ("p\\fl", ("P", "FL")),
        ("A", ()),
        ("A\\P", ()),
        ("A\\X", ()),
        ("AP\\F", ()),
        ("", ()),
        ("A\\R\\F", ()),
    ],
)
def test_directions_are_read_or_left(text: str, found: tuple[str, ...]) -> None:
    assert orientation.directions(text) == found


@pytest.mark.parametrize("side", ["L", "R"])
@pytest.mark.parametrize("across", [False, True], ids=["from the side", "from above"])
@pytest.mark.parametrize(("turn", "mirror"), list(itertools.product((0, 90, 180, 270), (False, True))))
def test_every_way_of_storing_a_view_is_turned_back(side: str, across: bool, turn: int, mirror: bool) -> None:
    """The labels of a picture that hangs right are carried through a change of the picture and back."""
    forward, backward = ("A", "P") if side == "L" else ("P", "A")
    down = ("R" if side == "L" else "L") if across else "F"
    # What lies left, right, above and below in the middle of the borders.
    hung = np.array([["", _OPPOSITE[down], ""], [backward, "", forward], ["", down, ""]])
    stored = np.rot90(hung[:, ::-1] if mirror else hung, turn // 90)

    found = orientation.to_hang((str(stored[1, 2]), str(stored[2, 1])), side)

    assert found is not None
    back_turn, back_mirror = found
    shown = np.rot90(stored, -back_turn // 90)
    assert np.array_equal(shown[:, ::-1] if back_mirror else shown, hung)
    assert back_mirror == mirror


def test_nothing_turns_without_side_or_orientation() -> None:
    assert orientation.to_hang((), "L") is None
    assert orientation.to_hang(("A", "R"), "") is None
    assert orientation.to_hang(("R", "F"), "L") is None


@pytest.mark.parametrize(
    ("directions", "border"),
    [(("A", "R"), "left"), (("P", "FL"), "right"), (("R", "A"), "top"), (("R", "P"), "bottom"), ((), None)],
)
def test_where_the_chest_wall_lies(directions: tuple[str, ...], border: str | None) -> None:
    assert orientation.chest_wall_of(directions) == border


def test_a_picture_without_orientation_is_mirrored_by_its_pixels_alone() -> None:
    assert orientation.from_picture("right", "L") is True
    assert orientation.from_picture("right", "R") is False
    assert orientation.from_picture("top", "L") is None
    assert orientation.from_picture(None, "L") is None
