"""The grey values of an image themselves, for classifiers that learn what to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.blocks.features.region import Pixels, Row, luma
from inference.blocks.registry import block


@block("features", "pixels")
@dataclass(frozen=True)
class GreyValues:
    """`size`² grey values in 0–1 of the image as a whole; an outline plays no part."""

    size: int = 16

    @property
    def names(self) -> tuple[str, ...]:
        """Row by row."""
        return tuple(f"pixel_{y}_{x}" for y in range(self.size) for x in range(self.size))

    def __call__(self, image: Pixels, mask: NDArray[Any] | None = None) -> Row:
        small = cv2.resize(luma(image), (self.size, self.size), interpolation=cv2.INTER_AREA)
        return np.asarray(small, np.float64).ravel() / 255
