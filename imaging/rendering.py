"""How a file is shown as a JPEG or PNG: windowed as it says, a slide from afar."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imaging import reader, slides
from imaging.description import Window
from imaging.errors import ImagingError, NoSuchFrame

MAX_RENDERED_SIDE = 8192
_THUMBNAIL_QUALITY = 85


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
