"""From stored values to the greys of a screen: PS3.3 C.11 and C.7.6.16 for one frame, in one place.

Stored values go through the modality transform (a rescale or a table), padding leaves the picture, a window or a VOI
table makes 0…1 of what is left, and the presentation says which end is black. All of it together is one table over the
stored values: `Display.table`. Whoever draws a frame draws `table[clip(stored − first)]` and need not know more.
"""

from __future__ import annotations

import base64
import functools
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from imaging.description import Window

MAX_ENTRIES = 65_536
"""Of any table here: one for each value of 16 bits."""
MAX_OFFERED = 8
"""Windows, and VOI tables, that a frame offers by name."""

_SAMPLE = 1_000_000
_PIECE = 1 << 20

ONLY_BLACK_OR_WHITE = "The header's window shows nothing of this image but black or white; another is used."


def _decoded(value: Any) -> Any:
    return base64.b64decode(value, validate=True) if isinstance(value, str) else value


Table = Annotated[
    bytes,
    BeforeValidator(_decoded),
    Field(max_length=2 * MAX_ENTRIES),
    PlainSerializer(lambda value: base64.b64encode(value).decode(), when_used="json"),
]
"""Bytes, base64 in JSON."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Greys(_Frozen):
    """An 8-bit grey for each stored value from `first`; values outside take the nearest."""

    first: int
    table: Table

    def of(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """The picture of an array of stored values, of its shape."""
        return np.take(
            self._whole(values.dtype), values.view(np.uint16) if values.dtype == np.int16 else values
        )

    def _whole(self, dtype: np.dtype[Any]) -> NDArray[np.uint8]:
        """The table over every value of a number format, in the order of their bit patterns."""
        greys = np.frombuffer(self.table, np.uint8)
        info = np.iinfo(dtype)
        every = np.arange(info.min, info.max + 1, dtype=np.int32)
        table = greys[np.clip(every - self.first, 0, len(greys) - 1)]
        return np.roll(table, info.min)


class ModalityTable(_Frozen):
    """The modality transform where it is a table: uint16, little endian, for each stored value from `first`."""

    first: int
    table: Table


class OfferedWindow(_Frozen):
    """A way of showing the frame that its header offers, in the units of the modality transform.

    A window has `window`, a VOI table `greys`.
    """

    name: str
    window: Window | None = None
    greys: Greys | None = None


class Display(_Frozen):
    """How one frame of grey values is shown."""

    greys: Greys
    window: Window = Field(description="the window of `greys`; of a VOI table the range that it maps")
    by_lut: bool = Field(default=False, description="whether a VOI table made `greys`")
    offered: tuple[OfferedWindow, ...] = ()
    minimum: float = Field(description="of the frame after the modality transform, without its padding")
    maximum: float
    slope: float = 1.0
    intercept: float = 0.0
    modality_table: ModalityTable | None = None
    padding: tuple[int, int] | None = Field(default=None, description="stored values that are no picture")
    alike: bool = Field(
        default=True, description="whether every frame of the image is shown by this very table"
    )
    remark: str | None = None


@dataclass(frozen=True, slots=True)
class Lut:
    """A look-up table of a header (PS3.3 C.11.1.1, C.11.2.1.1): values before `first` take its first entry."""

    first: int
    bits: int
    entries: NDArray[np.uint16]
    name: str = ""

    def of(self, values: NDArray[np.float64]) -> NDArray[np.uint16]:
        """Its entry for each value."""
        index = np.rint(values).astype(np.int64) - self.first
        return self.entries[np.clip(index, 0, len(self.entries) - 1)]

    @property
    def last(self) -> int:
        return self.first + len(self.entries) - 1


@dataclass(frozen=True, slots=True)
class Grayscale:
    """What a header says of one frame's greys.

    `lowest` and `highest` are the stored values that its number of bits allows.
    """

    lowest: int
    highest: int
    slope: float = 1.0
    intercept: float = 0.0
    modality: Lut | None = None
    padding: tuple[int, int] | None = None
    windows: tuple[tuple[str, Window], ...] = ()
    luts: tuple[Lut, ...] = ()
    inverted: bool = False
    whole_range: bool = False
    """Without a window the whole range of the stored values is shown: eight-bit pictures are made for screens."""
    several_frames: bool = False
    frames_differ: bool = False
    """Whether other frames have other header entries."""

    def stored(self) -> NDArray[np.int32]:
        """Every stored value."""
        return np.arange(self.lowest, self.highest + 1, dtype=np.int32)

    def after_modality(self, stored: NDArray[Any]) -> NDArray[np.float64]:
        """PS3.3 C.11.1: by the table, or else slope and intercept."""
        values = stored.astype(np.float64)
        if self.modality is not None:
            return self.modality.of(values).astype(np.float64)
        return values * self.slope + self.intercept

    def is_padding(self, stored: NDArray[Any]) -> NDArray[np.bool_]:
        if self.padding is None:
            return np.zeros(stored.shape, np.bool_)
        return (stored >= self.padding[0]) & (stored <= self.padding[1])


def display_of(grayscale: Grayscale, values: NDArray[Any]) -> Display:
    """How a frame is shown at opening, and what else its header offers.

    Parameters
    ----------
    grayscale
        What the header says of this frame.
    values
        Its stored values, H×W uint8, uint16 or int16.

    Returns
    -------
    Display
        By the first window that shows something of the frame; else by the first VOI table; else from the 0.1st to the
        99.9th percentile of the values after the modality transform, for eight-bit pictures their whole range.
        Padding is black whatever the photometric interpretation (PS3.3 C.7.5.1.1.2), and in no statistic.
    """
    seen = _Statistics(grayscale, values)
    unusable = None
    window: Window | None = None
    for _, offered in grayscale.windows:
        if _shows_something(offered, *_extent(grayscale, seen)):
            window = offered
            break
        unusable = ONLY_BLACK_OR_WHITE
    modality = grayscale.after_modality(grayscale.stored())
    alike, by_lut = not grayscale.frames_differ, False
    if window is not None:
        shades = windowed(modality, window)
    elif grayscale.luts:
        lut, by_lut = grayscale.luts[0], True
        shades, window = _by_lut(modality, lut), _range_of(float(lut.first), float(lut.last))
    else:
        window = _whole_range(grayscale) if grayscale.whole_range else seen.percentiles()
        shades = windowed(modality, window)
        alike = alike and (grayscale.whole_range or not grayscale.several_frames)
    return Display(
        greys=_greys(grayscale, shades),
        window=window,
        by_lut=by_lut,
        offered=_offered(grayscale, modality),
        minimum=seen.minimum,
        maximum=seen.maximum,
        slope=grayscale.slope if grayscale.modality is None else 1.0,
        intercept=grayscale.intercept if grayscale.modality is None else 0.0,
        modality_table=_modality_table(grayscale, modality),
        padding=grayscale.padding,
        alike=alike,
        remark=unusable,
    )


def greys_by(display: Display, window: Window, *, inverted: bool) -> Greys:
    """The frame's table through another window, given after the modality transform."""
    first, length = display.greys.first, len(display.greys.table)
    stored = np.arange(first, first + length, dtype=np.int32)
    modality = after_modality(display, stored)
    grayscale = Grayscale(first, first + length - 1, padding=display.padding, inverted=inverted)
    return _greys(grayscale, windowed(modality, window))


