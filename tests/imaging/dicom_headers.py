"""Headers of mammograms and ultrasound pictures, as their makers write them."""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

CC = ("399162004", "SCT", "cranio-caudal")
MLO = ("399368009", "SCT", "medio-lateral oblique")
ML = ("399260004", "SCT", "medio-lateral")
IMPLANT_DISPLACED = ("399209000", "SCT", "Implant Displaced")
MAGNIFICATION = ("399163009", "SCT", "Magnification")


def header(**tags: Any) -> Dataset:
    """A header with these attributes; a list of datasets is a sequence."""
    made = Dataset()
    for keyword, value in tags.items():
        is_sequence = isinstance(value, list) and value and isinstance(value[0], Dataset)
        setattr(made, keyword, Sequence(value) if is_sequence else value)
    return made


def code(value: str, scheme: str, meaning: str, **more: Any) -> Dataset:
    return header(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning, **more)


def view_code(view: tuple[str, str, str], *modifiers: tuple[str, str, str]) -> Dataset:
    if modifiers:
        return code(*view, ViewModifierCodeSequence=[code(*modifier) for modifier in modifiers])
    return code(*view)


def region(x0: int, y0: int, x1: int, y1: int, **tags: Any) -> Dataset:
    """A calibrated 2D region; its corners are of the last pixels that belong to it."""
    defaults = {
        "RegionSpatialFormat": 1,
        "RegionDataType": 1,
        "RegionFlags": 0,
        "RegionLocationMinX0": x0,
        "RegionLocationMinY0": y0,
        "RegionLocationMaxX1": x1,
        "RegionLocationMaxY1": y1,
        "PhysicalUnitsXDirection": 3,
        "PhysicalUnitsYDirection": 3,
        "PhysicalDeltaX": 0.01,
        "PhysicalDeltaY": 0.01,
    }
    return header(**{**defaults, **tags})
