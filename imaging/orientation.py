"""Patient Orientation (0020,0020): where rows and columns lead, which breast that is, and how the picture has to turn.

A direction is written with the letters of the patient's axes, the main one first: A and P, R and L, H and F (PS3.3
C.7.6.1.1.1); "FR" leads to the feet and a little to the right. A mammogram hangs with the nipple away from the middle
of the screen: rows of a left breast lead forward (A), of a right one backward (P); columns lead down the patient (F) or
to the middle of the body where they lie across (cranio-caudal views), so that the outer half is on top.
"""

from __future__ import annotations

import re
from typing import Literal

Border = Literal["left", "right", "top", "bottom"]
Turn = Literal[0, 90, 180, 270]

_OPPOSITE = {"A": "P", "P": "A", "R": "L", "L": "R", "H": "F", "F": "H"}
_DIRECTION = re.compile(r"(?!.*(?:A.*P|P.*A|R.*L|L.*R|H.*F|F.*H))[APRLHF]{1,3}")
#: Views of a plane from above outside to below inside: the pectoral muscle's.
_ALONG_THE_MUSCLE = frozenset({"MLO", "LMO"})
#: Views of the plane across it.
_ACROSS_THE_MUSCLE = frozenset({"SIO", "ISO"})
_FROM_ABOVE = frozenset({"CC", "XCC", "XCCL", "XCCM", "FB"})
_FROM_THE_SIDE = frozenset({"ML", "LM"})


def directions(text: str) -> tuple[str, ...]:
    """The two directions of a Patient Orientation, rows' first; empty where it is none.

    Vendors write "H" and "S", "F" and "I" for the same; only DICOM's letters are read.
    """
    parts = [part.strip().upper() for part in text.split("\\")]
    if len(parts) != 2 or not all(_DIRECTION.fullmatch(part) for part in parts):
        return ()
    if _axis(parts[0]) == _axis(parts[1]):
        return ()
    return tuple(parts)


def _axis(direction: str) -> str:
    return {"A": "A", "P": "A", "R": "R", "L": "R", "H": "H", "F": "H"}[direction[0]]


def side_of(orientation: tuple[str, ...], view: str) -> tuple[Literal["L", "R"], bool] | None:
    """The breast that a view's orientation shows, and whether that follows from geometry.

    In an oblique view it does: the plane leads from above outside to below inside, so that "feet and right" can only
    be the left breast. In the others it is how such views are stored and hung (lateral half on top; nipple to the
    right for the left breast), and a picture that was turned by 180° says the contrary: a hint, to be confirmed.
    """
    if len(orientation) != 2:
        return None
    row, column = orientation
    if view in _ALONG_THE_MUSCLE | _ACROSS_THE_MUSCLE:
        for direction in (row, column):
            down = "F" if "F" in direction else "H" if "H" in direction else ""
            across = "R" if "R" in direction else "L" if "L" in direction else ""
            if down and across:
                inward = across if down == "F" else _OPPOSITE[across]
                toward = inward if view in _ALONG_THE_MUSCLE else _OPPOSITE[inward]
                return ("L" if toward == "R" else "R"), True
    if view in _FROM_ABOVE - {"FB"} and _axis(column) == "R" and _axis(row) == "A":
        return ("L" if column[0] == "R" else "R"), False
    if (
        view in _FROM_THE_SIDE | _ALONG_THE_MUSCLE | _ACROSS_THE_MUSCLE
        and _axis(column) == "H"
        and _axis(row) == "A"
    ):
        forward = row[0] if column[0] == "F" else _OPPOSITE[row[0]]
        return ("L" if forward == "A" else "R"), False
    return None


def fits_view(orientation: tuple[str, ...], view: str) -> bool:
    """Whether a view can have this orientation at all: one from above shows no head and feet, one from the side no
    left and right. An oblique one may lie flatter than 45° and lead more across than down ("RF")."""
    if len(orientation) != 2:
        return True
    axes = {_axis(direction) for direction in orientation}
    if view in _FROM_ABOVE:
        return axes == {"A", "R"}
    if view in _FROM_THE_SIDE:
        return axes == {"A", "H"}
    if view in _ALONG_THE_MUSCLE | _ACROSS_THE_MUSCLE:
        leans = any("F" in direction or "H" in direction for direction in orientation)
        return "A" in axes and leans
    return True


def chest_wall_of(orientation: tuple[str, ...]) -> Border | None:
    """The border of the stored picture at which the chest wall lies: where a direction leads backward."""
    if len(orientation) != 2:
        return None
    row, column = orientation
    if row[0] in "AP":
        return "right" if row[0] == "P" else "left"
    if column[0] in "AP":
        return "bottom" if column[0] == "P" else "top"
    return None


def to_hang(orientation: tuple[str, ...], side: str) -> tuple[Turn, bool] | None:
    """By how much the stored picture is turned clockwise, and whether it is then mirrored left to right, to hang.

    None where the orientation does not tell: it is missing, shows no chest wall, or the side is not known.
    """
    if len(orientation) != 2 or side not in ("L", "R"):
        return None
    axes = {_axis(direction) for direction in orientation}
    if "A" not in axes:
        return None
    row_target = "A" if side == "L" else "P"
    column_target = "F" if "H" in axes else ("R" if side == "L" else "L")
    row, column = orientation[0][0], orientation[1][0]
    turns: tuple[Turn, ...] = (0, 90, 180, 270)
    for mirrored in (False, True):
        for turn in turns:
            # Turned clockwise by 90°, what led up leads right, and what led right leads down.
            turned = {
                0: (row, column),
                90: (_OPPOSITE[column], row),
                180: (_OPPOSITE[row], _OPPOSITE[column]),
                270: (column, _OPPOSITE[row]),
            }[turn]
            shown = (_OPPOSITE[turned[0]] if mirrored else turned[0], turned[1])
            if shown == (row_target, column_target):
                return turn, mirrored
    return None


def from_picture(chest_wall: str | None, side: str) -> bool | None:
    """Whether a picture without an orientation has to be mirrored so that its chest wall lies where it hangs; None
    where its pixels do not tell, or show the chest wall above or below."""
    if chest_wall not in ("left", "right") or side not in ("L", "R"):
        return None
    return chest_wall != ("left" if side == "L" else "right")
