"""What a decoding process can be asked to do: each operation declared once, with its arguments, result and work.

`imaging.sandbox` makes its functions from these declarations and the decoding process looks them up by name, so that
neither side can differ from the other; a type checker sees arguments and results through both.

The process that asks imports this module and must not load the decoders, which cost it half a second and are what it
is protected from: operations import the readers when they run.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast, get_type_hints

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from imaging.deepzoom import NativeFacts, NativeTiles
from imaging.description import Description, ObjectDescription, Photometric, Spacing, Window
from imaging.errors import DamagedFile
from imaging.grayscale import Display
from imaging.pixels import Pixels

if TYPE_CHECKING:
    from imaging import slides

P = ParamSpec("P")
R = TypeVar("R")

Box = tuple[float, float, float, float]
"""A part of a slide: `(x0, y0, x1, y1)` in level-0 pixels, x to the right, y down."""

SlideFiles = str | Path | Sequence[str | Path]
"""The file of a slide, or its files in any order."""

Array = NDArray[Any] | bytes | None
"""What travels beside a JSON value, in shared memory."""

_OPEN_SLIDES = 2
_open_slides: dict[tuple[tuple[str, int, int, int], ...], slides.Slide] = {}


@dataclass(frozen=True, slots=True)
class Strip:
    """Some rows of a slide at a resolution: `values` is H×W×3 uint8, `total_rows` the slide's height there."""

    values: NDArray[np.uint8]
    total_rows: int


class Operation(Generic[P, R]):
    """A function that a decoding process runs: `function` with its name, and how its result travels."""

    def __init__(self, function: Callable[P, R]) -> None:
        self.function = function
        self.name = function.__name__
        self._signature = inspect.signature(function)
        self._carrier = cast("_Carrier[R]", _CARRIERS[get_type_hints(function)["return"]])

    def arguments(self, *args: P.args, **kwargs: P.kwargs) -> dict[str, Any]:
        """The arguments by name, as JSON takes them. Raises `TypeError` for what the function does not take."""
        bound = self._signature.bind(*args, **kwargs).arguments
        return {name: _plain(each) for name, each in bound.items()}

    def run(self, arguments: dict[str, Any]) -> tuple[Any, Array]:
        """In the decoding process: do it. Returns the result as `result` takes it."""
        return self._carrier.pack(cast(Any, self.function)(**arguments))

    def result(self, value: Any, array: Array) -> R:
        """In the asking process: what `run` returned. Raises `DamagedFile` where it is no such thing."""
        try:
            return self._carrier.unpack(value, array)
        except (ValueError, TypeError) as error:
            raise DamagedFile("The decoder's answer is not what was asked for.") from error


def _plain(value: Any) -> Any:
    """Paths, alone or several, as JSON takes them."""
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return os.fspath(value) if isinstance(value, Path) else value


OPERATIONS: dict[str, Operation[..., Any]] = {}
"""Every operation by its name. Nothing else can be called in a decoding process."""


def operation(function: Callable[P, R]) -> Operation[P, R]:
    """Declare an operation. Its result is a description, `Pixels`, a `Strip`, bytes or text."""
    declared = Operation(function)
    OPERATIONS[declared.name] = declared
    return declared


# --- how results travel --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Carrier(Generic[R]):
    """A result as a JSON value and at most one array or byte string, and back. Who unpacks trusts nothing."""

    pack: Callable[[R], tuple[Any, Array]]
    unpack: Callable[[Any, Array], R]


class _PixelFacts(BaseModel):
    """`Pixels` without its values."""

    model_config = ConfigDict(extra="forbid")

    photometric: Photometric
    bits_stored: int
    shown: Display | None
    pixel_spacing_um: Spacing | None
    frame: int
    frames: int


def _pack_pixels(pixels: Pixels) -> tuple[Any, Array]:
    facts = {name: getattr(pixels, name) for name in _PixelFacts.model_fields}
    return _PixelFacts(**facts).model_dump(mode="json"), pixels.values


