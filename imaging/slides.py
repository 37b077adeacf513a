"""Whole-slide files: any place at any resolution in bounded memory, and DeepZoom tiles for the browser.

Places are level-0 pixels, x to the right and y down; resolutions are µm per pixel. Everything is RGB uint8,
white where the scanner saw nothing.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imaging import deepzoom, formats
from imaging.description import Description, SlideGeometry, SlideLevel, Spacing
from imaging.dicom_file import open_dicom
from imaging.dicom_slides import DicomTiles, is_tiled
from imaging.errors import NoSuchFrame, NotAnImage, TooLarge
from imaging.limits import MAX_FRAME_BYTES
from imaging.pixels import Pixels
from imaging.tiff_levels import TiffLevels, open_tiff_levels

OVERVIEW_SIDE = 4096
_BAND_BYTES = 96 * 1024 * 1024
_JPEG_QUALITY = 88

Box = tuple[float, float, float, float]


def is_slide(path: Path) -> bool:
    """Whether OpenSlide reads the TIFF as a scanner's file or as a pyramid. A plain TIFF, tiled or not, is an
    image."""
    import openslide

    vendor = openslide.OpenSlide.detect_format(str(path))
    if vendor is None:
        return False
    if vendor != "generic-tiff":
        return True
    try:
        with openslide.OpenSlide(str(path)) as slide:
            return int(slide.level_count) > 1
    except openslide.OpenSlideError:
        return False


def open_slide(path: str | Path) -> Slide:
    """Open a whole-slide file, DICOM or TIFF. Close it, or use it as a context manager.

    Raises
    ------
    NotAnImage
        The file is no slide (code `not_a_slide`), or nothing that is read here.
    DamagedFile, TooLarge, UnsupportedEncoding
        It is one, and cannot be read.
    """
    path = Path(path)
    if formats.sniff(path) == "dicom":
        file = open_dicom(path)
        try:
            if not is_tiled(file.header):
                raise NotAnImage("The DICOM file is an image, not a whole slide.", code="not_a_slide")
            return Slide(DicomTiles(file))
        except BaseException:
            file.close()
            raise
    if formats.sniff(path) != "tiff" or not is_slide(path):
        raise NotAnImage("The file is an image, not a whole slide.", code="not_a_slide")
    return Slide(open_tiff_levels(path))


class Slide:
    """One open slide. `mpp` is µm per level-0 pixel, (x, y), or None; `levels` are from fine to coarse."""

    def __init__(self, source: DicomTiles | TiffLevels) -> None:
        self._source = source
        self.columns = source.columns
        self.rows = source.rows
        self.mpp: Spacing | None = source.mpp
        self.objective_power = source.objective_power
        if isinstance(source, TiffLevels):
            self.vendor, self.levels = source.vendor, source.levels
        else:
            self.vendor = "dicom"
            self.levels = (SlideLevel(columns=source.columns, rows=source.rows, downsample=1.0),)

    def __enter__(self) -> Slide:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._source.close()

    @property
    def geometry(self) -> SlideGeometry:
        return SlideGeometry(
            vendor=self.vendor,
            levels=self.levels,
            mpp=self.mpp,
            objective_power=self.objective_power,
            dzi_levels=deepzoom.level_count(self.columns, self.rows),
        )

    def downsample_for(self, um_per_px: float) -> float:
        """Level-0 pixels per output pixel at a resolution in µm per pixel.

        Raises
        ------
        NotAnImage
            The slide does not say its scale (code `no_scale`).
        NoSuchFrame
            The resolution is no positive number.
        """
        if self.mpp is None:
            raise NotAnImage("The slide does not say how many micrometres a pixel is.", code="no_scale")
        if not math.isfinite(um_per_px) or um_per_px <= 0:
            raise NoSuchFrame("A resolution is a positive number of micrometres per pixel.")
        return um_per_px / ((self.mpp[0] + self.mpp[1]) / 2)

    def read_at(self, um_per_px: float, box: Box | None = None) -> NDArray[np.uint8]:
        """A region at a resolution.

        Parameters
        ----------
        um_per_px
            µm per pixel of the result.
        box
            `(x0, y0, x1, y1)` in level-0 pixels, default everything.

        Returns
        -------
        NDArray[np.uint8]
            H×W×3 RGB, averaged over the pixels that each covers.

        Raises
        ------
        NotAnImage
            The slide does not say its scale (code `no_scale`).
        TooLarge
            The result is empty or would not fit one image.
        DamagedFile
            A part of the slide cannot be decoded.
        """
        return self.read_scaled(self.downsample_for(um_per_px), box)

    def read_scaled(self, downsample: float, box: Box | None = None) -> NDArray[np.uint8]:
        """The region at `downsample` level-0 pixels per output pixel, averaged (area), not sampled."""
        x0, y0, x1, y1 = box or (0.0, 0.0, float(self.columns), float(self.rows))
        columns = max(1, round((x1 - x0) / downsample))
        rows = max(1, round((y1 - y0) / downsample))
        if not (x0 < x1 and y0 < y1) or columns * rows * 3 > MAX_FRAME_BYTES:
            raise TooLarge("The requested part of the slide is empty or too large for one image.")
        level = self._level_for(downsample)
        level_scale = self.levels[level].downsample
        # Bands bound the memory: a level may be far finer than what is asked.
        wide = max(1.0, (x1 - x0) / level_scale)
        band = max(1, int(_BAND_BYTES / (wide * 4) / max(1.0, downsample / level_scale)))
        out = np.empty((rows, columns, 3), dtype=np.uint8)
        for top in range(0, rows, band):
            bottom = min(rows, top + band)
            part = (x0, y0 + (y1 - y0) * top / rows, x1, y0 + (y1 - y0) * bottom / rows)
            out[top:bottom] = self._resampled(level, part, columns, bottom - top)
        return out

    def strips(self, um_per_px: float, rows_per_strip: int = 1024) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """The whole slide at a resolution, from top to bottom: (first row, H×W×3) with H at most
        `rows_per_strip`. Only one strip is in memory."""
        downsample = self.downsample_for(um_per_px)
        total = max(1, round(self.rows / downsample))
        for top in range(0, total, rows_per_strip):
            yield top, self.strip(downsample, top, min(rows_per_strip, total - top))

    def strip(self, downsample: float, top: int, rows: int) -> NDArray[np.uint8]:
        """Rows `top` to `top + rows` (fewer at the lower edge) of the slide at `downsample`: H×W×3 uint8.

        Raises
        ------
        NoSuchFrame
            `top` lies outside the slide.
        """
        total = max(1, round(self.rows / downsample))
        if not 0 <= top < total:
            raise NoSuchFrame(f"At this resolution the slide has {total} rows.")
        bottom = min(total, top + rows)
        box = (0.0, self.rows * top / total, float(self.columns), self.rows * bottom / total)
        return self.read_scaled(downsample, box)

    def overview(self, longest: int = OVERVIEW_SIDE) -> NDArray[np.uint8]:
        """The whole section, its longer side at most `longest` pixels."""
        return self.read_scaled(max(1.0, max(self.columns, self.rows) / longest))

    def dzi(self) -> str:
        """The DeepZoom descriptor (XML)."""
        return deepzoom.descriptor(self.columns, self.rows)

    def tile(self, level: int, column: int, row: int) -> bytes:
        """One DeepZoom tile as JPEG, with its overlap.

        Parameters
        ----------
        level
            From 0 (one pixel) to `geometry.dzi_levels − 1` (full size).
        column, row
            Of the tile within its level.

        Raises
        ------
        NoSuchFrame
            The slide has no such level or tile.
        """
        count = deepzoom.level_count(self.columns, self.rows)
        if not 0 <= level < count:
            raise NoSuchFrame(f"The slide has levels 0 to {count - 1}.")
        scale = 2 ** (count - 1 - level)
        columns, rows = -(-self.columns // scale), -(-self.rows // scale)
        x0, y0 = column * deepzoom.TILE_SIDE, row * deepzoom.TILE_SIDE
        if column < 0 or row < 0 or x0 >= columns or y0 >= rows:
            raise NoSuchFrame("The slide has no such tile.")
        left, top = max(0, x0 - deepzoom.OVERLAP), max(0, y0 - deepzoom.OVERLAP)
        right = min(columns, x0 + deepzoom.TILE_SIDE + deepzoom.OVERLAP)
        bottom = min(rows, y0 + deepzoom.TILE_SIDE + deepzoom.OVERLAP)
        box = (left * scale, top * scale, min(right * scale, self.columns), min(bottom * scale, self.rows))
        values = self._resampled(self._level_for(scale), box, right - left, bottom - top)
        return encode_jpeg(values)

    def _level_for(self, downsample: float) -> int:
        """The coarsest level that is still fine enough."""
        fitting = [n for n, level in enumerate(self.levels) if level.downsample <= downsample * 1.001]
        return max(fitting, key=lambda n: self.levels[n].downsample, default=0)

    def _resampled(self, level: int, box: Box, columns: int, rows: int) -> NDArray[np.uint8]:
        from PIL import Image

        scale_x = self.columns / self.levels[level].columns
        scale_y = self.rows / self.levels[level].rows
        x0, y0, x1, y1 = box[0] / scale_x, box[1] / scale_y, box[2] / scale_x, box[3] / scale_y
        left, top = math.floor(x0 + 1e-6), math.floor(y0 + 1e-6)
        wide = max(1, math.ceil(x1 - 1e-6) - left)
        high = max(1, math.ceil(y1 - 1e-6) - top)
        if wide * high * 4 > MAX_FRAME_BYTES:
            return self._resampled_in_pieces(level, box, columns, rows)
        if isinstance(self._source, TiffLevels):
            region = self._source.read_level(level, left, top, wide, high)
        else:
            region = self._source.read_region(left, top, wide, high)
        if (wide, high) == (columns, rows) and abs(x0 - left) < 1e-3 and abs(y0 - top) < 1e-3:
            return region
        inner = (
            min(max(0.0, x0 - left), wide - 1e-3),
            min(max(0.0, y0 - top), high - 1e-3),
            min(float(wide), x1 - left),
            min(float(high), y1 - top),
        )
        resized = Image.fromarray(region).resize((columns, rows), Image.Resampling.BOX, box=inner)
        return np.asarray(resized)

    def _resampled_in_pieces(self, level: int, box: Box, columns: int, rows: int) -> NDArray[np.uint8]:
        """A slide without a pyramid, seen from afar: halves until a piece fits."""
        if rows == 1 and columns == 1:
            raise TooLarge("The slide has no pyramid and is too large to be shown from afar.")
        x0, y0, x1, y1 = box
        if rows >= columns:
            half = rows // 2
            middle = y0 + (y1 - y0) * half / rows
            parts = [self._resampled(level, (x0, y0, x1, middle), columns, half),
                     self._resampled(level, (x0, middle, x1, y1), columns, rows - half)]  # fmt: skip
            return np.concatenate(parts, axis=0)
        half = columns // 2
        middle = x0 + (x1 - x0) * half / columns
        parts = [self._resampled(level, (x0, y0, middle, y1), half, rows),
                 self._resampled(level, (middle, y0, x1, y1), columns - half, rows)]  # fmt: skip
        return np.concatenate(parts, axis=1)


def describe(path: Path, *, prove: bool) -> Description:
    """See `imaging.reader.describe`, for TIFF slides."""
    with open_slide(path) as slide:
        if prove:
            _prove(slide)
        return Description(
            kind="slide",
            media_type="image/tiff",
            rows=slide.rows,
            columns=slide.columns,
            samples=3,
            bits_stored=8,
            photometric="RGB",
            encoded_photometric="RGB",
            pixel_spacing_um=slide.mpp,
            pixel_spacing_source="slide properties" if slide.mpp else None,
            slide=slide.geometry,
        )


def read(path: Path, frame: int) -> Pixels:
    """The whole section as one picture, see `imaging.reader.read`."""
    if frame != 0:
        raise NoSuchFrame(f"A slide is one picture; there is no frame {frame}.")
    with open_slide(path) as slide:
        factor = max(1.0, max(slide.columns, slide.rows) / OVERVIEW_SIDE)
        values = slide.overview()
        spacing = (slide.mpp[0] * factor, slide.mpp[1] * factor) if slide.mpp else None
    return Pixels(values=values, photometric="RGB", bits_stored=8, pixel_spacing_um=spacing)


def encode_jpeg(values: NDArray[np.uint8], quality: int = _JPEG_QUALITY) -> bytes:
    """H×W or H×W×3 uint8 as JPEG; colour without subsampling, because stain edges matter."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(values).save(out, "JPEG", quality=quality, subsampling=0)
    return out.getvalue()


def _prove(slide: Slide) -> None:
    """The smallest level completely (where it is small) and a place in the middle of every level."""
    smallest = slide.levels[-1]
    if smallest.columns * smallest.rows <= 4_000_000:
        everything = (0.0, 0.0, float(slide.columns), float(slide.rows))
        slide._resampled(len(slide.levels) - 1, everything, smallest.columns, smallest.rows)
    for number, level in enumerate(slide.levels):
        x, y = slide.columns / 2, slide.rows / 2
        side = 64 * level.downsample
        box = (x, y, min(slide.columns, x + side), min(slide.rows, y + side))
        slide._resampled(number, box, 64, 64)
