"""Pixels as every reader gives them, and how they look on an 8-bit screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from imaging import grayscale
from imaging.description import Photometric, Spacing, Window
from imaging.errors import DamagedFile
from imaging.grayscale import Display, Grayscale

PixelArray = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.int16]

DTYPES = ("|u1", "<u2", "<i2")
"""The number formats of `Pixels.values`: native, whatever the file had."""


@dataclass(frozen=True, slots=True, eq=False)
class Pixels:
    """One decoded frame.

    `values` is H×W (uint8, uint16 or int16) for MONOCHROME1 and MONOCHROME2, H×W×3 uint8 for RGB: stored values, before
    the modality transform. MONOCHROME1 means that low is bright, and is the header's presentation as a whole (PS3.3
    C.7.6.3.1.2, C.11.6). `shown` is how grey values are shown, None for RGB. `pixel_spacing_um` is (x, y).
    """

    values: PixelArray
    photometric: Photometric
    bits_stored: int
    shown: Display | None = None
    pixel_spacing_um: Spacing | None = None
    frame: int = 0
    frames: int = 1

    @property
    def rows(self) -> int:
        return int(self.values.shape[0])

    @property
    def columns(self) -> int:
        return int(self.values.shape[1])

    def display(self, window: Window | None = None) -> NDArray[np.uint8]:
        """8-bit pixels as a reader sees them: H×W (high is bright, whatever the photometric) or H×W×3.

        `window` is in the units of the modality transform; by default what the file asks for.
        """
        if self.shown is None:
            return np.asarray(self.values, dtype=np.uint8)
        if window is None:
            return self.shown.greys.of(self.values)
        inverted = self.photometric == "MONOCHROME1"
        return grayscale.greys_by(self.shown, window, inverted=inverted).of(self.values)

    def gray(self) -> NDArray[np.uint8]:
        """8-bit H×W: `display`, and for colour its luminance (ITU-R BT.601)."""
        shown = self.display()
        if shown.ndim == 2:
            return shown
        weights = np.array([0.299, 0.587, 0.114], dtype=np.float32)
        return np.asarray(np.rint(shown.astype(np.float32) @ weights), dtype=np.uint8)


def grey_pixels(
    values: PixelArray,
    bits_stored: int,
    said: Grayscale,
    *,
    spacing: Spacing | None,
    frame: int = 0,
    frames: int = 1,
) -> Pixels:
    """A frame of grey values with the table that shows it: made here for every format and by nobody else.

    Raises
    ------
    DamagedFile
        The values are in no number format that a viewer can be given.
    """
    if values.ndim != 2 or values.dtype.str not in DTYPES:
        raise DamagedFile("The pixel data decode to numbers that are not read here.")
    return Pixels(
        values=cast(PixelArray, np.ascontiguousarray(values)),
        photometric="MONOCHROME1" if said.inverted else "MONOCHROME2",
        bits_stored=bits_stored,
        shown=grayscale.display_of(said, values),
        pixel_spacing_um=spacing,
        frame=frame,
        frames=frames,
    )


def plain_grayscale(values: PixelArray, bits_stored: int, *, inverted: bool, frames: int = 1) -> Grayscale:
    """What there is to say of grey values without a header: how many bits they have."""
    info = np.iinfo(values.dtype)
    lowest, highest = int(info.min), int(info.max)
    if values.dtype.kind == "u":
        highest = min(highest, 2 ** max(1, bits_stored) - 1)
    return Grayscale(
        lowest, highest, inverted=inverted, whole_range=values.dtype == np.uint8, several_frames=frames > 1
    )
