"""Tiles of slides that need no decoding: read where they lie in the file, given a header of ours, and passed on.

Runs where requests are answered. Of the file nothing is parsed here but one tile's JPEG headers, up to its scan: sizes,
components and markers are what they have to be, what else a header can carry (text, profiles, previews) is left out,
and whatever is otherwise is left to a decoding process. The slides stay open, a few.
"""

from __future__ import annotations

import os
import re
import struct
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from imaging.deepzoom import Layout, NativeLevel, NativeTiles

OPEN_SLIDES = 8
_SOI, _EOI = b"\xff\xd8", b"\xff\xd9"
_DHT, _SOF0, _SOS, _DQT, _DRI, _COM = 0xC4, 0xC0, 0xDA, 0xDB, 0xDD, 0xFE
#: A marker within a scan that is neither a stuffed byte nor a restart.
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7]")
_LENGTH = struct.Struct(">H")
#: Of a tile: what its pixels would take undeflated, twice.
_BYTES_PER_PIXEL = 6


@dataclass(frozen=True)
class _Open:
    """An index and the file that it is of, which whoever still reads keeps open."""

    tiles: NativeTiles
    file: BinaryIO


class PassedTiles:
    """Indexes of the slides that were asked for last. `index` makes one of a file."""

    def __init__(self, index: Callable[[str], NativeTiles]) -> None:
        self._index = index
        self._slides: OrderedDict[tuple[str, int, int, int], _Open] = OrderedDict()
        self._lock = threading.Lock()

    def tile(self, path: str | Path, level: int, column: int, row: int) -> bytes | None:
        """A whole tile of a Deep Zoom level as JPEG; None where it has to be decoded, or there is none."""
        found = self._opened(str(path))
        facts = found.tiles.facts
        halvings = facts.dzi_levels - 1 - level
        for each in facts.levels:
            inside = 0 <= column < each.whole_across and 0 <= row < each.whole_down
            if each.halvings == halvings and inside:
                return self._read(found, each, column, row)
        return None

    def layout(self, path: str | Path) -> Layout:
        """How the slide is cut."""
        facts = self._opened(str(path)).tiles.facts
        return Layout(facts.tile_side, facts.overlap)

    def _read(self, slide: _Open, level: NativeLevel, column: int, row: int) -> bytes | None:
        side = slide.tiles.facts.tile_side
        number = level.first + row * level.across + column
        if column >= level.across or number >= len(slide.tiles.places):
            return None
        offset, length = (int(each) for each in slide.tiles.places[number])
        if offset <= 0 or not 4 < length <= side * side * _BYTES_PER_PIXEL:
            return None  # nothing was scanned there, or it is no tile
        data = os.pread(slide.file.fileno(), length, offset)
        return with_own_header(data, bytes.fromhex(level.tables), side, rgb=level.rgb)

    def _opened(self, path: str) -> _Open:
        status = Path(path).stat()
        key = (path, status.st_ino, status.st_size, status.st_mtime_ns)
        with self._lock:
            if key in self._slides:
                self._slides.move_to_end(key)
                return self._slides[key]
        # Two who ask at once both look; either answer is the file's.
        opened = _Open(self._index(path), Path(path).open("rb"))  # noqa: SIM115 (stays open)
        with self._lock:
            self._slides[key] = opened
            while len(self._slides) > OPEN_SLIDES:
                self._slides.popitem(last=False)
        return opened


def with_own_header(data: bytes, tables: bytes, side: int, *, rgb: bool) -> bytes | None:
    """A tile's baseline JPEG stream with a header of ours; None where it is anything but one square picture in three
    8-bit components.

    Parameters
    ----------
    data
        The tile as it lies in the file.
    tables
        A JPEG stream of tables alone that the tile may leave out.
    side
        Pixels along the tile's sides, as the file says elsewhere.
    rgb
        Whether the components are red, green and blue; else luma and two chroma.
    """
    shared, own = _segments(tables), _segments(data)
    if own is None or (tables and shared is None):
        return None
    kept = [segment for segment in (shared or ([], 0))[0] if segment[1] in (_DQT, _DHT)]
    frames = 0
    for segment in own[0]:
        marker = segment[1]
        if marker == _SOF0:
            frames += 1
            if not _is_picture_of(segment, side):
                return None
        elif marker not in (_DQT, _DHT, _DRI):
            if 0xE0 <= marker <= 0xEF or marker == _COM:
                continue  # text, profiles and previews stay here
            return None
        kept.append(segment)
    scan = own[1]
    if frames != 1 or not scan or data[scan + 4] != 3:
        return None
    end = _MARKER_IN_SCAN.search(data, scan + 2)
    if end is None or end.group() != _EOI:
        return None
    adobe = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + (b"\x00" if rgb else b"\x01")
    return b"".join((_SOI, adobe, *kept, data[scan : end.end()]))


def _is_picture_of(frame: bytes, side: int) -> bool:
    """Whether a frame header says three 8-bit components of `side` by `side`, sampled as browsers know it."""
    if len(frame) != 19 or frame[4] != 8 or frame[9] != 3:
        return False
    height, width = _LENGTH.unpack_from(frame, 5)[0], _LENGTH.unpack_from(frame, 7)[0]
    samplings = [frame[11], frame[14], frame[17]]
    return height == width == side and all(each >> 4 in (1, 2) and each & 15 in (1, 2) for each in samplings)


def _segments(data: bytes) -> tuple[list[bytes], int] | None:
    """The segments of a JPEG stream before its scan, each with its marker, and where the scan begins (0: none); None
    where they are not one after another."""
    if data[:2] != _SOI:
        return None
    found: list[bytes] = []
    place = 2
    while place + 4 <= len(data) or data[place : place + 2] == _EOI:
        if data[place : place + 2] == _EOI:
            return found, 0
        if data[place] != 0xFF or data[place + 1] < _SOF0:
            return None
        length = _LENGTH.unpack_from(data, place + 2)[0]
        if length < 2 or place + 2 + length > len(data):
            return None
        if data[place + 1] == _SOS:
            return found, place
        found.append(data[place : place + 2 + length])
        place += 2 + length
    return None