def after_modality(display: Display, stored: NDArray[Any]) -> NDArray[np.float64]:
    """Stored values as the modality transform gives them, of any shape."""
    if display.modality_table is None:
        return stored.astype(np.float64) * display.slope + display.intercept
    table = np.frombuffer(display.modality_table.table, "<u2")
    index = np.clip(stored.astype(np.int32) - display.modality_table.first, 0, len(table) - 1)
    return table[index].astype(np.float64)


def windowed(values: NDArray[np.float64], window: Window) -> NDArray[np.float64]:
    """0…1 through a window: LINEAR by PS3.3 C.11.2.1.2.1, LINEAR_EXACT and SIGMOID by C.11.2.1.3.

    A LINEAR window narrower than 1, which the standard has no formula for, is taken as LINEAR_EXACT: senders of
    fractional rescales write such.
    """
    centre, width = window.centre, window.width
    if window.function == "SIGMOID":
        return np.asarray(1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - centre) / width, -700, 700))))
    if window.function == "LINEAR_EXACT" or width < 1:
        return np.clip((values - centre) / width + 0.5, 0.0, 1.0)
    if width == 1:
        return (values > centre - 0.5).astype(np.float64)
    return np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0.0, 1.0)


def _by_lut(modality: NDArray[np.float64], lut: Lut) -> NDArray[np.float64]:
    """The table's own output range, 0 to 2^bits − 1, is black to white."""
    return np.asarray(lut.of(modality) / float(2**lut.bits - 1))


def _greys(grayscale: Grayscale, shades: NDArray[np.float64]) -> Greys:
    shades = 1.0 - shades if grayscale.inverted else shades
    table = np.rint(np.clip(shades, 0.0, 1.0) * 255.0).astype(np.uint8)
    table[grayscale.is_padding(grayscale.stored())] = 0
    return Greys(first=grayscale.lowest, table=table.tobytes())


