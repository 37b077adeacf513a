"""The functions that may be called in a decoding process, by name. Nothing else can be.

Each returns an `Answer`: a JSON value and at most one array or byte string, which travels beside it.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging import reader, slides
from imaging.description import Window
from imaging.errors import ImagingError, NoSuchFrame
from imaging.pixels import Pixels

MAX_RENDERED_SIDE = 8192
_OPEN_SLIDES = 2
_open_slides: dict[tuple[str, int, int, int], slides.Slide] = {}


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: `value` as JSON, `array` as shared memory."""

    value: Any = None
    array: NDArray[Any] | bytes | None = None


def describe(path: str, prove: bool = True) -> Answer:
    return Answer(reader.describe(path, prove=prove).model_dump(mode="json"))


def read(path: str, frame: int = 0) -> Answer:
    return _pixels(reader.read(path, frame))


def thumbnail(path: str, longest: int = 512, frame: int = 0) -> Answer:
    """A JPEG at most `longest` pixels along its longer side, windowed as the file says."""
    from PIL import Image

    shown = _picture(path, frame, None, longest)
    image = Image.fromarray(shown)
    image.thumbnail((longest, longest), Image.Resampling.BOX)
    return Answer(array=slides.encode_jpeg(np.asarray(image), 85))


def rendered(
    path: str,
    frame: int = 0,
    centre: float | None = None,
    width: float | None = None,
    longest: int | None = None,
) -> Answer:
    """A PNG as a reader sees it: 8-bit gray or RGB, in the window given or the file's own."""
    from PIL import Image

    window = Window(centre=centre, width=width) if centre is not None and width is not None else None
    shown = _picture(path, frame, window, longest)
    image = Image.fromarray(shown)
    if longest:
        image.thumbnail((longest, longest), Image.Resampling.BOX)
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=3)
    return Answer(array=out.getvalue())


def slide_geometry(path: str) -> Answer:
    with slides.open_slide(path) as slide:
        return Answer(slide.geometry.model_dump(mode="json"))


def slide_dzi(path: str) -> Answer:
    with slides.open_slide(path) as slide:
        return Answer(slide.dzi())


def slide_tile(path: str, level: int, column: int, row: int) -> Answer:
    return Answer(array=_open_cached(path).tile(level, column, row))


def read_slide(
    path: str,
    box: tuple[float, float, float, float] | None = None,
    um_per_px: float | None = None,
    longest: int | None = None,
) -> Answer:
    """A part of a slide at a resolution, or the part scaled to `longest` pixels at most."""
    with slides.open_slide(path) as slide:
        x0, y0, x1, y1 = box or (0.0, 0.0, float(slide.columns), float(slide.rows))
        if um_per_px is not None:
            downsample = slide.downsample_for(um_per_px)
        else:
            downsample = max(1.0, max(x1 - x0, y1 - y0) / (longest or slides.OVERVIEW_SIDE))
        values = slide.read_scaled(downsample, (x0, y0, x1, y1))
        spacing = (slide.mpp[0] * downsample, slide.mpp[1] * downsample) if slide.mpp else None
    return _pixels(Pixels(values=values, photometric="RGB", bits_stored=8, pixel_spacing_um=spacing))


def slide_strip(
    path: str, um_per_px: float, top: int, rows: int, native_um_per_px: float | None = None
) -> Answer:
    """Rows `top` to `top + rows` of the slide at a resolution; `value` is the slide's height there."""
    with slides.open_slide(path) as slide:
        downsample = um_per_px / native_um_per_px if native_um_per_px else slide.downsample_for(um_per_px)
        values = slide.strip(downsample, top, rows)
        return Answer({"total": max(1, round(slide.rows / downsample))}, values)


FUNCTIONS: dict[str, Callable[..., Answer]] = {
    function.__name__: function
    for function in (
        describe, read, thumbnail, rendered,
        slide_geometry, slide_dzi, slide_tile, slide_strip, read_slide,
    )
}  # fmt: skip


def _open_cached(path: str) -> slides.Slide:
    """Tiles come by the hundred from one slide; opening it costs more than a tile."""
    status = Path(path).stat()
    key = (path, status.st_ino, status.st_size, status.st_mtime_ns)
    if key not in _open_slides:
        _open_slides[key] = slides.open_slide(path)
        if len(_open_slides) > _OPEN_SLIDES:
            _open_slides.pop(next(iter(_open_slides))).close()
    return _open_slides[key]


def run(name: str, arguments: dict[str, Any]) -> Answer:
    """Call one of `FUNCTIONS`. Raises only `ImagingError` (or `KeyError` for a name that is not there)."""
    with reader.only_imaging_errors():
        return FUNCTIONS[name](**arguments)


def _picture(path: str, frame: int, window: Window | None, longest: int | None) -> NDArray[np.uint8]:
    if longest is not None and not 1 <= longest <= MAX_RENDERED_SIDE:
        raise NoSuchFrame(f"A picture has 1 to {MAX_RENDERED_SIDE} pixels along its longer side.")
    try:
        slide = slides.open_slide(path)
    except ImagingError as error:
        if error.code != "not_a_slide":
            raise
        return reader.read(path, frame).display(window)
    with slide:
        return slide.overview(longest or slides.OVERVIEW_SIDE)


def _pixels(pixels: Pixels) -> Answer:
    value = {
        "photometric": pixels.photometric,
        "bits_stored": pixels.bits_stored,
        "window": pixels.window.model_dump() if pixels.window else None,
        "pixel_spacing_um": pixels.pixel_spacing_um,
        "frame": pixels.frame,
        "frames": pixels.frames,
    }
    return Answer(value, pixels.values)
