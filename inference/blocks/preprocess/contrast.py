"""Grey values and size: CLAHE, window, resize, and the low-pass band of a Haar wavelet.

Blocks that move pixels have `with_mask(image, mask)` too, which moves an outline along.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from inference.blocks.registry import block

Pixels = NDArray[np.uint8]


@block("preprocess", "clahe")
@dataclass(frozen=True)
class Clahe:
    """Contrast-limited adaptive histogram equalisation (Zuiderveld 1994), on lightness only for colour."""

    clip: float = 2.0
    #: OpenCV ends the process where there are none.
    tiles: Annotated[int, Field(ge=1, le=64)] = 8

    def __call__(self, image: Pixels) -> Pixels:
        equaliser = cv2.createCLAHE(self.clip, (self.tiles, self.tiles))
        if image.ndim == 2:
            return np.asarray(equaliser.apply(image), np.uint8)
        lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
        lab[..., 0] = equaliser.apply(np.ascontiguousarray(lab[..., 0]))
        return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), np.uint8)


@block("preprocess", "window")
@dataclass(frozen=True)
class Window:
    """Stretch the grey values between two percentiles of the non-black pixels to 0–255; black stays black."""

    low: float = 1.0
    high: float = 99.0

    def __call__(self, image: Pixels) -> Pixels:
        lit = image[image > 0]
        if not lit.size:
            return image.copy()
        bottom, top = np.percentile(lit, (self.low, self.high))
        if top <= bottom:
            return image.copy()
        stretched = np.clip((image.astype(np.float32) - bottom) * (255.0 / (top - bottom)), 0, 255)
        return np.where(image > 0, np.round(stretched), 0).astype(np.uint8)


@block("preprocess", "resize")
@dataclass(frozen=True)
class Resize:
    """To `size` (a square's edge, or height and width). `keep_aspect` pads with black at the right and
    bottom."""

    size: int | tuple[int, int]
    keep_aspect: bool = False

    def __call__(self, image: Pixels) -> Pixels:
        return self._resized(image, None)

    def with_mask(self, image: Pixels, mask: Pixels) -> tuple[Pixels, Pixels]:
        return self._resized(image, None), self._resized(mask, cv2.INTER_NEAREST)

    def _resized(self, image: Pixels, interpolation: int | None) -> Pixels:
        height, width = (self.size, self.size) if isinstance(self.size, int) else self.size
        rows, columns = height, width
        if self.keep_aspect:
            factor = min(height / image.shape[0], width / image.shape[1])
            rows, columns = max(1, round(image.shape[0] * factor)), max(1, round(image.shape[1] * factor))
        if interpolation is None:
            shrinking = rows * columns < image.shape[0] * image.shape[1]
            interpolation = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
        small = cv2.resize(image, (columns, rows), interpolation=interpolation)
        if (rows, columns) == (height, width):
            return np.asarray(small, np.uint8)
        canvas = np.zeros((height, width, *image.shape[2:]), np.uint8)
        canvas[:rows, :columns] = small
        return canvas


@block("preprocess", "haar")
@dataclass(frozen=True)
class Haar:
    """The approximation (LL) band of a Haar wavelet after `levels` halvings, scaled back to grey values.

    2048×1536 becomes 512×384 with two levels, as in [26] (Kausar 2019). An odd edge is repeated once.
    """

    levels: int = 2

    def __call__(self, image: Pixels) -> Pixels:
        import pywt

        band = image.astype(np.float64)
        for _ in range(self.levels):
            # The orthonormal transform doubles the mean of a 2×2 square; half of it is a grey value again.
            band = pywt.dwt2(band, "haar", mode="symmetric", axes=(0, 1))[0] / 2
        return np.clip(np.round(band), 0, 255).astype(np.uint8)

    def with_mask(self, image: Pixels, mask: Pixels) -> tuple[Pixels, Pixels]:
        small = self(image)
        size = (small.shape[1], small.shape[0])
        return small, np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), np.uint8)
