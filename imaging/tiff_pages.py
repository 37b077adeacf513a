"""The levels of a TIFF pyramid that OpenSlide does not see: SubIFDs, as OME-TIFF, Bio-Formats and QuPath write them.
Read tile by tile through tifffile's codecs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging.description import SlideLevel, Spacing
from imaging.errors import DamagedFile, TooLarge, UnsupportedEncoding
from imaging.limits import MAX_SLIDE_SIDE, MAX_TILE_SIDE
from imaging.resolution import plausible_spacing, tiff_resolution

_CACHED_TILES = 96
_MOST_PAGES = 4_096
#: OME's units of length in µm.
_MICROMETRES = {
    "µm": 1.0, "μm": 1.0, "um": 1.0, "micron": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6, "Å": 1e-4,
    "inch": 25_400.0, "in": 25_400.0, "pm": 1e-6,
}  # fmt: skip


class Pages:
    """Levels read as pages of a TIFF file: `_pages[level][plane]`. Each is RGB, or grey of 8 bits."""

    def __init__(self, tiff: Any, pages: Sequence[Sequence[Any]]) -> None:
        self._tiff = tiff
        self._pages = [list(level) for level in pages]
        self._cache: OrderedDict[tuple[int, int, int], NDArray[np.uint8]] = OrderedDict()

    def close(self) -> None:
        self._tiff.close()

    def read(self, level: int, plane: int, x: int, y: int, columns: int, rows: int) -> NDArray[np.uint8]:
        """H×W×3 uint8 RGB from (`x`, `y`) in the level's own pixels, white outside.

        Raises
        ------
        DamagedFile
            A part of the slide cannot be decoded.
        """
        page = self._pages[level][plane]
        wide, high = segment_size(page)
        across = -(-int(page.imagewidth) // wide)
        right, bottom = min(x + columns, int(page.imagewidth)), min(y + rows, int(page.imagelength))
        out = np.full((rows, columns, 3), 255, dtype=np.uint8)
        for row in range(max(0, y) // high, -(-bottom // high)):
            for column in range(max(0, x) // wide, -(-right // wide)):
                tile = self._tile(level, plane, row * across + column)
                left, top = column * wide, row * high
                x0, x1 = max(x, left), min(right, left + tile.shape[1])
                y0, y1 = max(y, top), min(bottom, top + tile.shape[0])
                if x0 < x1 and y0 < y1:
                    out[y0 - y : y1 - y, x0 - x : x1 - x] = tile[y0 - top : y1 - top, x0 - left : x1 - left]
        return out

    def _tile(self, level: int, plane: int, number: int) -> NDArray[np.uint8]:
        key = (level, plane, number)
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        page = self._pages[level][plane]
        try:
            tile = self._decoded(page, number)
        except (MemoryError, DamagedFile, UnsupportedEncoding):
            raise
        except Exception as error:
            raise DamagedFile("A part of the slide cannot be decoded: the file is damaged.") from error
        if tile.ndim != 3 or tile.shape[2] != 3 or tile.dtype != np.uint8:
            raise DamagedFile("A part of the slide decodes to another kind of picture.")
        self._cache[key] = tile
        if len(self._cache) > _CACHED_TILES:
            self._cache.popitem(last=False)
        return tile

    def _decoded(self, page: Any, number: int) -> NDArray[np.uint8]:
        """One tile as H×W×3."""
        if int(page.planarconfig) == 2 and int(page.samplesperpixel) > 1:
            each = -(-int(page.imagewidth) // segment_size(page)[0]) * -(
                -int(page.imagelength) // segment_size(page)[1]
            )
            parts = [self._segment(page, number + sample * each)[..., 0] for sample in range(3)]
            return np.stack(parts, axis=-1)
        values = self._segment(page, number)
        if values.shape[2] == 1:
            values = 255 - values if int(page.photometric) == 0 else values
            return np.repeat(values, 3, axis=2)
        return np.ascontiguousarray(values[..., :3])

    def _segment(self, page: Any, number: int) -> NDArray[np.uint8]:
        """H×W×samples of one stored tile or strip; white where a sparse file left it out."""
        wide, high = segment_size(page)
        count = page.databytecounts[number]
        if not count:
            return np.full((high, wide, 3), 255, np.uint8)
        self._tiff.filehandle.seek(page.dataoffsets[number])
        data = self._tiff.filehandle.read(count)
        decoded, _, _ = page.decode(data, number, jpegtables=page.jpegtables)
        if decoded is None:
            return np.full((high, wide, 3), 255, np.uint8)
        return np.asarray(np.asarray(decoded)[0], np.uint8)


def segment_size(page: Any) -> tuple[int, int]:
    """(columns, rows) of the page's tiles, or of its strips."""
    if page.is_tiled:
        return int(page.tilewidth), int(page.tilelength)
    return int(page.imagewidth), max(
        1, min(int(page.imagelength), int(page.rowsperstrip or page.imagelength))
    )


