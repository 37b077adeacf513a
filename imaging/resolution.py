"""A picture's resolution tags as micrometres per pixel, where a microscope's camera could have written them."""

from __future__ import annotations

from typing import Any

from imaging.description import Spacing

FINEST_DEFAULT_UM = 25.0
"""Scanners, screens and printers write 72 to 600 dots per inch whatever they saw. A resolution is believed
only where it is finer than that, as a microscope's camera would say."""
_FINEST_UM = 0.02


def plausible_spacing(x: float | None, y: float | None) -> Spacing | None:
    """The spacing in µm if no screen's or scanner's default could be meant."""
    if x is None or y is None:
        return None
    return (x, y) if all(_FINEST_UM <= each < FINEST_DEFAULT_UM for each in (x, y)) else None


def dots_per_inch(dpi: Any) -> Spacing | None:
    """Pillow's `dpi` in µm per pixel."""
    if not isinstance(dpi, tuple) or len(dpi) != 2 or not all(value and value > 0 for value in dpi):
        return None
    return plausible_spacing(25_400 / float(dpi[0]), 25_400 / float(dpi[1]))


def tiff_resolution(page: Any) -> Spacing | None:
    """The resolution tags of a page of a TIFF file (tifffile's) in µm per pixel."""
    unit = {2: 25_400.0, 3: 10_000.0}.get(int(getattr(page, "resolutionunit", 1) or 1))
    found: list[float] = []
    for name in ("XResolution", "YResolution"):
        tag = page.tags.get(name)
        if unit is None or tag is None or not isinstance(tag.value, tuple) or len(tag.value) != 2:
            return None
        if not tag.value[0] or not tag.value[1]:
            return None
        found.append(unit * tag.value[1] / tag.value[0])
    return plausible_spacing(found[0], found[1])
