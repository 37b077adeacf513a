"""DeepZoom: how a slide is cut into levels of square tiles for the browser (Microsoft's DZI, schema of 2008)."""

from __future__ import annotations

import math

TILE_SIDE = 254
"""Pixels along a tile's side, without its overlap: with one pixel on every side a tile is at most 256."""
OVERLAP = 1
"""Pixels that a tile shares with each of its neighbours."""


def level_count(columns: int, rows: int) -> int:
    """Number of levels, from one pixel to full size."""
    return math.ceil(math.log2(max(columns, rows, 1))) + 1


def descriptor(columns: int, rows: int) -> str:
    """The `.dzi` file (XML) of a slide of `columns` × `rows` pixels at full size."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<Image xmlns="http://schemas.microsoft.com/deepzoom/2008" Format="jpeg" '
        f'Overlap="{OVERLAP}" TileSize="{TILE_SIDE}">'
        f'<Size Width="{columns}" Height="{rows}"/></Image>'
    )
