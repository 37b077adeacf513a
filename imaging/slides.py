"""Whole slides, in one file or several: any place at any resolution in bounded memory, and DeepZoom tiles for the
browser.

Places are level-0 pixels, x to the right and y down; resolutions are µm per pixel. Everything is RGB uint8,
white where the scanner saw nothing.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imaging import deepzoom, formats, tiff_pages
from imaging.description import Description, ImageFacts, SlideGeometry, SlidePart, Spacing
from imaging.dicom_file import DicomFile, open_dicom
from imaging.dicom_tiles import DicomLevels, open_tiles
from imaging.errors import NoSuchFrame, NotAnImage, TooLarge
from imaging.limits import MAX_FRAME_BYTES, MAX_SLIDE_FILES
from imaging.native_tiles import layout_of, native_tiles
from imaging.pixels import Pixels
from imaging.slide_parts import magnification_remark
from imaging.slide_source import Source
from imaging.tiff_levels import open_tiff_levels
from imaging.tiff_pages import SubIfdLevels

OVERVIEW_SIDE = 4096
_BAND_BYTES = 96 * 1024 * 1024
_JPEG_QUALITY = 88
_MOST_ENLARGED = 1 / 16

Box = tuple[float, float, float, float]


SlideFiles = str | Path | Sequence[str | Path]
"""The file of a slide, or its files in any order."""


def paths_of(files: SlideFiles) -> list[Path]:
    """The files as paths."""
    return [Path(files)] if isinstance(files, str | Path) else [Path(each) for each in files]


def is_slide(path: Path) -> bool:
    """Whether the TIFF is a scanner's file or a pyramid. A plain TIFF, tiled or not, is an image."""
    import openslide

    vendor = openslide.OpenSlide.detect_format(str(path))
    if vendor is not None and vendor != "generic-tiff":
        return True
    return _openslide_sees_levels(path) or tiff_pages.has_hidden_levels(path)


def _openslide_sees_levels(path: Path) -> bool:
    import openslide

    try:
        with openslide.OpenSlide(str(path)) as slide:
            return int(slide.level_count) > 1
    except openslide.OpenSlideError:
        return False


def open_slide(files: SlideFiles) -> Slide:
    """Open a whole slide, DICOM (one file or several) or TIFF. Close it, or use it as a context manager.

    Raises
    ------
    NotAnImage
        A file is no slide (code `not_a_slide`), or nothing that is read here.
    DamagedFile, TooLarge, UnsupportedEncoding
        It is one, and cannot be read.
    """
    paths = paths_of(files)
    if not 0 < len(paths) <= MAX_SLIDE_FILES:
        raise TooLarge(f"A slide has 1 to {MAX_SLIDE_FILES} files.")
    if formats.sniff(paths[0]) == "dicom":
        return Slide(_dicom_levels(paths))
    if len(paths) > 1 or formats.sniff(paths[0]) != "tiff" or not is_slide(paths[0]):
        raise NotAnImage("The file is an image, not a whole slide.", code="not_a_slide")
    return Slide(_tiff_levels(paths[0]))


def _dicom_levels(paths: Sequence[Path]) -> DicomLevels:
    opened: list[DicomFile] = []
    try:
        tiles = []
        for path in paths:
            opened.append(open_dicom(path))
            tiles.append(open_tiles(opened[-1]))
        return DicomLevels(tiles)
    except BaseException:
        for file in opened:
            file.close()
        raise


def _tiff_levels(path: Path) -> Source:
    import openslide

    vendor = openslide.OpenSlide.detect_format(str(path))
    if vendor in (None, "generic-tiff") and tiff_pages.has_hidden_levels(path):
        return SubIfdLevels(path)
    return open_tiff_levels(path)


