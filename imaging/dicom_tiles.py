"""The pixels of a DICOM slide: tiles of one or several files as levels, focal planes and optical paths."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from imaging import dicom_frames, dicom_pixels, dicom_slides, dicom_values
from imaging.description import SlideLevel, SlidePart, Spacing
from imaging.dicom_file import DicomFile
from imaging.dicom_frames import PixelFormat
from imaging.errors import DamagedFile, NotAnImage, TooLarge, UnsupportedEncoding
from imaging.grayscale import Greys
from imaging.limits import MAX_SLIDE_SIDE
from imaging.slide_parts import SlideFile, SlideImage, images_of

_CACHED_TILES = 64
#: µm per pixel that the finest level of a microscope's slide can have.
FINEST_UM, COARSEST_UM = 0.02, 25.0


@dataclass(slots=True)
class TileFile:
    """One open file of a slide."""

    file: DicomFile
    form: PixelFormat
    part: SlidePart
    power: float | None
    """Magnification of the objective."""
    places: dict[tuple[float, str, int, int], int] = field(default_factory=dict)
    """(µm, path, row, column) of each tile to its frame, where the frames are not in rows."""
    full: bool = True


def open_tiles(file: DicomFile) -> TileFile:
    """What is needed of a file's header. The file is closed with the levels that are made of it.

    Raises
    ------
    NotAnImage
        It is no tiled slide, or a label, overview or thumbnail (code `not_a_slide`).
    TooLarge
        The slide claims more than `MAX_SLIDE_SIDE` pixels along a side.
    DamagedFile
        Its tiles do not say where they lie.
    UnsupportedEncoding
        They lie off the grid.
    """
    header = file.header
    form = dicom_frames.pixel_format(file)
    dicom_frames.check_lengths(file, form)
    part = dicom_slides.part_of(header, form.frames)
    if part is None or not part.tiled:
        raise NotAnImage("The DICOM file is an image, not a whole slide.", code="not_a_slide")
    if max(part.columns, part.rows) > MAX_SLIDE_SIDE:
        raise TooLarge("The slide claims to be larger than any slide is.")
    opened = TileFile(file, form, part, dicom_slides.objective_power(header))
    if not dicom_slides.is_full(header):
        opened.full = False
        opened.places = _places(header, form, part)
        # A Dataset for each of a hundred thousand frames; what they say of pixels is read from the shared groups.
        groups = header.PerFrameFunctionalGroupsSequence
        header.PerFrameFunctionalGroupsSequence = list(groups[:1])
    return opened


def _places(header: Dataset, form: PixelFormat, part: SlidePart) -> dict[tuple[float, str, int, int], int]:
    found: dict[tuple[float, str, int, int], int] = {}
    names = dicom_slides.path_names(header)
    shared_path = next(
        (
            path
            for group in dicom_values.items(header, "SharedFunctionalGroupsSequence")[:1]
            if (path := dicom_slides.path_of(group))
        ),
        None,
    )
    groups = dicom_values.items(header, "PerFrameFunctionalGroupsSequence")
    for number, group in enumerate(groups[: form.frames]):
        for place in dicom_values.items(group, "PlanePositionSlideSequence")[:1]:
            x = dicom_values.integer(place, "ColumnPositionInTotalImagePixelMatrix")
            y = dicom_values.integer(place, "RowPositionInTotalImagePixelMatrix")
            if x is None or y is None:
                continue
            if (x - 1) % form.columns or (y - 1) % form.rows:
                raise UnsupportedEncoding("The slide's tiles do not lie on a grid, which is not read here.")
            height = dicom_slides.height_of(group)
            path = names.get(dicom_slides.path_of(group) or shared_path or "", part.optical_paths[0])
            key = (
                part.focal_planes_um[0] if height is None else height,
                path,
                (y - 1) // form.rows,
                (x - 1) // form.columns,
            )
            found.setdefault(key, number)
    if not found:
        raise DamagedFile("The slide does not say where its tiles lie.")
    return found


class TiledImage:
    """One image of a slide: a file, or those of a concatenation. White where a tile is not there."""

    def __init__(self, image: SlideImage[int], files: Sequence[TileFile]) -> None:
        self._files = [files[file.key] for file in image.files]
        first = self._files[0]
        self.columns, self.rows = first.part.columns, first.part.rows
        self.part = first.part
        self.sheets = image.sheets
        self.missing = image.missing
        self._tile_rows, self._tile_columns = first.form.rows, first.form.columns
        if any((f.form.rows, f.form.columns) != (first.form.rows, first.form.columns) for f in self._files):
            raise DamagedFile("The parts of the slide have tiles of different sizes.")
        self._across = -(-self.columns // self._tile_columns)
        self._down = -(-self.rows // self._tile_rows)
        self._tiles = self._across * self._down
        self._greys: dict[str, Greys] = {}
        self.coarsest: TiledImage | None = None
        """Of the same slide, where one of the same optical paths is there."""
        self._planes = {height: number for number, height in enumerate(first.part.focal_planes_um)}
        self._paths = {name: number for number, name in enumerate(first.part.optical_paths)}
        self._starts = self._frame_offsets()
        if first.full and not self.missing:
            self._check_frames()
        self._cache: OrderedDict[tuple[int, int], NDArray[np.uint8]] = OrderedDict()

    def _frame_offsets(self) -> list[int]:
        """The number of each file's first frame within the whole image."""
        starts, following = [], 0
        for opened in self._files:
            cut = opened.part.concatenation
            start = following if cut is None or cut.offset is None else cut.offset
            starts.append(start)
            following = start + opened.form.frames
        return starts

    def _check_frames(self) -> None:
        frames = self._starts[-1] + self._files[-1].form.frames
        needed = self._tiles * len(self._planes)
        if frames >= needed:
            return
        if any(cut is not None and cut.total is None for cut in (f.part.concatenation for f in self._files)):
            # Nothing says how many parts there are (In-concatenation Total Number may be left out): more may come.
            self.missing = f"The slide is incomplete: of its {needed} tiles {frames} are there."
            return
        raise DamagedFile(
            f"The slide needs {needed} tiles for its {self.columns} × {self.rows} pixels and has {frames}."
        )

    def read_region(
        self, x: int, y: int, columns: int, rows: int, sheet: tuple[float, str]
    ) -> NDArray[np.uint8]:
        """H×W×3 uint8 RGB from (`x`, `y`) in this image's own pixels."""
        out = np.full((rows, columns, 3), 255, dtype=np.uint8)
        high, wide = self._tile_rows, self._tile_columns
        for row in range(max(0, y) // high, -(-min(self.rows, y + rows) // high)):
            for column in range(max(0, x) // wide, -(-min(self.columns, x + columns) // wide)):
                tile = self._tile(row, column, sheet)
                if tile is None:
                    continue
                left, top = column * wide, row * high
                x0, x1 = max(x, left), min(x + columns, left + wide, self.columns)
                y0, y1 = max(y, top), min(y + rows, top + high, self.rows)
                if x0 < x1 and y0 < y1:
                    out[y0 - y : y1 - y, x0 - x : x1 - x] = tile[y0 - top : y1 - top, x0 - left : x1 - left]
        return out

    def greys_of(self, sheet: tuple[float, str]) -> Greys:
        """One table for all tiles of a grey slide without a window: that of the tile in the middle of its coarsest
        level, which shows the most of it. By its own values each tile would have a brightness of its own."""
        if self.coarsest is not None and self.coarsest is not self and sheet[1] in self._paths:
            return self.coarsest.greys_of((self.coarsest.part.focal_planes_um[0], sheet[1]))
        if sheet[1] not in self._greys:
            places = sorted(
                ((row - self._down // 2) ** 2 + (column - self._across // 2) ** 2, row, column)
                for row in range(self._down)
                for column in range(self._across)
            )
            there = (found for _, row, column in places if (found := self._frame_at(row, column, sheet)))
            found = next(there, (0, 0))
            opened = self._files[found[0]]
            middle = dicom_pixels.decode(opened.file, opened.form, found[1])
            assert middle.shown is not None  # asked of grey slides only
            self._greys[sheet[1]] = middle.shown.greys
        return self._greys[sheet[1]]

    def prove(self) -> None:
        """Decode the first frame of every file. Raises what decoding raises."""
        for opened in self._files:
            dicom_pixels.decode(opened.file, opened.form, 0)

    def _tile(self, row: int, column: int, sheet: tuple[float, str]) -> NDArray[np.uint8] | None:
        found = self._frame_at(row, column, sheet)
        if found is None:
            return None
        if found in self._cache:
            self._cache.move_to_end(found)
            return self._cache[found]
        opened = self._files[found[0]]
        pixels = dicom_pixels.decode(opened.file, opened.form, found[1])
        shown = pixels.display()
        if pixels.shown is not None and not pixels.shown.alike:
            shown = self.greys_of(sheet).of(pixels.values)
        tile = shown if shown.ndim == 3 else np.repeat(shown[..., None], 3, axis=2)
        self._cache[found] = tile
        if len(self._cache) > _CACHED_TILES:
            self._cache.popitem(last=False)
        return tile

    def _frame_at(self, row: int, column: int, sheet: tuple[float, str]) -> tuple[int, int] | None:
        """(file, frame in it) of a tile, None where there is none."""
        if not self._files[0].full:
            for number, opened in enumerate(self._files):
                frame = opened.places.get((*sheet, row, column))
                if frame is not None:
                    return number, frame
            return None
        plane, path = self._planes.get(sheet[0]), self._paths.get(sheet[1])
        if plane is None or path is None:
            return None
        # Tiles run fastest, then focal planes upwards, then optical paths (PS3.3 C.7.6.17.3).
        wanted = (path * len(self._planes) + plane) * self._tiles + row * self._across + column
        for number, (start, opened) in enumerate(zip(self._starts, self._files, strict=True)):
            if start <= wanted < start + opened.form.frames:
                return number, wanted - start
        return None


class DicomLevels:
    """A DICOM slide of one or several files: see `imaging.slide_source.Source`.

    Raises
    ------
    DamagedFile
        A file has fewer frames than tiles.
    """

    vendor = "dicom"

    def __init__(self, files: Sequence[TileFile]) -> None:
        self._files = list(files)
        found = images_of([SlideFile(number, "", each.part) for number, each in enumerate(files)])
        images = [TiledImage(image, self._files) for image in found]
        finest = images[0]
        for image in images:
            alike = [other for other in images if other.part.optical_paths == image.part.optical_paths]
            image.coarsest = alike[-1]
        self.columns, self.rows = finest.columns, finest.rows
        self._levels: list[list[TiledImage]] = []
        for image in images:
            if (
                self._levels
                and self._levels[-1][0].columns == image.columns
                and (self._levels[-1][0].rows == image.rows)
            ):
                self._levels[-1].append(image)
            else:
                self._levels.append([image])
        self.levels = tuple(
            SlideLevel(
                columns=level[0].columns,
                rows=level[0].rows,
                downsample=max(1.0, (self.columns / level[0].columns + self.rows / level[0].rows) / 2),
            )
            for level in self._levels
        )
        self.focal_planes_um = tuple(sorted({h for image in self._levels[0] for h, _ in image.sheets}))
        names = [name for image in self._levels[0] for name in image.part.optical_paths]
        self.optical_paths = tuple(dict.fromkeys(names))
        self.missing = tuple(sentence for image in images if (sentence := image.missing))
        self.objective_power = next((each.power for each in self._files if each.part == finest.part), None)

    @property
    def mpp(self) -> Spacing | None:
        """Of the finest level; None where no microscope could have it."""
        stated = self._levels[0][0].part.um_per_px
        return stated if stated and all(FINEST_UM <= value < COARSEST_UM for value in stated) else None

    def close(self) -> None:
        for each in self._files:
            each.file.close()

    def prove(self) -> None:
        """Decode a frame of every file. Raises what decoding raises."""
        for level in self._levels:
            for image in level:
                image.prove()

    def read_level(
        self, level: int, x: int, y: int, columns: int, rows: int, plane: int, path: int
    ) -> NDArray[np.uint8]:
        """H×W×3 uint8 RGB from (`x`, `y`) in the level's own pixels, white where nothing was scanned.

        A coarser level that lacks the focal plane shows the nearest that it has.
        """
        height, name = self.focal_planes_um[plane], self.optical_paths[path]
        there = [
            (abs(other - height), number, other)
            for number, image in enumerate(self._levels[level])
            for other, its_name in image.sheets
            if its_name == name or len(self.optical_paths) == 1
        ]
        if level == 0:
            there = [each for each in there if each[0] == 0]
        if not there:
            return np.full((rows, columns, 3), 255, dtype=np.uint8)
        _, number, nearest = min(there)
        image = self._levels[level][number]
        name = name if (nearest, name) in image.sheets else image.part.optical_paths[0]
        return image.read_region(x, y, columns, rows, (nearest, name))
