"""Where a working canvas lies in the stored image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.contract import Box, Point
from inference.runtime.budget import Array, afford

Gray = NDArray[np.uint8]
Map = NDArray[np.float32]
Stored = TypeVar("Stored", NDArray[np.uint8], NDArray[np.uint8] | NDArray[np.uint16])
_MOST_SQUARED = 32_000_000


@dataclass(frozen=True)
class Placement:
    """A crop of the stored image, mirrored perhaps, scaled and laid on a canvas at (`left`, `top`).

    `crop` is `(x0, y0, x1, y1)` in stored pixels; `scale_x`, `scale_y` are canvas pixels per stored pixel.
    """

    image_width: int
    image_height: int
    crop: tuple[int, int, int, int]
    scale_x: float
    scale_y: float
    left: int
    top: int
    width: int
    height: int
    mirrored: bool = False

    def point_to_image(self, x: float, y: float) -> Point:
        """A canvas point (continuous; edges are whole numbers) in stored pixels, clipped to the crop."""
        x0, y0, x1, y1 = self.crop
        across = (x - self.left) / self.scale_x
        across = x1 - across if self.mirrored else x0 + across
        down = y0 + (y - self.top) / self.scale_y
        return min(max(across, x0), x1), min(max(down, y0), y1)

    def box_to_image(self, box: Box) -> Box:
        """A canvas box in stored pixels; mirrored back, so that x0 < x1 still holds."""
        ax, ay = self.point_to_image(box[0], box[1])
        bx, by = self.point_to_image(box[2], box[3])
        return min(ax, bx), min(ay, by), max(ax, bx), max(ay, by)

    def scaled(self, factor: float) -> Placement:
        """The same canvas in pixels `factor` times as fine."""
        left, top = round(self.left * factor), round(self.top * factor)
        return replace(
            self, scale_x=self.scale_x * factor, scale_y=self.scale_y * factor, left=left, top=top,
            width=round((self.left + self.width) * factor) - left,
            height=round((self.top + self.height) * factor) - top,
        )  # fmt: skip

    def onto(self, width: int, height: int) -> Placement:
        """The same canvas over the image as stored, `width`×`height`, of which this one's image is a resampling."""
        across, down = width / self.image_width, height / self.image_height
        if (across, down) == (1.0, 1.0):
            return self
        x0, y0 = round(self.crop[0] * across), round(self.crop[1] * down)
        x1, y1 = max(x0 + 1, round(self.crop[2] * across)), max(y0 + 1, round(self.crop[3] * down))
        return replace(
            self, image_width=width, image_height=height, crop=(x0, y0, x1, y1),
            scale_x=self.width / (x1 - x0), scale_y=self.height / (y1 - y0),
        )  # fmt: skip

    def map_to_image(self, canvas: Map, *, longest: int | None = None) -> Map:
        """A map over the canvas (H×W, any resolution of it) as a map over the whole stored image, zero
        outside the crop. `longest` bounds the longer side of what is returned; None keeps the image's size.
        """
        x0, y0, x1, y1 = self.crop
        if longest is None:
            # the map, and its part inside the crop before it is laid there
            afford(self.image_width, self.image_height, None, Array(self.image_width, self.image_height, 8))
        shrink = 1.0 if longest is None else min(1.0, longest / max(self.image_width, self.image_height))
        out = np.zeros(
            (max(1, round(self.image_height * shrink)), max(1, round(self.image_width * shrink))), np.float32
        )
        rows = slice(round(y0 * shrink), max(round(y0 * shrink) + 1, round(y1 * shrink)))
        columns = slice(round(x0 * shrink), max(round(x0 * shrink) + 1, round(x1 * shrink)))
        target = out[rows, columns]
        inside = canvas[self.top : self.top + self.height, self.left : self.left + self.width]
        if self.mirrored:
            inside = inside[:, ::-1]
        resized = cv2.resize(
            np.ascontiguousarray(inside), (target.shape[1], target.shape[0]), interpolation=cv2.INTER_LINEAR
        )
        target[:] = resized
        return out


def resize(image: Gray, width: int, height: int) -> Gray:
    """Area averaging when shrinking, bilinear when growing: no aliasing, no ringing."""
    afford(image.shape[1], image.shape[0], None, Array(width, height, 1))
    shrinking = width < image.shape[1] and height < image.shape[0]
    how = cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=how), np.uint8)


def squared_size(width: int, height: int, aspect: float) -> tuple[int, int]:
    """Width and height of an image with square pixels, whose own are `aspect` times as high as wide: the coarser
    direction is enlarged, or the finer one averaged where the result would have more than `_MOST_SQUARED` pixels."""
    if aspect == 1.0:
        return width, height
    larger = (width, round(height * aspect)) if aspect > 1 else (round(width / aspect), height)
    smaller = (round(width / aspect), height) if aspect > 1 else (width, round(height * aspect))
    across, down = larger if larger[0] * larger[1] <= _MOST_SQUARED else smaller
    return max(1, across), max(1, down)


def square_pixels(values: Stored, aspect: float) -> Stored:
    """`values` H×W, whose pixels are `aspect` times as high as wide, with square pixels (`squared_size`)."""
    if aspect == 1.0:
        return values
    height, width = values.shape
    across, down = squared_size(width, height, aspect)
    afford(width, height, None, Array(across, down, values.itemsize))
    grows = across * down >= width * height
    how = cv2.INTER_LINEAR if grows else cv2.INTER_AREA
    return cast(Stored, cv2.resize(values, (across, down), interpolation=how))


def lay_out(
    image: Gray, crop: tuple[int, int, int, int], canvas_height: int, canvas_width: int, *,
    mirrored: bool = False, centred: bool = True,
) -> tuple[Gray, Placement]:  # fmt: skip
    """Crop `image` (H×W uint8), mirror it, scale it to fit the canvas, aspect kept, pad with black."""
    x0, y0, x1, y1 = crop
    part = image[y0:y1, x0:x1]
    if mirrored:
        part = np.ascontiguousarray(part[:, ::-1])
    scale = min(canvas_height / part.shape[0], canvas_width / part.shape[1])
    width = min(canvas_width, max(1, round(part.shape[1] * scale)))
    height = min(canvas_height, max(1, round(part.shape[0] * scale)))
    left, top = ((canvas_width - width) // 2, (canvas_height - height) // 2) if centred else (0, 0)
    canvas = np.zeros((canvas_height, canvas_width), np.uint8)
    canvas[top : top + height, left : left + width] = resize(part, width, height)
    placement = Placement(
        image.shape[1], image.shape[0], crop, width / part.shape[1], height / part.shape[0],
        left, top, width, height, mirrored,
    )  # fmt: skip
    return canvas, placement
