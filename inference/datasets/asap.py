"""ASAP's annotation files (CAMELYON): polygons in level-0 pixels, some of them holes."""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from defusedxml import ElementTree

from inference.datasets.sample import Outline

#: what a group's name says: CAMELYON17 uses words, CAMELYON16 numbers (0 and 1 tumour, 2 exclusion)
_HOLES = {"normal", "_2", "exclusion"}


def outlines(annotation: Path) -> tuple[Outline, ...]:
    """The polygons of an ASAP XML file; tumour first, holes after, as `Outline.hole` expects.
    Points are put in the file's own `Order`.

    Raises
    ------
    ValueError
        Not such a file; what is wrong in a few words.
    """
    found = []
    for item in xml_root(annotation).iter("Annotation"):
        corners = sorted(item.iter("Coordinate"), key=lambda corner: float(corner.get("Order", 0)))
        points = tuple((number(corner, "X"), number(corner, "Y")) for corner in corners)
        if points:
            hole = item.get("PartOfGroup", "").lower() in _HOLES
            found.append(Outline("normal" if hole else "metastases", points, hole))
    return tuple(sorted(found, key=lambda outline: outline.hole))


def xml_root(annotation: Path) -> Element:
    """The root element of an annotation file.

    Raises
    ------
    ValueError
        No XML, cut off, or with entities (which defusedxml forbids).
    """
    try:
        root: Element | None = ElementTree.parse(annotation).getroot()
    except (ParseError, OSError, LookupError) as error:
        raise ValueError(str(error)) from error
    if root is None:
        raise ValueError("no element in it")
    return root


def number(corner: Element, axis: str) -> float:
    """The coordinate of a corner along `axis` ("X", "Y").

    Raises
    ------
    ValueError
        Missing, or no number.
    """
    value = float(corner.get(axis) or "nan")
    if not math.isfinite(value):
        raise ValueError(f"a coordinate has no {axis}")
    return value
