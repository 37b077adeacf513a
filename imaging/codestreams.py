"""What a compressed frame says of itself, read from its markers without decoding it.

A header may lie about its frames in either direction; a decoder believes the codestream. So the
codestream's own size is compared with the header before anything is allocated.
"""

from __future__ import annotations

from typing import NamedTuple

from imaging.errors import DamagedFile

_J2K_START = b"\xff\x4f\xff\x51"
_NOT_FRAME_HEADERS = {0xC4, 0xC8, 0xCC}


class Codestream(NamedTuple):
    """Size and sample format as the codestream declares them."""

    rows: int
    columns: int
    components: int
    precision: int


def jpeg(data: bytes) -> Codestream:
    """Read the frame header (SOFn, or JPEG-LS SOF55) of a JPEG or JPEG-LS codestream (ITU-T T.81 B.2.2).

    Raises
    ------
    DamagedFile
        There is none.
    """
    if data[:2] != b"\xff\xd8":
        raise DamagedFile("A frame of the pixel data does not start like the JPEG it is said to be.")
    position = 2
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            raise DamagedFile("A JPEG frame of the pixel data is damaged.")
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:
            position += 2
            continue
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        is_frame_header = (0xC0 <= marker <= 0xCF and marker not in _NOT_FRAME_HEADERS) or marker == 0xF7
        if is_frame_header and position + 10 <= len(data):
            body = data[position + 4 : position + 10]
            return Codestream(
                rows=int.from_bytes(body[1:3], "big"),
                columns=int.from_bytes(body[3:5], "big"),
                components=body[5],
                precision=body[0],
            )
        if marker in (0xD9, 0xDA) or length < 2:
            break
        position += 2 + length
    raise DamagedFile("A JPEG frame of the pixel data has no frame header.")


def jpeg2000(data: bytes) -> Codestream:
    """Read the SIZ marker (ITU-T T.800 A.5.1), whether or not the codestream sits in JP2 boxes.

    Raises
    ------
    DamagedFile
        There is none.
    """
    start = data.find(_J2K_START, 0, 4096)
    siz = data[start + 4 : start + 42]
    if start < 0 or len(siz) < 38:
        raise DamagedFile("A frame of the pixel data does not start like the JPEG 2000 it is said to be.")
    columns, rows, x0, y0 = (int.from_bytes(siz[at : at + 4], "big") for at in (4, 8, 12, 16))
    components = int.from_bytes(siz[36:38], "big")
    first = data[start + 42 : start + 43]
    precision = (first[0] & 0x7F) + 1 if first else 8
    return Codestream(rows=rows - y0, columns=columns - x0, components=components, precision=precision)
