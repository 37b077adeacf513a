"""An image as a bag of square patches. Training cuts by the same function (`inference.recipes.pictures`), so that both
see the same ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Grid:
    """Squares of `size` px, `stride` px apart; at most `limit` of them."""

    size: int
    stride: int
    limit: int

    def side(self, height: int, width: int) -> int:
        """Of a patch: no image is smaller than its patches."""
        return min(self.size, height, width)

    def count(self, height: int, width: int) -> int:
        """How many patches an image of that size gives."""
        side = self.side(height, width)
        along = ((length - side) // self.stride + 1 for length in (height, width))
        return min(self.limit, int(np.prod(list(along))))

    def corners(self, image: NDArray[Any]) -> list[tuple[int, int]]:
        """Top and left of each patch, row by row. Of a grid of more than `limit`, those with the most contrast half are
        kept and thinned evenly, so that empty glass does not fill the bag."""
        height, width = image.shape[:2]
        side = self.side(height, width)
        found = [
            (y, x)
            for y in range(0, height - side + 1, self.stride)
            for x in range(0, width - side + 1, self.stride)
        ]
        if len(found) <= self.limit:
            return found
        contrast = np.array([float(image[y : y + side, x : x + side].std()) for y, x in found])
        keep = max(self.limit, len(found) // 2)
        rich = np.sort(np.argsort(-contrast, kind="stable")[:keep])
        chosen = rich[np.linspace(0, keep - 1, self.limit).round().astype(int)]
        return [found[int(index)] for index in chosen]

    def patches(self, image: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
        """What lies at the corners."""
        side = self.side(*image.shape[:2])
        return [image[y : y + side, x : x + side] for y, x in self.corners(image)]
