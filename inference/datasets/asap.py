"""ASAP's annotation files (CAMELYON): polygons in level-0 pixels, some of them holes."""

from __future__ import annotations

from pathlib import Path

from defusedxml import ElementTree

from inference.datasets.sample import Outline

#: what a group's name says: CAMELYON17 uses words, CAMELYON16 numbers (0 and 1 tumour, 2 exclusion)
_HOLES = {"normal", "_2", "exclusion"}


def outlines(annotation: Path) -> tuple[Outline, ...]:
    """The polygons of an ASAP XML file; tumour first, holes after, as `Outline.hole` expects.
    Points are put in the file's own `Order`.

    Raises:
        xml.etree.ElementTree.ParseError: not XML.
    """
    found = []
    for item in ElementTree.parse(annotation).iter("Annotation"):
        corners = sorted(item.iter("Coordinate"), key=lambda corner: int(float(corner.get("Order", 0))))
        points = tuple((float(c.get("X", 0)), float(c.get("Y", 0))) for c in corners)
        if points:
            hole = item.get("PartOfGroup", "").lower() in _HOLES
            found.append(Outline("normal" if hole else "metastases", points, hole))
    return tuple(sorted(found, key=lambda outline: outline.hole))
