"""Noise in ultrasound and film: median, switching fuzzy median, and speckle-reducing anisotropic
diffusion."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.blocks.registry import block

Pixels = NDArray[np.uint8]


@block("preprocess", "median")
@dataclass(frozen=True)
class Median:
    """Median of a `size`×`size` window (odd)."""

    size: int = 5

    def __call__(self, image: Pixels) -> Pixels:
        return np.asarray(cv2.medianBlur(np.ascontiguousarray(image), self.size), np.uint8)


@block("preprocess", "fuzzy_median")
@dataclass(frozen=True)
class FuzzyMedian:
    """Noise-adaptive fuzzy switching median (Toh and Isa, IEEE Signal Processing Letters 2010).

    Only pixels at 0 or 255 are suspects. A suspect moves towards the median of its window's other pixels as
    far as it stands out: not at all below a difference of `low` grey levels, wholly from `high` on. So black
    surroundings stay as they are. The window grows from 3 up to `largest` until it holds a pixel that is no
    suspect.
    """

    largest: int = 7
    low: float = 10.0
    high: float = 30.0

    def __call__(self, image: Pixels) -> Pixels:
        if image.ndim == 3:
            return np.stack([self._plane(image[..., channel]) for channel in range(image.shape[2])], axis=-1)
        return self._plane(image)

    def _plane(self, image: Pixels) -> Pixels:
        values = image.astype(np.float32)
        kernel = np.ones((3, 3), np.uint8)
        plane = np.ascontiguousarray(image)
        reach = np.maximum(
            cv2.dilate(plane, kernel).astype(np.float32) - values, values - cv2.erode(plane, kernel)
        )
        suspect = (image == 0) | (image == 255)
        rows, columns = np.nonzero(suspect & (reach >= self.low))
        pending = np.ones(rows.size, bool)
        medians = np.zeros(rows.size, np.float32)
        for size in range(3, self.largest + 1, 2):
            at = np.flatnonzero(pending)
            if not at.size:
                break
            half = size // 2
            padded = np.pad(np.where(suspect, np.nan, values), half, constant_values=np.nan)
            windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size))
            around = windows[rows[at], columns[at]].reshape(at.size, -1)
            useful = ~np.isnan(around).all(axis=1)
            medians[at[useful]] = np.nanmedian(around[useful], axis=1)
            pending[at[useful]] = False
        done = ~pending
        rows, columns, medians = rows[done], columns[done], medians[done]
        share = np.clip((reach[rows, columns] - self.low) / (self.high - self.low), 0, 1)
        values[rows, columns] = (1 - share) * values[rows, columns] + share * medians
        return np.clip(np.round(values), 0, 255).astype(np.uint8)


@block("preprocess", "srad")
@dataclass(frozen=True)
class Srad:
    """Speckle-reducing anisotropic diffusion (Yu and Acton, IEEE Trans. Image Processing 2002).

    The speckle's scale q₀ is the coefficient of variation of the quietest 5 % of the 16×16 squares that are
    not black, and decays by exp(−t/6) as in the paper. Colour is filtered channel by channel.
    """

    iterations: int = 30
    step: float = 0.2

    def __call__(self, image: Pixels) -> Pixels:
        if image.ndim == 3:
            return np.stack([self._plane(image[..., channel]) for channel in range(image.shape[2])], axis=-1)
        return self._plane(image)

    def _plane(self, image: Pixels) -> Pixels:
        # Instantaneous coefficients divide by intensity: black must not be nought.
        level = image.astype(np.float32) + 1.0
        start = _speckle_scale(image)
        for number in range(self.iterations):
            scale = max(start * float(np.exp(-self.step * number / 6)), 1e-3) ** 2
            padded = np.pad(level, 1, mode="edge")
            north, south = padded[:-2, 1:-1] - level, padded[2:, 1:-1] - level
            west, east = padded[1:-1, :-2] - level, padded[1:-1, 2:] - level
            steepness = (north**2 + south**2 + west**2 + east**2) / level**2
            laplacian = (north + south + west + east) / level
            variation = (0.5 * steepness - laplacian**2 / 16) / (1 + 0.25 * laplacian) ** 2
            excess = (np.maximum(variation, 0) - scale) / (scale * (1 + scale))
            flow = np.clip(1 / np.maximum(1 + excess, 1e-6), 0, 1)
            below = np.concatenate([flow[1:], flow[-1:]])
            right = np.concatenate([flow[:, 1:], flow[:, -1:]], axis=1)
            level = level + self.step / 4 * (below * south + flow * north + right * east + flow * west)
            level = np.maximum(level, 1.0)
        return np.clip(np.round(level - 1.0), 0, 255).astype(np.uint8)


def _speckle_scale(image: Pixels) -> float:
    rows, columns = image.shape[0] // 16, image.shape[1] // 16
    if not rows or not columns:
        return 0.3
    squares = image[: rows * 16, : columns * 16].reshape(rows, 16, columns, 16).swapaxes(1, 2)
    flat = squares.reshape(-1, 256).astype(np.float64) + 1.0
    means = flat.mean(axis=1)
    lit = flat[means > 11]
    if not len(lit):
        return 0.3
    return float(max(np.percentile(lit.std(axis=1) / lit.mean(axis=1), 5), 0.02))
