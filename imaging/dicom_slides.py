"""Whole-slide DICOM (VL Whole Slide Microscopy): the tiles of one instance, put together.

Every instance is read by itself. OpenSlide would look for its siblings in the same folder, which in a
content-addressed store are other people's files.
"""

from __future__ import annotations

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from imaging import deepzoom, dicom_frames, dicom_header, dicom_pixels
from imaging.description import Description, DicomHeader, SlideGeometry, SlideLevel, Spacing
from imaging.dicom_file import DicomFile
from imaging.dicom_frames import PixelFormat
from imaging.errors import DamagedFile, TooLarge, UnsupportedEncoding
from imaging.formats import MEDIA_TYPES
from imaging.limits import MAX_SLIDE_SIDE

_SLIDE_STORAGE = "1.2.840.10008.5.1.4.1.1.77.1.6"
_CACHED_TILES = 64


def is_tiled(header: Dataset) -> bool:
    """Whether the frames are tiles of one large picture, and say where they lie (PS3.3 C.8.12.4): in rows
    (TILED_FULL), or each by its own position."""
    return (
        dicom_header.text(header, "SOPClassUID") == _SLIDE_STORAGE
        and (dicom_header.integer(header, "TotalPixelMatrixColumns") or 0) > 0
        and (dicom_header.integer(header, "TotalPixelMatrixRows") or 0) > 0
        and (_is_full(header) or _has_positions(header))
    )


def lacks_positions(header: Dataset) -> bool:
    """Tiles of a slide that do not say where they lie: each can be shown, the slide cannot."""
    return dicom_header.text(header, "SOPClassUID") == _SLIDE_STORAGE and not is_tiled(header)


def _is_full(header: Dataset) -> bool:
    return (dicom_header.text(header, "DimensionOrganizationType") or "") == "TILED_FULL"


def _has_positions(header: Dataset) -> bool:
    groups = dicom_header.items(header, "PerFrameFunctionalGroupsSequence")[:1]
    return any(dicom_header.items(group, "PlanePositionSlideSequence") for group in groups)