class SubIfdLevels:
    """A slide whose levels OpenSlide does not see: see `imaging.slide_source.Source`.

    Raises
    ------
    UnsupportedEncoding
        Fluorescence channels, a time series, or pixels that are not 8-bit colour or grey.
    TooLarge
        The slide, or one of its tiles, claims to be larger than any slide is.
    """

    objective_power: float | None = None
    optical_paths: tuple[str, ...] = ("",)
    missing: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        tiff = open_tiff(path)
        try:
            pages, self.focal_planes_um, self.mpp, self.vendor = _levels(tiff)
            for level in pages:
                for page in level:
                    _check(page)
        except BaseException:
            tiff.close()
            raise
        self._read = Pages(tiff, pages)
        first = pages[0][0]
        self.columns, self.rows = int(first.imagewidth), int(first.imagelength)
        self.levels = tuple(
            SlideLevel(
                columns=int(level[0].imagewidth),
                rows=int(level[0].imagelength),
                downsample=max(
                    1.0,
                    (self.columns / int(level[0].imagewidth) + self.rows / int(level[0].imagelength)) / 2,
                ),
            )
            for level in pages
        )

    def close(self) -> None:
        self._read.close()

    def prove(self) -> None:
        """What `imaging.slides` proves of every slide is enough."""

    def read_level(
        self, level: int, x: int, y: int, columns: int, rows: int, plane: int, path: int
    ) -> NDArray[np.uint8]:
        """See `imaging.slide_source.Source`."""
        return self._read.read(level, plane, x, y, columns, rows)


def open_tiff(path: Path) -> Any:
    """tifffile's view of the file; it opens no other file, whatever an OME header names."""
    import tifffile

    try:
        tiff = tifffile.TiffFile(path, _multifile=False)
        _ = tiff.pages[0]
    except MemoryError:
        raise
    except Exception as error:
        raise DamagedFile("The TIFF file is damaged: its directory cannot be read.") from error
    return tiff


def has_hidden_levels(path: Path) -> bool:
    """Whether a picture of the file has smaller copies of itself in SubIFDs, where OpenSlide does not look."""
    try:
        with open_tiff(path) as tiff:
            if tiff.is_ome:
                return any(_sub_pages(page) for page in _main_pages(tiff))
            # A camera's files keep previews in the same way; their picture is not cut into tiles.
            return bool(tiff.pages[0].is_tiled) and bool(_sub_pages(tiff.pages[0]))
    except DamagedFile:
        return False


def _main_pages(tiff: Any) -> list[Any]:
    return [tiff.pages[number] for number in range(min(len(tiff.pages), _MOST_PAGES))]


def _sub_pages(page: Any) -> list[Any]:
    """Smaller copies of the page in its SubIFDs, from fine to coarse."""
    try:
        below = list(page.pages) if page.subifds else []
    except MemoryError:
        raise
    except Exception:
        return []
    return [each for each in below if _is_smaller_copy(each, page)]


def _is_smaller_copy(page: Any, first: Any) -> bool:
    wide, high = int(page.imagewidth), int(page.imagelength)
    if not 0 < wide < int(first.imagewidth) or not 0 < high < int(first.imagelength):
        return False
    across, down = int(first.imagewidth) / wide, int(first.imagelength) / high
    return abs(across - down) <= (0.03 + 2 / min(wide, high)) * max(across, down) and (
        page.samplesperpixel == first.samplesperpixel
    )


