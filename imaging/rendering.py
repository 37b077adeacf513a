"""How a file is shown as a JPEG or PNG: windowed as it says, a slide from afar."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imaging import reader, slides
from imaging.description import Window
from imaging.errors import ImagingError, NoSuchFrame

MAX_RENDERED_SIDE = 8192
_THUMBNAIL_QUALITY = 85
_CROP_QUALITY = 88


def thumbnail(path: Path, frame: int, longest: int) -> bytes:
    """A JPEG of one frame, or of a slide's section, at most `longest` pixels along its longer side.

    Raises
    ------
    NoSuchFrame
        No such frame, or `longest` is not 1 to `MAX_RENDERED_SIDE`.
    """
    picture = _scaled_down(_picture(path, frame, None, longest), longest)
    return slides.encode_jpeg(np.asarray(picture), _THUMBNAIL_QUALITY)


def rendered(path: Path, frame: int, window: Window | None, longest: int | None) -> bytes:
    """A PNG as a reader sees it: 8-bit gray or RGB, in the window given or the file's own.

    Raises
    ------
    NoSuchFrame
        No such frame, or `longest` is not 1 to `MAX_RENDERED_SIDE`.
    """
    picture = _scaled_down(_picture(path, frame, window, longest), longest)
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=3)
    return out.getvalue()


def crops(
    files: slides.SlideFiles,
    boxes: Sequence[slides.Box],
    longest: int,
    frame: int = 0,
    turn: int = 0,
    mirror: bool = False,
) -> list[bytes]:
    """JPEGs of parts of one frame, or of a slide.

    Parameters
    ----------
    boxes
        `(x0, y0, x1, y1)` in stored pixels, of a slide in those of level 0. What lies outside of a frame is left out.
    longest
        Of each, the most pixels along its longer side; nothing is enlarged.
    turn, mirror
        How the picture hangs: clockwise by 0, 90, 180 or 270 degrees, then mirrored left to right.

    Raises
    ------
    NoSuchFrame
        No such frame, or a part that shows nothing of it.
    """
    made = []
    for values in _parts(files, boxes, longest, frame):
        picture = np.asarray(_scaled_down(values, longest))
        hung = np.rot90(picture, k=-(turn // 90) % 4)
        made.append(
            slides.encode_jpeg(np.ascontiguousarray(hung[:, ::-1] if mirror else hung), _CROP_QUALITY)
        )
    return made


def _parts(
    files: slides.SlideFiles, boxes: Sequence[slides.Box], longest: int, frame: int
) -> Iterator[NDArray[np.uint8]]:
    paths = slides.paths_of(files)
    try:
        slide = slides.open_slide(paths)
    except ImagingError as error:
        if error.code != "not_a_slide":
            raise
        yield from _cut(reader.read(paths[0], frame).display(), boxes)
        return
    with slide:
        for x0, y0, x1, y1 in boxes:
            yield slide.read_scaled(max(1.0, max(x1 - x0, y1 - y0) / longest), (x0, y0, x1, y1))


def _cut(values: NDArray[np.uint8], boxes: Sequence[slides.Box]) -> Iterator[NDArray[np.uint8]]:
    rows, columns = values.shape[:2]
    for x0, y0, x1, y1 in boxes:
        left, top = max(0, math.floor(x0)), max(0, math.floor(y0))
        right, bottom = min(columns, math.ceil(x1)), min(rows, math.ceil(y1))
        if left >= right or top >= bottom:
            raise NoSuchFrame("The part lies outside of the picture.")
        yield values[top:bottom, left:right]


def _scaled_down(values: NDArray[np.uint8], longest: int | None) -> Image.Image:
    picture = Image.fromarray(values)
    if longest is not None:
        picture.thumbnail((longest, longest), Image.Resampling.BOX)
    return picture


def _picture(path: Path, frame: int, window: Window | None, longest: int | None) -> NDArray[np.uint8]:
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
