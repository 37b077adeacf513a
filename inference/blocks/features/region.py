"""What every feature starts from: luma, and the outline as a bool mask or the whole image."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Row = NDArray[np.float64]


class FeatureError(ValueError):
    """An image or outline from which a feature cannot be taken. One sentence."""


def luma(image: Pixels) -> Pixels:
    """H×W, or H×W×3 RGB → H×W uint8."""
    if image.ndim == 2:
        return np.ascontiguousarray(image)
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY), np.uint8)


def region(image: Pixels, mask: NDArray[Any] | None) -> Mask:
    """The outline's pixels, or all of them without an outline.

    Raises
    ------
    FeatureError
        An empty outline, or one of another size than the image.
    """
    if mask is None:
        return np.ones(image.shape[:2], bool)
    inside = np.asarray(mask) > 0
    if inside.shape != image.shape[:2]:
        raise FeatureError(f"an outline of {inside.shape} does not go with an image of {image.shape[:2]}")
    if not inside.any():
        raise FeatureError("the outline is empty")
    return inside


def bounds(inside: Mask) -> tuple[slice, slice]:
    """Rows and columns of the smallest box around the mask."""
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