class DicomTiles:
    """The one level of a whole-slide instance (PS3.3 C.8.12.4); its coordinates are level-0 pixels.

    Parameters
    ----------
    file
        An open file for which `is_tiled` holds; closed with this object.
    form
        Its checked Image Pixel module, where the caller has it.

    Raises
    ------
    TooLarge
        The slide claims more than `MAX_SLIDE_SIDE` pixels along a side.
    DamagedFile
        It has fewer frames than tiles, or does not say where they lie.
    UnsupportedEncoding
        Its tiles lie off the grid.
    """

    def __init__(self, file: DicomFile, form: PixelFormat | None = None) -> None:
        self.file = file
        self.form = form or dicom_frames.pixel_format(file)
        header = file.header
        self.columns = dicom_header.integer(header, "TotalPixelMatrixColumns") or 0
        self.rows = dicom_header.integer(header, "TotalPixelMatrixRows") or 0
        if max(self.columns, self.rows) > MAX_SLIDE_SIDE:
            raise TooLarge("The slide claims to be larger than any slide is.")
        across = -(-self.columns // self.form.columns)
        down = -(-self.rows // self.form.rows)
        self._across = across
        self._frames: dict[tuple[int, int], int] | None = None
        if not _is_full(header):
            self._frames = self._sparse_frames()
        elif self.form.frames < across * down:
            raise DamagedFile(
                f"The slide needs {across * down} tiles for its {self.columns} × {self.rows} pixels and has "
                f"{self.form.frames}."
            )
        self._cache: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()

    def close(self) -> None:
        self.file.close()

    @property
    def mpp(self) -> Spacing | None:
        return dicom_header.spacing_of(self.file.header)[0]

    @property
    def objective_power(self) -> float | None:
        for path in dicom_header.items(self.file.header, "OpticalPathSequence"):
            power = dicom_header.number(path, "ObjectiveLensPower")
            if power and power > 0:
                return power
        return None

    def read_region(self, x: int, y: int, columns: int, rows: int) -> NDArray[np.uint8]:
        """H×W×3 uint8 RGB from (`x`, `y`), white outside the slide and where a sparse slide has no tile."""
        out = np.full((rows, columns, 3), 255, dtype=np.uint8)
        tile_rows, tile_columns = self.form.rows, self.form.columns
        for row in range(max(0, y) // tile_rows, -(-min(self.rows, y + rows) // tile_rows)):
            for column in range(
                max(0, x) // tile_columns, -(-min(self.columns, x + columns) // tile_columns)
            ):
                tile = self._tile(row, column)
                if tile is None:
                    continue
                left, top = column * tile_columns, row * tile_rows
                x0, x1 = max(x, left), min(x + columns, left + tile_columns, self.columns)
                y0, y1 = max(y, top), min(y + rows, top + tile_rows, self.rows)
                if x0 < x1 and y0 < y1:
                    out[y0 - y : y1 - y, x0 - x : x1 - x] = tile[y0 - top : y1 - top, x0 - left : x1 - left]
        return out

    def _tile(self, row: int, column: int) -> NDArray[np.uint8] | None:
        frame = row * self._across + column
        if self._frames is not None:
            sparse = self._frames.get((row, column))
            if sparse is None:
                return None
            frame = sparse
        if frame in self._cache:
            self._cache.move_to_end(frame)
            return self._cache[frame]
        pixels = dicom_pixels.decode(self.file, self.form, frame)
        shown = pixels.display()
        tile = shown if shown.ndim == 3 else np.repeat(shown[..., None], 3, axis=2)
        self._cache[frame] = tile
        if len(self._cache) > _CACHED_TILES:
            self._cache.popitem(last=False)
        return tile

    def _sparse_frames(self) -> dict[tuple[int, int], int]:
        found: dict[tuple[int, int], int] = {}
        for number, group in enumerate(
            dicom_header.items(self.file.header, "PerFrameFunctionalGroupsSequence")[: self.form.frames]
        ):
            for place in dicom_header.items(group, "PlanePositionSlideSequence")[:1]:
                x = dicom_header.integer(place, "ColumnPositionInTotalImagePixelMatrix")
                y = dicom_header.integer(place, "RowPositionInTotalImagePixelMatrix")
                if x is None or y is None:
                    continue
                if (x - 1) % self.form.columns or (y - 1) % self.form.rows:
                    raise UnsupportedEncoding(
                        "The slide's tiles do not lie on a grid, which is not read here."
                    )
                found.setdefault(((y - 1) // self.form.rows, (x - 1) // self.form.columns), number)
        if not found:
            raise DamagedFile("The slide does not say where its tiles lie.")
        return found


def describe(
    file: DicomFile, form: PixelFormat, header: DicomHeader, remarks: list[str], *, prove: bool
) -> Description:
    """A slide that has a DICOM header too."""
    tiles = DicomTiles(file, form)
    spacing, source = dicom_header.spacing_of(file.header)
    if prove:
        tiles.read_region(tiles.columns // 2, tiles.rows // 2, 1, 1)
        dicom_frames.decode_frame(file, form, 0)
    return Description(
        kind="slide",
        media_type=MEDIA_TYPES["dicom"],
        rows=tiles.rows,
        columns=tiles.columns,
        frames=1,
        samples=3,
        bits_stored=8,
        photometric="RGB",
        encoded_photometric=form.photometric,
        pixel_spacing_um=spacing,
        pixel_spacing_source=source,
        header=header,
        slide=SlideGeometry(
            vendor="dicom",
            levels=(SlideLevel(columns=tiles.columns, rows=tiles.rows, downsample=1.0),),
            mpp=spacing,
            objective_power=tiles.objective_power,
            dzi_levels=deepzoom.level_count(tiles.columns, tiles.rows),
        ),
        remarks=tuple(remarks),
    )
