"""The levels of a TIFF slide, read by OpenSlide; and by ourselves where the file mislabels its colours."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging.description import SlideLevel, Spacing
from imaging.errors import DamagedFile, TooLarge
from imaging.limits import MAX_SLIDE_SIDE, MAX_TILE_SIDE
from imaging.tiff_pages import Pages, open_tiff

_JPEG = 7
_YCBCR = 6


def open_tiff_levels(path: Path) -> TiffLevels:
    """OpenSlide's reading, or `RgbInYcbcrLevels` where that shows magenta glass. The receiver closes it.

    Raises
    ------
    DamagedFile
        OpenSlide cannot open the file.
    TooLarge
        The slide, or one of its tiles, claims to be larger than any slide is.
    """
    levels = TiffLevels(path)
    try:
        if levels.vendor == "generic-tiff" and _glass_is_magenta(levels):
            return RgbInYcbcrLevels(path, levels)
    except BaseException:
        levels.close()
        raise
    return levels


class TiffLevels:
    """OpenSlide behind our own errors and limits: see `imaging.slide_source.Source`. One focal plane."""

    focal_planes_um: tuple[float, ...] = (0.0,)
    optical_paths: tuple[str, ...] = ("",)
    missing: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        import openslide

        self.path = path
        self._errors = (openslide.OpenSlideError, openslide.OpenSlideUnsupportedFormatError)
        try:
            self.handle: Any = openslide.OpenSlide(str(path))
        except self._errors as error:
            raise DamagedFile("The slide cannot be opened: the file is damaged or cut off.") from error
        properties = self.handle.properties
        self.vendor = str(properties.get("openslide.vendor", "unknown"))
        self.levels = tuple(
            SlideLevel(columns=columns, rows=rows, downsample=max(1.0, float(downsample)))
            for (columns, rows), downsample in zip(
                self.handle.level_dimensions, self.handle.level_downsamples, strict=True
            )
        )
        self.columns, self.rows = self.handle.dimensions
        sides = [int(properties.get(f"openslide.level[{n}].tile-{side}", 0) or 0)
                 for n in range(len(self.levels)) for side in ("width", "height")]  # fmt: skip
        # Striped files have tiles as wide as the slide and a few rows high.
        areas = [a * b for a, b in zip(sides[::2], sides[1::2], strict=True)]
        if max(self.columns, self.rows) > MAX_SLIDE_SIDE or max(areas, default=0) > MAX_TILE_SIDE**2:
            self.close()
            raise TooLarge("The slide, or one of its tiles, claims to be larger than any slide is.")
        self.mpp = _spacing(properties.get("openslide.mpp-x"), properties.get("openslide.mpp-y"))
        self.objective_power = _positive(properties.get("openslide.objective-power"))

    def close(self) -> None:
        self.handle.close()

    def prove(self) -> None:
        """What `imaging.slides` proves of every slide is enough."""

    def read_level(
        self, level: int, x: int, y: int, columns: int, rows: int, plane: int = 0, path: int = 0
    ) -> NDArray[np.uint8]:
        """H×W×3 uint8 RGB from (`x`, `y`) in the level's own pixels, white where nothing was scanned.

        Raises
        ------
        DamagedFile
            A part of the slide cannot be decoded.
        """
        from PIL import Image

        scale = self.levels[level].downsample
        try:
            region = self.handle.read_region((round(x * scale), round(y * scale)), level, (columns, rows))
        except self._errors as error:
            raise DamagedFile("A part of the slide cannot be decoded: the file is damaged.") from error
        # Where nothing was scanned OpenSlide is transparent; glass is white.
        background = Image.new("RGB", region.size, (255, 255, 255))
        background.paste(region, mask=region.getchannel("A"))
        return np.asarray(background)


class RgbInYcbcrLevels(TiffLevels):
    """Some pyramid writers store RGB in JPEG tiles and label them YCbCr; every reader then turns white glass
    magenta. The components are taken as they are."""

    def __init__(self, path: Path, plain: TiffLevels) -> None:
        plain.close()
        super().__init__(path)
        tiff = open_tiff(path)
        pages = {(int(page.imagewidth), int(page.imagelength)): page for page in tiff.pages}
        try:
            self._pages = _RawComponents(tiff, [[pages[each.columns, each.rows]] for each in self.levels])
        except KeyError as error:
            tiff.close()
            self.close()
            raise DamagedFile("The slide's levels contradict each other.") from error

    def close(self) -> None:
        super().close()
        if hasattr(self, "_pages"):
            self._pages.close()

    def read_level(
        self, level: int, x: int, y: int, columns: int, rows: int, plane: int = 0, path: int = 0
    ) -> NDArray[np.uint8]:
        """See `imaging.slide_source.Source`."""
        return self._pages.read(level, 0, x, y, columns, rows)


class _RawComponents(Pages):
    """JPEG tiles whose three components are given as they are stored."""

    def _segment(self, page: Any, number: int) -> NDArray[np.uint8]:
        import imagecodecs

        self._tiff.filehandle.seek(page.dataoffsets[number])
        data = self._tiff.filehandle.read(page.databytecounts[number])
        return np.asarray(
            imagecodecs.jpeg8_decode(data, tables=page.jpegtables, colorspace="ycbcr", outcolorspace="ycbcr")
        )


def _glass_is_magenta(levels: TiffLevels) -> bool:
    """Whether much of the smallest level is R = B = 255 with little green, which no stain on glass gives: it
    is what white becomes when RGB is taken for YCbCr."""
    smallest = levels.levels[-1]
    if smallest.columns * smallest.rows > 16_000_000 or not _says_ycbcr_jpeg(levels.path):
        return False
    picture = levels.read_level(len(levels.levels) - 1, 0, 0, smallest.columns, smallest.rows)
    magenta = (picture[..., 0] >= 250) & (picture[..., 2] >= 250) & (picture[..., 1] < 160)
    return bool(magenta.mean() > 0.15)


def _says_ycbcr_jpeg(path: Path) -> bool:
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            page: Any = tiff.pages[0]
            return int(page.compression) == _JPEG and int(page.photometric) == _YCBCR and bool(page.is_tiled)
    except (tifffile.TiffFileError, ValueError, IndexError, AttributeError):
        return False


def _positive(value: str | None) -> float | None:
    try:
        found = float(value) if value else 0.0
    except ValueError:
        return None
    return found if math.isfinite(found) and found > 0 else None


def _spacing(x: str | None, y: str | None) -> Spacing | None:
    found = _positive(x), _positive(y)
    if found[0] is None or found[1] is None:
        return None
    # A default of 72 dots per inch is no scale of a microscope.
    return (found[0], found[1]) if all(0.02 <= value < 25 for value in (found[0], found[1])) else None
