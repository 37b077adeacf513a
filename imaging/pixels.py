"""Pixels as every reader gives them, and how they look on an 8-bit screen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imaging.description import Photometric, Spacing, Window

PixelArray = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.int16]

_SAMPLE = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Pixels:
    """One decoded frame.

    `values` is H×W (uint8, uint16 or int16) for MONOCHROME1 and MONOCHROME2, H×W×3 uint8 for RGB.
    MONOCHROME1 values are kept as stored (low is bright); `display` inverts them. `window` is the file's own,
    in units of `values`, or None. `pixel_spacing_um` is (x, y).
    """

    values: PixelArray
    photometric: Photometric
    bits_stored: int
    window: Window | None = None
    pixel_spacing_um: Spacing | None = None
    frame: int = 0
    frames: int = 1

    @property
    def rows(self) -> int:
        return int(self.values.shape[0])

    @property
    def columns(self) -> int:
        return int(self.values.shape[1])

    def display_window(self) -> Window:
        """The window to start with: the file's own where it is usable, the whole range of 8-bit pixels, or
        the 0.1st to 99.9th percentile of the values."""
        return _usable_window(self)

    def display(self, window: Window | None = None) -> NDArray[np.uint8]:
        """8-bit pixels as a reader sees them: H×W (high is bright, whatever the photometric) or H×W×3."""
        return display_8bit(self, window)

    def gray(self) -> NDArray[np.uint8]:
        """8-bit H×W: `display`, and for colour its luminance (ITU-R BT.601)."""
        shown = self.display()
        if shown.ndim == 2:
            return shown
        weights = np.array([0.299, 0.587, 0.114], dtype=np.float32)
        return np.asarray(np.rint(shown.astype(np.float32) @ weights), dtype=np.uint8)


def display_8bit(pixels: Pixels, window: Window | None = None) -> NDArray[np.uint8]:
    """Apply the window and the photometric interpretation.

    Parameters
    ----------
    pixels
        Colour is given back as it is.
    window
        In stored values; by default the file's own where it is usable, else from the 0.1st to the 99.9th percentile.
        Linear windows follow DICOM PS3.3 C.11.2.1.2.1, the others C.11.2.1.3.

    Returns
    -------
    NDArray[np.uint8]
        H×W or H×W×3; high is bright. Values go through a table of their whole range, so that a 12-megapixel film
        takes a few milliseconds.
    """
    values = pixels.values
    if pixels.photometric == "RGB":
        return np.asarray(values, dtype=np.uint8)
    chosen = window or _usable_window(pixels)
    low, high = int(np.iinfo(values.dtype).min), int(np.iinfo(values.dtype).max)
    table = _windowed_8_bit(np.arange(low, high + 1, dtype=np.float64), chosen)
    if pixels.photometric == "MONOCHROME1":
        table = 255 - table
    if low:
        table = np.roll(table, low)
        values = values.view(np.uint16)
    return np.take(table, values)


def _windowed_8_bit(values: NDArray[np.float64], window: Window) -> NDArray[np.uint8]:
    centre, width = window.centre, window.width
    if window.function == "SIGMOID":
        scaled = 1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - centre) / width, -700, 700)))
    elif window.function == "LINEAR_EXACT" or width <= 1:
        scaled = (values - centre) / width + 0.5
    else:
        scaled = (values - (centre - 0.5)) / (width - 1) + 0.5
    return np.asarray(np.rint(np.clip(scaled, 0.0, 1.0) * 255.0), dtype=np.uint8)


def _usable_window(pixels: Pixels) -> Window:
    values = pixels.values
    if pixels.photometric == "RGB":
        return Window(centre=128, width=256)
    step = max(1, int(np.sqrt(values.size / _SAMPLE)))
    sample = values[::step, ::step]
    if pixels.window is not None:
        lowest = pixels.window.centre - pixels.window.width / 2
        highest = pixels.window.centre + pixels.window.width / 2
        # A window that shows nothing but black or white was written for other pixels.
        if highest > int(sample.min()) and lowest < int(sample.max()):
            return pixels.window
    if values.dtype == np.uint8:
        return Window(centre=128, width=256) if pixels.bits_stored > 1 else Window(centre=1, width=2)
    low, high = (float(value) for value in np.percentile(sample, [0.1, 99.9]))
    if high <= low:
        low, high = float(sample.min()), float(sample.max())
    if high <= low:
        high = low + 1
    return Window(centre=(low + high + 1) / 2, width=high - low + 1)
