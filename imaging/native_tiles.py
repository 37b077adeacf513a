"""The JPEG tiles of a TIFF slide as its file has them: where they lie, for a browser that can show them as they are.

A pyramid whose levels are halves of one another, cut into square JPEG tiles, is Deep Zoom already, up to its headers.
What is found here is an index alone; `imaging.passed_tiles` reads by it, and believes nothing of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from imaging import deepzoom
from imaging.deepzoom import NativeFacts, NativeLevel, NativeTiles
from imaging.slide_source import Source
from imaging.tiff_levels import RgbInYcbcrLevels, TiffLevels
from imaging.tiff_pages import open_tiff

_JPEG, _RGB, _YCBCR = 7, 2, 6
#: Vendors whose levels are one grid without gaps or overlaps.
_ONE_GRID = frozenset({"generic-tiff", "aperio"})
#: A browser asks for tiles of these sides without fetching far too much or far too often.
_SIDES = range(128, 1025)
#: More tiles than that are not listed: the slide is then decoded as any other.
_MOST_TILES = 2_000_000


def layout_of(source: Source) -> deepzoom.Layout:
    """How a slide is cut for the browser: as its file is, where that is a way to be cut."""
    found = _levels_of(source)
    return deepzoom.Layout(int(found[0][1].tilewidth), 0) if found else deepzoom.STANDARD


def native_tiles(source: Source) -> NativeTiles:
    """The index of a slide; without a level where nothing can be passed on."""
    count = deepzoom.level_count(source.columns, source.rows)
    layout, levels, places, first = layout_of(source), [], [], 0
    for halvings, page in _levels_of(source):
        side = layout.tile_side
        scale = 2**halvings
        columns = min(int(page.imagewidth), -(-source.columns // scale))
        rows = min(int(page.imagelength), -(-source.rows // scale))
        lying = np.array([page.dataoffsets, page.databytecounts], dtype=np.int64).T
        levels.append(
            NativeLevel(
                halvings=halvings,
                first=first,
                across=-(-int(page.imagewidth) // side),
                whole_across=columns // side,
                whole_down=rows // side,
                rgb=int(page.photometric) == _RGB or isinstance(source, RgbInYcbcrLevels),
                tables=(page.jpegtables or b"").hex(),
            )
        )
        places.append(lying)
        first += len(lying)
    facts = NativeFacts(tile_side=layout.tile_side, overlap=layout.overlap, dzi_levels=count, levels=levels)
    empty = np.empty((0, 2), dtype=np.int64)
    return NativeTiles(facts, np.concatenate(places) if places else empty)


def _levels_of(source: Source) -> list[tuple[int, Any]]:
    """How often a level is halved, and its page in the file; nothing unless the finest level is among them."""
    if not isinstance(source, TiffLevels) or source.vendor not in _ONE_GRID:
        return []
    with open_tiff(Path(source.path)) as tiff:
        pages: dict[tuple[int, int], Any] = {}
        for page in tiff.pages:
            pages.setdefault((int(page.imagewidth), int(page.imagelength)), page)
        finest = pages.get((source.columns, source.rows))
        if finest is None or not _passes(finest):
            return []
        found, tiles = [], 0
        for level in source.levels:
            page = pages.get((level.columns, level.rows))
            halvings = round(np.log2(level.downsample))
            if page is None or not _passes(page) or page.tilewidth != finest.tilewidth:
                continue
            scale = 2**halvings
            drift = max(abs(level.columns - source.columns / scale), abs(level.rows - source.rows / scale))
            tiles += len(page.dataoffsets)
            # A level that is rounded to its size is off by less than one of its pixels.
            if drift < 1 and tiles <= _MOST_TILES:
                found.append((halvings, page))
        return found if found and found[0][0] == 0 else []


def _passes(page: Any) -> bool:
    """Whether the tiles of a page are baseline JPEG that a browser shows, as far as the page says."""
    return (
        bool(page.is_tiled)
        and int(page.compression) == _JPEG
        and int(page.photometric) in (_RGB, _YCBCR)
        and int(page.samplesperpixel) == 3
        and int(page.planarconfig) == 1
        and int(page.bitspersample) == 8
        and page.tilewidth == page.tilelength
        and int(page.tilewidth) in _SIDES
        and len(page.dataoffsets)
        == len(page.databytecounts)
        == -(-int(page.imagewidth) // int(page.tilewidth)) * -(-int(page.imagelength) // int(page.tilelength))
    )
