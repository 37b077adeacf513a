"""DeepZoom: how a slide is cut into levels of square tiles for the browser (Microsoft's DZI, schema of 2008)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field


@dataclass(frozen=True)
class Layout:
    """Pixels along a tile's side, without its overlap, and pixels that it shares with each of its neighbours."""

    tile_side: int
    overlap: int


STANDARD = Layout(254, 1)
"""Of a slide that is cut here: with one pixel on every side a tile is at most 256."""


class NativeLevel(BaseModel):
    """One level of the pyramid. Its tiles are those from `first` on, row by row."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    halvings: int = Field(ge=0, le=31)
    first: int = Field(ge=0)
    across: int = Field(ge=1)
    whole_across: int = Field(ge=0, description="tiles that the picture fills to their right edge")
    whole_down: int = Field(ge=0)
    rgb: bool = Field(description="components are red, green and blue as stored")
    tables: str = Field(max_length=8192, description="JPEG tables that its tiles share, hexadecimal")


class NativeFacts(BaseModel):
    """`NativeTiles` without its arrays."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tile_side: int = Field(ge=1)
    overlap: int = Field(ge=0)
    dzi_levels: int = Field(ge=1, le=32)
    levels: list[NativeLevel]


@dataclass(frozen=True)
class NativeTiles:
    """How a slide is cut for the browser, and which of those pieces lie in its file as they are. `places`: offset and
    length in bytes of each."""

    facts: NativeFacts
    places: NDArray[np.int64]


def level_count(columns: int, rows: int) -> int:
    """Number of levels, from one pixel to full size."""
    return math.ceil(math.log2(max(columns, rows, 1))) + 1


def descriptor(columns: int, rows: int, layout: Layout) -> str:
    """The `.dzi` file (XML) of a slide of `columns` × `rows` pixels at full size."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<Image xmlns="http://schemas.microsoft.com/deepzoom/2008" Format="jpeg" '
        f'Overlap="{layout.overlap}" TileSize="{layout.tile_side}">'
        f'<Size Width="{columns}" Height="{rows}"/></Image>'
    )