def _offered(grayscale: Grayscale, modality: NDArray[np.float64]) -> tuple[OfferedWindow, ...]:
    windows = [OfferedWindow(name=name, window=window) for name, window in grayscale.windows[:MAX_OFFERED]]
    tables = [
        OfferedWindow(name=lut.name or str(number), greys=_greys(grayscale, _by_lut(modality, lut)))
        for number, lut in enumerate(grayscale.luts[:MAX_OFFERED], start=len(windows) + 1)
    ]
    return (*windows, *tables)


def _modality_table(grayscale: Grayscale, modality: NDArray[np.float64]) -> ModalityTable | None:
    if grayscale.modality is None:
        return None
    return ModalityTable(first=grayscale.lowest, table=modality.astype("<u2").tobytes())


def _range_of(low: float, high: float) -> Window:
    """The window that maps `low` to black and `high` to white."""
    return Window(centre=(low + high + 1) / 2, width=max(high - low, 1e-6) + 1)


def _whole_range(grayscale: Grayscale) -> Window:
    ends = grayscale.after_modality(np.array([grayscale.lowest, grayscale.highest]))
    if grayscale.modality is not None:
        ends = grayscale.after_modality(grayscale.stored())
    low, high = float(ends.min()), float(ends.max())
    return Window(centre=(low + high) / 2, width=max(high - low, 1e-6), function="LINEAR_EXACT")


def _extent(grayscale: Grayscale, seen: _Statistics) -> tuple[float, float]:
    """Between which values a window must show something. A frame of a clip may be all air: there it is what the
    number of bits allows, so that the window does not come and go."""
    if not grayscale.several_frames:
        return seen.minimum, seen.maximum
    every = grayscale.after_modality(grayscale.stored())
    return float(every.min()), float(every.max())


def _shows_something(window: Window, low: float, high: float) -> bool:
    return window.centre + window.width / 2 > low and window.centre - window.width / 2 < high


class _Statistics:
    """Of a frame after the modality transform, padding left out."""

    def __init__(self, grayscale: Grayscale, values: NDArray[Any]) -> None:
        self._grayscale, self._values = grayscale, values
        if grayscale.padding is None and grayscale.modality is None:
            # By far the most frequent, and four times as fast as counting.
            ends = grayscale.after_modality(np.array([values.min(), values.max()]))
            self.minimum, self.maximum = float(ends.min()), float(ends.max())
            return
        present = self._of_counts(_counts(grayscale, values))[0]
        low_high = (present[0], present[-1]) if len(present) else (0.0, 0.0)
        self.minimum, self.maximum = float(low_high[0]), float(low_high[1])

    def _of_counts(self, counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """The values that occur, rising, and how often."""
        stored = self._grayscale.stored()
        counted = (counts > 0) & ~self._grayscale.is_padding(stored)
        values, often = self._grayscale.after_modality(stored[counted]), counts[counted]
        order = np.argsort(values, kind="stable")
        return values[order], often[order]

    @functools.cached_property
    def _sample(self) -> NDArray[Any]:
        step = max(1, int(np.sqrt(self._values.size / _SAMPLE)))
        return self._values[::step, ::step]

    def percentiles(self) -> Window:
        """From the 0.1st to the 99.9th, as numpy interpolates them."""
        present, often = self._of_counts(_counts(self._grayscale, self._sample))
        if not len(present):
            return _range_of(0.0, 1.0)
        upto = np.cumsum(often)
        places = np.array([0.001, 0.999]) * (upto[-1] - 1)
        below = present[np.searchsorted(upto, np.floor(places), side="right")]
        above = present[np.searchsorted(upto, np.ceil(places), side="right")]
        low, high = (float(each) for each in below + (above - below) * (places - np.floor(places)))
        if high <= low:
            low, high = float(present[0]), float(present[-1])
        return _range_of(low, high if high > low else low + 1)


def _counts(grayscale: Grayscale, values: NDArray[Any]) -> NDArray[np.int64]:
    """How often each stored value occurs; in pieces, for a count of a whole frame would take four times its memory."""
    length = grayscale.highest - grayscale.lowest + 1
    counts = np.zeros(length, np.int64)
    flat = np.ascontiguousarray(values).reshape(-1)
    for start in range(0, flat.size, _PIECE):
        piece = flat[start : start + _PIECE].astype(np.int32) - grayscale.lowest
        counts += np.bincount(np.clip(piece, 0, length - 1), minlength=length)
    return counts