def _levels(tiff: Any) -> tuple[list[list[Any]], tuple[float, ...], Spacing | None, str]:
    """Pages by level and focal plane, the planes in µm, µm per pixel, and what wrote the file."""
    if tiff.is_ome:
        return _ome_levels(tiff)
    first = tiff.pages[0]
    levels = sorted([first, *_sub_pages(first)], key=lambda page: -int(page.imagewidth))
    return [[page] for page in levels], (0.0,), tiff_resolution(first), "tiff"


def _ome_levels(tiff: Any) -> tuple[list[list[Any]], tuple[float, ...], Spacing | None, str]:
    """The image of the OME file that has levels, the largest of them: labels and macro pictures have fewer pixels."""
    try:
        series = [each for each in tiff.series if len(each.levels) > 1]
        chosen = max(series, key=lambda each: int(np.prod(each.shape, dtype=np.int64)))
        number = list(tiff.series).index(chosen)
        axes, shape = str(chosen.axes), tuple(int(side) for side in chosen.shape)
        pages = [[page.aspage() for page in level.pages] for level in chosen.levels]
    except MemoryError:
        raise
    except Exception as error:
        raise DamagedFile("The slide's OME description and its pages contradict each other.") from error
    sizes = dict(zip(axes, shape, strict=True))
    for axis, what in (("T", "time points"), ("C", "channels")):
        if sizes.get(axis, 1) > 1 and not (axis == "C" and _channels_are_colours(pages, sizes)):
            raise UnsupportedEncoding(
                f"The slide has {sizes[axis]} {what}; only colour pictures of a stained section are read here."
            )
    others = set(axes) - set("XYSCTZ")
    if any(sizes[axis] > 1 for axis in others):
        raise UnsupportedEncoding("The slide has dimensions beyond width, height, colour and focus.")
    planes = sizes.get("Z", 1)
    if any(len(level) != planes or None in level for level in pages):
        raise DamagedFile("The slide's levels do not have the focal planes that it describes.")
    attributes = _ome_pixels(tiff, number)
    step = _ome_length(attributes, "PhysicalSizeZ") or 1.0
    mpp = plausible_spacing(
        _ome_length(attributes, "PhysicalSizeX"), _ome_length(attributes, "PhysicalSizeY")
    )
    heights = tuple(round(number * step, 3) for number in range(planes))
    return pages, heights, mpp or tiff_resolution(pages[0][0]), "ome-tiff"


def _channels_are_colours(pages: list[list[Any]], sizes: dict[str, int]) -> bool:
    """Whether what OME counts as channels is the red, green and blue of one page."""
    return sizes["C"] == int(pages[0][0].samplesperpixel) == 3


def _ome_pixels(tiff: Any, number: int) -> dict[str, Any]:
    """The attributes of the Pixels element of an image."""
    import tifffile

    try:
        images = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]
        return dict((images if isinstance(images, list) else [images])[number]["Pixels"])
    except MemoryError:
        raise
    except Exception:
        return {}


def _ome_length(attributes: dict[str, Any], name: str) -> float | None:
    """A physical size in µm; OME's unit is the micrometre where none is given."""
    unit = _MICROMETRES.get(str(attributes.get(f"{name}Unit", "µm")))
    try:
        value = float(attributes[name])
    except (KeyError, ValueError, TypeError):
        return None
    return value * unit if unit is not None and np.isfinite(value) and value > 0 else None


def _check(page: Any) -> None:
    if page.dtype is None or page.dtype != np.uint8 or int(page.photometric) not in (0, 1, 2, 6):
        raise UnsupportedEncoding(
            "The slide's pixels are not 8-bit colour or grey, which is what is read here."
        )
    if int(page.imagedepth or 1) != 1 or int(page.samplesperpixel) not in (1, 3, 4):
        raise UnsupportedEncoding("The slide's pixels have channels or depths that are not read here.")
    wide, high = segment_size(page)
    if max(int(page.imagewidth), int(page.imagelength)) > MAX_SLIDE_SIDE or (
        wide * high * int(page.samplesperpixel) > MAX_TILE_SIDE**2 * 3
    ):
        raise TooLarge("The slide, or one of its tiles, claims to be larger than any slide is.")
