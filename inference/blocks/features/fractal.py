"""Fractal dimension by box counting: of an outline's area and margin, and of the grey surface ([61])."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.blocks.features.region import Mask, Pixels, Row, bounds, luma, region
from inference.blocks.registry import block


def box_counting(points: Mask) -> float:
    """The slope of log(boxes that hold a point) over log(1 / box edge), for edges 1, 2, 4 … half the extent.

    The points' box is laid into the corner of a square whose edge is a power of two. 0 where there are fewer
    than two sizes to fit a slope to.
    """
    if not points.any():
        return 0.0
    grid = points[bounds(points)]
    edge = 1 << max(0, int(np.ceil(np.log2(max(grid.shape)))))
    grid = np.pad(grid, ((0, edge - grid.shape[0]), (0, edge - grid.shape[1])))
    sizes, counts = [], []
    size = 1
    while size <= max(1, edge // 2):
        sizes.append(size)
        counts.append(int(grid.sum()))
        if grid.shape[0] < 2:
            break
        grid = grid[0::2, 0::2] | grid[1::2, 0::2] | grid[0::2, 1::2] | grid[1::2, 1::2]
        size *= 2
    if len(sizes) < 2:
        return 0.0
    return float(np.polyfit(-np.log(sizes), np.log(counts), 1)[0])


def surface_dimension(gray: Pixels, inside: Mask) -> float:
    """Differential box counting (Sarkar and Chaudhuri 1994) of the grey surface: 2 is flat, near 3 is rough.

    Only squares that lie wholly inside count. 2 where no two sizes have one.
    """
    box = bounds(inside)
    values, mask = gray[box].astype(np.float64), inside[box]
    shorter = min(values.shape)
    scales, logs = [], []
    size = 2
    while size <= max(2, shorter // 3):
        rows, columns = values.shape[0] // size, values.shape[1] // size
        if not rows or not columns:
            break
        squares = _squares(values, rows, columns, size)
        whole = _squares(mask, rows, columns, size).all(axis=1)
        if whole.any():
            # A box is as high, in grey levels of 0–256, as it is wide in shares of the region.
            height = 256 * size / shorter
            top, bottom = squares[whole].max(axis=1) // height, squares[whole].min(axis=1) // height
            boxes = float((top - bottom + 1).mean())
            scales.append(np.log(shorter / size))
            logs.append(np.log(boxes * (shorter / size) ** 2))
        size *= 2
    return float(np.polyfit(scales, logs, 1)[0]) if len(scales) > 1 else 2.0


def _squares(values: NDArray[Any], rows: int, columns: int, size: int) -> NDArray[Any]:
    cut = values[: rows * size, : columns * size].reshape(rows, size, columns, size)
    return cut.swapaxes(1, 2).reshape(rows * columns, size * size)


@block("features", "fractal")
@dataclass(frozen=True)
class Fractal:
    """Box-counting dimension of the outline's area and of its margin, and of the grey surface inside."""

    names: ClassVar[tuple[str, ...]] = ("fractal_area", "fractal_margin", "fractal_surface")

    def __call__(self, image: Pixels, mask: NDArray[Any] | None = None) -> Row:
        inside = region(image, mask)
        padded = np.pad(inside, 1)
        margin = padded & ~ndimage.binary_erosion(padded)
        return np.array(
            [box_counting(inside), box_counting(margin), surface_dimension(luma(image), inside)], np.float64
        )
