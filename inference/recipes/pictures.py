"""From a sample to the pixels that a recipe works on. Names, folders and metadata end here: what goes on is an
array and, for training and for judging outlines, the truth's mask."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import UnidentifiedImageError

from inference.contract import Point
from inference.datasets.pixels import read_gray, read_joined_masks, read_rgb
from inference.datasets.sample import DatasetError, Sample
from inference.recipes import slides
from inference.recipes.provenance import Rows, Streamed
from inference.recipes.schema import NO_SIZE, Data, Patches, Size
from inference.runtime.whole_image.bags import Grid
from inference.runtime.whole_image.preprocessing import stretched


@dataclass(frozen=True)
class Picture:
    """`image`: uint8 H×W or H×W×3. `mask`: bool H×W, the truth or a segmentation of it; None where neither is."""

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_] | None = None


def read(samples: tuple[Sample, ...], data: Data) -> Rows:
    """Rows of `Picture` at the recipe's size; streamed where they would fill more than `data.memory_mb`. Of a table's
    samples their numbers, float64.

    Raises
    ------
    DatasetError
        A file that cannot be decoded, or a region to cut where no outline is; of streamed rows when they are looked at.
    """
    if data.size == NO_SIZE:
        return Rows(samples, tuple(np.array(sample.numbers) for sample in samples))
    height, width = data.size
    # three channels even of grey ones, and an outline: what a network's examples are
    streamed = Streamed(samples, lambda sample: _read(sample, data))
    if 4 * height * width * len(samples) > data.memory_mb * 1024**2:
        return Rows(samples, streamed)
    return Rows(samples, tuple(streamed))


def read_file(path: Path, data: Data) -> Picture:
    """One image without any truth, as in `read`.

    Raises
    ------
    DatasetError
        It cannot be decoded; the recipe cuts its regions from the truth, or reads a table.
    """
    if data.size == NO_SIZE:
        raise DatasetError(f"{path.name}: this recipe reads rows of numbers, and no images")
    if data.roi == "mask":
        raise DatasetError(
            f"{path.name}: this recipe cuts regions out by the truth's outline, a file has none"
        )
    if data.pyramid is not None:
        return Picture(_levels(path, data, None))
    return Picture(stretched(_pixels(path, data), data.size))


def _levels(path: Path, data: Data, place: Point | None) -> NDArray[np.uint8]:
    """The squares of a place of a slide, or of an image's middle, one under another."""
    assert data.pyramid is not None
    if place is not None:
        return slides.levels(path, place, data.pyramid, data.size[1], data.colour)
    if data.pyramid.um_per_px is not None:
        raise DatasetError(f"{path.name}: this recipe reads fields of slides, and no images")
    image = _pixels(path, data)
    middle = np.array(image.shape[:2]) / 2
    nearest = min(image.shape[:2]) / data.pyramid.levels[0] / 2
    squares = []
    for width in data.pyramid.levels:
        low, high = (
            np.round(middle - nearest * width).astype(int),
            np.round(middle + nearest * width).astype(int),
        )
        squares.append(stretched(image[low[0] : high[0], low[1] : high[1]], (data.size[1], data.size[1])))
    return np.concatenate(squares)


def _pixels(path: Path, data: Data) -> NDArray[np.uint8]:
    try:
        return read_rgb(path) if data.colour == "rgb" else read_gray(path)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise DatasetError(f"{path.name} cannot be decoded: {error}") from None


def _read(sample: Sample, data: Data) -> Picture:
    if data.pyramid is not None:
        return Picture(_levels(sample.path, data, sample.place))
    image = _pixels(sample.path, data)
    mask = _truth(sample, image.shape[0], image.shape[1])
    if data.roi == "mask":
        if mask is None or not mask.any():
            raise DatasetError(f"{sample.path.name} has no outline to cut its region by")
        top, bottom, left, right = _square(mask, data.margin)
        image, mask = image[top:bottom, left:right], mask[top:bottom, left:right]
    if mask is not None:
        height, width = data.size
        shrunk = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
        mask = np.asarray(shrunk, np.uint8) > 0
    return Picture(stretched(image, data.size), mask)


def _truth(sample: Sample, height: int, width: int) -> NDArray[np.bool_] | None:
    """Masks; or outlines of three points and more, holes cut out; or the ellipses in boxes (mini-MIAS marks
    circles)."""
    if sample.masks:
        return read_joined_masks(sample.masks, height, width) > 127
    if not sample.outlines and not sample.boxes:
        return None
    drawn = np.zeros((height, width), np.uint8)
    for outline in sample.outlines:
        if len(outline.points) >= 3:
            cv2.fillPoly(drawn, [np.round(outline.points).astype(np.int32)], 0 if outline.hole else 1)
    for x0, y0, x1, y1 in () if sample.outlines else sample.boxes:
        centre, axes = ((x0 + x1) / 2, (y0 + y1) / 2), (x1 - x0, y1 - y0)
        cv2.ellipse(drawn, (centre, axes, 0.0), 1, -1)
    return drawn > 0


def _square(mask: NDArray[np.bool_], margin: float) -> tuple[int, int, int, int]:
    """The outline's square with `margin` of its side around it, inside the image: top, bottom, left, right."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    half = max(rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1) * (0.5 + margin)
    y, x = (rows[0] + rows[-1] + 1) / 2, (columns[0] + columns[-1] + 1) / 2
    return (
        max(0, int(y - half)), min(mask.shape[0], int(np.ceil(y + half))),
        max(0, int(x - half)), min(mask.shape[1], int(np.ceil(x + half))),
    )  # fmt: skip


def region_of(picture: Picture, margin: float) -> Picture:
    """The square around the outline, `margin` of its side wider; the whole picture where nothing is outlined."""
    if picture.mask is None or not picture.mask.any():
        return picture
    top, bottom, left, right = _square(picture.mask, margin)
    return Picture(picture.image[top:bottom, left:right], picture.mask[top:bottom, left:right])


def instances(picture: Picture, patches: Patches | None, resize: Size | None) -> tuple[Picture, ...]:
    """The picture itself, or patches of it as `runtime.whole_image.bags` chooses them, brought to `resize`."""
    parts = (picture,) if patches is None else _cut(picture, grid_of(patches))
    if resize is None:
        return parts
    return tuple(_shrink(part, resize) for part in parts)


def grid_of(patches: Patches) -> Grid:
    """What a recipe says of patches, for whatever cuts them."""
    return Grid(patches.size, patches.stride, patches.limit)


def _shrink(part: Picture, size: Size) -> Picture:
    mask = part.mask
    if mask is not None:
        small = cv2.resize(mask.astype(np.uint8), (size[1], size[0]), interpolation=cv2.INTER_NEAREST)
        mask = np.asarray(small, np.uint8) > 0
    return replace(part, image=stretched(part.image, size), mask=mask)


def _cut(picture: Picture, grid: Grid) -> tuple[Picture, ...]:
    side, mask = grid.side(*picture.image.shape[:2]), picture.mask
    return tuple(
        Picture(
            picture.image[y : y + side, x : x + side],
            None if mask is None else mask[y : y + side, x : x + side],
        )
        for y, x in grid.corners(picture.image)
    )