class Slide:
    """One open slide. `mpp` is µm per level-0 pixel, (x, y), or None; `levels` are from fine to coarse.

    `plane` and `path` say what reading gives: the focal plane in the middle and the first optical path, until `show`
    chooses others.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self.columns = source.columns
        self.rows = source.rows
        self.mpp: Spacing | None = source.mpp
        self.objective_power = source.objective_power
        self.vendor, self.levels = source.vendor, source.levels
        self.plane, self.path = len(source.focal_planes_um) // 2, 0

    @cached_property
    def layout(self) -> deepzoom.Layout:
        """How it is cut into tiles."""
        return layout_of(self._source)

    def native_tiles(self) -> deepzoom.NativeTiles:
        """Which of its tiles lie in its file as they are."""
        return native_tiles(self._source)

    def show(self, plane: int | None, path: int | None) -> Slide:
        """Choose a focal plane and an optical path by number, None for those shown first.

        Raises
        ------
        NoSuchFrame
            The slide has no such plane or path.
        """
        planes, paths = len(self._source.focal_planes_um), len(self._source.optical_paths)
        plane = planes // 2 if plane is None else plane
        path = 0 if path is None else path
        if not 0 <= plane < planes or not 0 <= path < paths:
            raise NoSuchFrame(f"The slide has {planes} focal plane(s) and {paths} optical path(s), from 0.")
        self.plane, self.path = plane, path
        return self

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
            focal_planes_um=self._source.focal_planes_um,
            optical_paths=self._source.optical_paths,
            missing=self._source.missing,
        )

    def prove(self) -> None:
        """Decode the smallest level completely (where it is small), a place in the middle of every level, and of
        every DICOM file its first frame. Raises what decoding raises."""
        smallest = self.levels[-1]
        if smallest.columns * smallest.rows <= 4_000_000:
            everything = (0.0, 0.0, float(self.columns), float(self.rows))
            self._resampled(len(self.levels) - 1, everything, smallest.columns, smallest.rows)
        for number, level in enumerate(self.levels):
            x, y = self.columns / 2, self.rows / 2
            side = 64 * level.downsample
            box = (x, y, min(self.columns, x + side), min(self.rows, y + side))
            self._resampled(number, box, 64, 64)
        self._source.prove()

    @property
    def remarks(self) -> tuple[str, ...]:
        """Oddities that did not stop the reading."""
        um_per_px = sum(self.mpp) / 2 if self.mpp else None
        contradiction = magnification_remark(um_per_px, self.objective_power)
        return (*self._source.missing, *filter(None, [contradiction]))

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
        if downsample < _MOST_ENLARGED:
            raise TooLarge(
                "The slide is said to be so coarse that it would be enlarged more than "
                f"{round(1 / _MOST_ENLARGED)} times; its µm per pixel cannot be right."
            )
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
        return deepzoom.descriptor(self.columns, self.rows, self.layout)

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
        side, overlap = self.layout.tile_side, self.layout.overlap
        x0, y0 = column * side, row * side
        if column < 0 or row < 0 or x0 >= columns or y0 >= rows:
            raise NoSuchFrame("The slide has no such tile.")
        left, top = max(0, x0 - overlap), max(0, y0 - overlap)
        right, bottom = min(columns, x0 + side + overlap), min(rows, y0 + side + overlap)
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
        region = self._source.read_level(level, left, top, wide, high, self.plane, self.path)
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


def describe(files: SlideFiles, *, prove: bool) -> Description:
    """See `imaging.reader.describe`, for a TIFF slide or for all the files of a DICOM slide. Its header and facts are
    not repeated here: each DICOM file has its own."""
    paths = paths_of(files)
    with open_slide(paths) as slide:
        return description_of(slide, formats.MEDIA_TYPES[formats.sniff(paths[0])], prove=prove)


def description_of(slide: Slide, media_type: str, *, prove: bool) -> Description:
    """What an open slide is."""
    if prove:
        slide.prove()
    return Description(
        kind="slide",
        media_type=media_type,
        rows=slide.rows,
        columns=slide.columns,
        samples=3,
        bits_stored=8,
        photometric="RGB",
        encoded_photometric="RGB",
        pixel_spacing_um=slide.mpp,
        pixel_spacing_source="slide properties" if slide.mpp else None,
        facts=ImageFacts(
            spacing_um=slide.mpp,
            slide_part=SlidePart(
                role="volume",
                columns=slide.columns,
                rows=slide.rows,
                um_per_px=slide.mpp,
                focal_planes_um=slide.geometry.focal_planes_um,
                optical_paths=slide.geometry.optical_paths,
            ),
        ),
        slide=slide.geometry,
        remarks=slide.remarks,
    )


def read(files: SlideFiles, frame: int) -> Pixels:
    """The whole section as one picture, see `imaging.reader.read`."""
    if frame != 0:
        raise NoSuchFrame(f"A slide is one picture; there is no frame {frame}.")
    with open_slide(files) as slide:
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
