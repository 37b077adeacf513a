"""Which reader a file needs, told by its first bytes and never by its name."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Literal

from imaging.errors import NotAnImage

Format = Literal["dicom", "png", "jpeg", "tiff", "pnm"]

MEDIA_TYPES: dict[Format, str] = {
    "dicom": "application/dicom",
    "png": "image/png",
    "jpeg": "image/jpeg",
    "tiff": "image/tiff",
    "pnm": "image/x-portable-anymap",
}

_ACCEPTED = "Accepted are DICOM, PNG, JPEG, TIFF, PGM and whole-slide TIFF (SVS)."


def sniff(path: Path) -> Format:
    """The format, told by the first 4096 bytes.

    Raises
    ------
    NotAnImage
        Anything else, empty files and text included.
    """
    with path.open("rb") as stream:
        head = stream.read(4096)
    if not head:
        raise NotAnImage("The file is empty.", code="empty")
    # DICOM first: its preamble may hold another format's header on purpose (PS3.10 7.1).
    if head[128:132] == b"DICM":
        return "dicom"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head[:4] in (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"):
        return "tiff"
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace():
        return "pnm"
    if _is_bare_data_set(head):
        return "dicom"
    if _is_text(head):
        raise NotAnImage(f"The file is text, not an image. {_ACCEPTED}")
    raise NotAnImage(f"The file is not an image of a known format. {_ACCEPTED}")


def _is_bare_data_set(head: bytes) -> bool:
    """A DICOM data set without preamble starts with an element of group 0002 or 0008."""
    if len(head) < 16:
        return False
    if head[:2] in (b"\x02\x00", b"\x08\x00") and head[2:4] <= b"\xff\x00":
        explicit = head[4:6] in (b"UL", b"OB", b"UI", b"CS", b"SH", b"DA", b"LO", b"ST")
        length = int.from_bytes(head[4:8], "little")
        return explicit or 0 < length <= 256
    return head[:2] == b"\x00\x08" and head[4:6] in (b"UL", b"UI", b"CS", b"SH", b"DA", b"LO")


def _is_text(head: bytes) -> bool:
    try:
        decoded = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character in "\t\n\r\f" for character in decoded)
