"""Decoding every file of a data set for the audit: what shows a picture, and what does not and why."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imaging import formats, reader
from imaging.errors import ImagingError
from inference.datasets.pixels import AVIF, is_avif, read_gray, why_no_avif

_ENDINGS: dict[formats.Format, tuple[str, ...]] = {
    "png": (".png",),
    "jpeg": (".jpg", ".jpeg"),
    "tiff": (".tif", ".tiff", ".svs"),
    "pnm": (".pgm", ".ppm", ".pnm", ".pbm"),
    "dicom": (".dcm", ""),
}


class Undecodable(Exception):
    """The file gives no picture; the sentence says why, without the file's name."""


@dataclass(frozen=True)
class Decoded:
    """`gray` is 8-bit H×W; `content` is what the first bytes say, where the file's ending says otherwise."""

    gray: NDArray[np.uint8]
    content: str | None = None


def decode(path: Path) -> Decoded:
    """Decode the whole picture (of a slide its overview and one tile, of a multi-frame file the first frame).

    Raises
    ------
    Undecodable
        Zero bytes, another content, cut off, damaged.
    """
    try:
        if is_avif(path):
            return _decode_avif(path)
        found = formats.sniff(path)
        if found == "png":
            check_png(path)
        if found == "tiff":
            reader.describe(path)
        gray = reader.read(path).gray()
    except ImagingError as error:
        raise Undecodable(error.reason.rstrip(".")) from error
    except OSError as error:
        raise Undecodable(error.strerror or str(error)) from error
    return Decoded(gray, None if path.suffix.lower() in _ENDINGS[found] else found)


def _decode_avif(path: Path) -> Decoded:
    """The platform takes no AVIF; data sets are handed out in it."""
    if missing := why_no_avif():
        raise Undecodable(f"AVIF cannot be read: {missing}")
    try:
        return Decoded(read_gray(path), None if path.suffix.lower() == AVIF else "avif")
    except (OSError, SyntaxError, ValueError) as error:
        raise Undecodable(f"The AVIF file is damaged ({error})") from error


def check_png(path: Path) -> None:
    """Walk the chunks of a PNG (ISO/IEC 15948, 5.3): decoders forgive a missing end and wrong checksums.

    Raises
    ------
    Undecodable
        Cut off, or a chunk's checksum is wrong.
    """
    content = path.read_bytes()
    place = 8
    while place + 12 <= len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        end = place + 12 + length
        if end > len(content):
            break
        stored = int.from_bytes(content[end - 4 : end], "big")
        if zlib.crc32(content[place + 4 : end - 4]) != stored:
            raise Undecodable("The PNG file is damaged: a checksum is wrong")
        if content[place + 4 : place + 8] == b"IEND":
            return
        place = end
    raise Undecodable("The PNG file is cut off")