def _unpack_pixels(value: Any, array: Array) -> Pixels:
    if not isinstance(array, np.ndarray):
        raise DamagedFile("The file gave no pixels.")
    facts = _PixelFacts.model_validate(value)
    if array.ndim not in (2, 3) or (array.ndim == 2) != (facts.shown is not None):
        raise DamagedFile("The file gave no pixels.")
    return Pixels(values=array, **{name: getattr(facts, name) for name in _PixelFacts.model_fields})


def _unpack_tiles(value: Any, array: Array) -> NativeTiles:
    if not isinstance(array, bytes):
        raise DamagedFile("The slide gave no index of its tiles.")
    return NativeTiles(NativeFacts.model_validate(value), np.frombuffer(array, dtype="<i8").reshape(-1, 2))


def _unpack_strip(value: Any, array: Array) -> Strip:
    if not isinstance(array, np.ndarray):
        raise DamagedFile("The slide gave no pixels.")
    return Strip(array, int(value))


def _unpack_several(value: Any, array: Array) -> list[bytes]:
    ends = [int(each) for each in value]
    if not isinstance(array, bytes) or ends != sorted(ends) or (ends and ends[-1] != len(array)):
        raise DamagedFile("The file gave no picture.")
    return [array[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _unpack_bytes(_: Any, array: Array) -> bytes:
    if not isinstance(array, bytes):
        raise DamagedFile("The file gave no picture.")
    return array


_CARRIERS: dict[Any, _Carrier[Any]] = {
    Description: _Carrier(
        lambda found: (found.model_dump(mode="json"), None),
        lambda value, _: Description.model_validate(value),
    ),
    ObjectDescription: _Carrier(
        lambda found: (found.model_dump(mode="json"), None),
        lambda value, _: ObjectDescription.model_validate(value),
    ),
    Pixels: _Carrier(_pack_pixels, _unpack_pixels),
    Strip: _Carrier(lambda strip: (strip.total_rows, strip.values), _unpack_strip),
    NativeTiles: _Carrier(
        lambda tiles: (tiles.facts.model_dump(mode="json"), tiles.places.astype("<i8").tobytes()),
        _unpack_tiles,
    ),
    bytes: _Carrier(lambda data: (None, data), _unpack_bytes),
    list[bytes]: _Carrier(
        lambda parts: (list(accumulate(len(part) for part in parts)), b"".join(parts)), _unpack_several
    ),
    str: _Carrier(lambda text: (text, None), lambda value, _: str(value)),
}


# --- the operations ------------------------------------------------------------------------------------


@operation
def describe(path: str | Path, *, prove: bool = True, charset: str | None = None) -> Description:
    """See `imaging.reader.describe`."""
    from imaging import reader

    return reader.describe(path, prove=prove, charset=charset)


@operation
def describe_object(path: str | Path, *, charset: str | None = None) -> ObjectDescription:
    """See `imaging.objects.describe`: of a file that shows no picture."""
    from imaging import objects

    return objects.describe(Path(path), charset)


@operation
def read(path: str | Path, frame: int = 0) -> Pixels:
    """See `imaging.reader.read`. From a child process the values are a private, writable mapping: no copy was made."""
    from imaging import reader

    return reader.read(path, frame)


@operation
def thumbnail(path: str | Path, longest: int = 512, frame: int = 0) -> bytes:
    """A JPEG, at most `longest` pixels along its longer side, windowed as the file says."""
    from imaging import rendering

    return rendering.thumbnail(Path(path), frame, longest)


@operation
def rendered(
    path: str | Path,
    frame: int = 0,
    *,
    centre: float | None = None,
    width: float | None = None,
    longest: int | None = None,
) -> bytes:
    """A PNG as a reader sees it: 8-bit gray or RGB. A window is in the units of the modality transform; by default
    the frame is shown as the file asks."""
    from imaging import rendering

    window = Window(centre=centre, width=width) if centre is not None and width is not None else None
    return rendering.rendered(Path(path), frame, window, longest)


@operation
def crops(
    files: SlideFiles,
    boxes: Sequence[Box],
    *,
    longest: int,
    frame: int = 0,
    turn: int = 0,
    mirror: bool = False,
) -> list[bytes]:
    """A JPEG of each part of a frame or slide as a reader sees it, decoded once; see `imaging.rendering.crops`."""
    from imaging import rendering

    return rendering.crops(files, boxes, longest, frame, turn, mirror)


@operation
def describe_slide(files: SlideFiles, *, prove: bool = True) -> Description:
    """What all the files of a slide are together. Raises `NotAnImage` (code `not_a_slide`) for an image."""
    from imaging import slides

    return slides.describe(files, prove=prove)


@operation
def slide_dzi(files: SlideFiles) -> str:
    """The DeepZoom descriptor (XML) of a slide. Raises `NotAnImage` (code `not_a_slide`) for an image."""
    from imaging import slides

    with slides.open_slide(files) as slide:
        return slide.dzi()


@operation
def slide_tile(
    files: SlideFiles, level: int, column: int, row: int, *, plane: int | None = None, path: int | None = None
) -> bytes:
    """One DeepZoom tile (JPEG) of a focal plane and an optical path, by default those shown first.

    Raises `NoSuchFrame` outside the slide.
    """
    return _open_cached(files).show(plane, path).tile(level, column, row)


@operation
def native_tiles(files: SlideFiles) -> NativeTiles:
    """Which tiles of a slide lie in its file as a browser can show them. Raises `NotAnImage` for an image."""
    return _open_cached(files).native_tiles()


@operation
def slide_thumbnail(files: SlideFiles, longest: int = 512) -> bytes:
    """A JPEG of the whole section, at most `longest` pixels along its longer side."""
    from imaging import slides

    with slides.open_slide(files) as slide:
        return slides.encode_jpeg(slide.overview(longest))


@operation
def read_slide(
    files: SlideFiles,
    box: Box | None = None,
    *,
    um_per_px: float | None = None,
    longest: int | None = None,
) -> Pixels:
    """A part of a slide (default all) at `um_per_px`, or else at most `longest` pixels long (default 4096).

    Values are H×W×3 uint8, white outside what was scanned. Raises `NotAnImage` where the file is no slide (code
    `not_a_slide`) or a resolution is asked of one that does not say its scale (`no_scale`); `TooLarge`.
    """
    from imaging import slides

    with slides.open_slide(files) as slide:
        x0, y0, x1, y1 = box or (0.0, 0.0, float(slide.columns), float(slide.rows))
        if um_per_px is not None:
            downsample = slide.downsample_for(um_per_px)
        else:
            downsample = max(1.0, max(x1 - x0, y1 - y0) / (longest or slides.OVERVIEW_SIDE))
        values = slide.read_scaled(downsample, (x0, y0, x1, y1))
        spacing = (slide.mpp[0] * downsample, slide.mpp[1] * downsample) if slide.mpp else None
    return Pixels(values=values, photometric="RGB", bits_stored=8, pixel_spacing_um=spacing)


@operation
def slide_strip(
    files: SlideFiles, um_per_px: float, top: int, rows: int, native_um_per_px: float | None = None
) -> Strip:
    """Rows `top` to `top + rows` of the slide at `um_per_px`.

    `native_um_per_px` is the resolution of level 0 where the study states it; else the slide's own counts. Raises
    `NoSuchFrame` below the slide's last row.
    """
    from imaging import slides

    with slides.open_slide(files) as slide:
        downsample = um_per_px / native_um_per_px if native_um_per_px else slide.downsample_for(um_per_px)
        return Strip(slide.strip(downsample, top, rows), max(1, round(slide.rows / downsample)))


def _open_cached(files: SlideFiles) -> slides.Slide:
    """Tiles come by the hundred from one slide; opening it costs more than a tile."""
    from imaging import slides

    paths = slides.paths_of(files)
    found = [(path, path.stat()) for path in paths]
    key = tuple((str(path), each.st_ino, each.st_size, each.st_mtime_ns) for path, each in found)
    if key not in _open_slides:
        _open_slides[key] = slides.open_slide(paths)
        if len(_open_slides) > _OPEN_SLIDES:
            _open_slides.pop(next(iter(_open_slides))).close()
    return _open_slides[key]
