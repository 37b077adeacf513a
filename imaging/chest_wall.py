"""At which border of a mammogram the breast is cut: the chest wall, read in the pixels.

Used to doubt what a header says, never to turn an image against it. So it answers only where the picture is plain: film
borders, markers, collimator edges, views that cross the whole picture and inverted pictures have no answer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from imaging.pixels import Pixels

Border = Literal["left", "right", "top", "bottom"]

#: The picture is looked at this small; the breast's outline survives it, speckle and small markers do not.
_SIDE = 96
_SAMPLED_SIDE = 384
#: How much of the breast's extent lies at the border where it is cut, and at most at the one across from it.
_CUT, _TAPERS = 0.55, 0.42
_LEAST_AREA, _MOST_AREA = 0.04, 0.85


def chest_wall_of(pixels: Pixels) -> Border | None:
    """`chest_wall` of a grey image as a reader sees it: every few rows and columns of it, for an outline needs no more
    and a mammogram has millions of pixels. None for colour."""
    if pixels.values.ndim != 2:
        return None
    step = sampled_every(*pixels.values.shape)
    return chest_wall(replace(pixels, values=pixels.values[::step, ::step]).display(), bright_is_dense=True)


def sampled_every(rows: int, columns: int) -> int:
    """Which rows and columns an outline is looked for in: the first, and every so many further on."""
    return max(1, min(rows, columns) // _SAMPLED_SIDE)


def chest_wall(values: NDArray[np.generic], *, bright_is_dense: bool) -> Border | None:
    """The border at which the breast is cut, None where the picture does not say so plainly.

    Parameters
    ----------
    values
        H×W stored values of any integer type.
    bright_is_dense
        Whether high values are dense tissue (MONOCHROME2); false for MONOCHROME1.
    """
    if values.ndim != 2 or min(values.shape) < 32:
        return None
    small = _shrunk(values)
    if not bright_is_dense:
        small = small.max() - small
    small = _without_frame(small)
    if min(small.shape) < 16:
        return None
    breast = _breast(small)
    if breast is None:
        return None
    across = _cut_side(breast, "left", "right")
    along = _cut_side(breast.T, "top", "bottom")
    if across is None or along is None:
        return _touching(across or along, breast)
    # An oblique view has the armpit at the top: what tapers more is cut on the other side.
    (side, contrast), (other, other_contrast) = across, along
    if contrast > 1.5 * other_contrast:
        return _touching((side, contrast), breast)
    if other_contrast > 1.5 * contrast:
        return _touching((other, other_contrast), breast)
    return None


def _shrunk(values: NDArray[np.generic]) -> NDArray[np.float64]:
    """Block means, at most `_SIDE` in each direction."""
    step = [max(1, -(-length // _SIDE)) for length in values.shape]
    rows, columns = (length // size * size for length, size in zip(values.shape, step, strict=True))
    blocks = values[:rows, :columns].reshape(rows // step[0], step[0], columns // step[1], step[1])
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float64))


def _without_frame(small: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without the white edges of a film or a scanner: lines of one bright value from border to border."""
    low, high = float(small.min()), float(small.max())
    span = (high - low) or 1.0
    for _ in range(4):
        for _ in range(small.shape[0] // 2):
            line = small[0]
            if small.shape[0] < 16 or np.median(line) < low + 0.8 * span or np.ptp(line) > 0.2 * span:
                break
            small = small[1:]
        small = np.rot90(small)
    return small


def _breast(small: NDArray[np.float64]) -> NDArray[np.bool_] | None:
    """The largest connected part above the air, cut to its extent in the picture's frame."""
    low, high = np.percentile(small, [1, 99])
    if high - low <= 0:
        return None
    scaled = np.clip((small - low) / (high - low), 0, 1)
    threshold = _otsu(scaled)
    # Air is the darkest and the smoothest part. Where the smooth part is bright it is inverted.
    dark, bright = float((scaled < 0.08).mean()), float((scaled > 0.97).mean())
    if dark < 0.1 or bright > 0.3:
        return None
    labels, count = ndimage.label(scaled > 0.5 * threshold)
    if count == 0:
        return None
    sizes = np.bincount(labels.ravel())[1:]
    largest = int(sizes.argmax()) + 1
    area = sizes[largest - 1] / small.size
    others = (sizes.sum() - sizes[largest - 1]) / small.size
    if not _LEAST_AREA <= area <= _MOST_AREA or others > 0.5 * area:
        return None
    mask: NDArray[np.bool_] = ndimage.binary_fill_holes(
        ndimage.binary_opening(labels == largest, iterations=1)
    )
    return mask if mask.any() else None


def _otsu(scaled: NDArray[np.float64]) -> float:
    """The threshold that parts the values into the two most even groups."""
    counts, edges = np.histogram(scaled, bins=64, range=(0, 1))
    centres = (edges[:-1] + edges[1:]) / 2
    weight = np.cumsum(counts).astype(float)
    mean = np.cumsum(counts * centres)
    total, sum_ = weight[-1], mean[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (sum_ * weight / total - mean) ** 2 / (weight * (total - weight))
    return float(centres[int(np.nanargmax(between[:-1]))])


def _cut_side(mask: NDArray[np.bool_], low: Border, high: Border) -> tuple[Border, float] | None:
    """The side of the mask's extent, along its columns, that it fills while the other side tapers; and how plainly."""
    columns = np.flatnonzero(mask.any(axis=0))
    rows = np.flatnonzero(mask.any(axis=1))
    box = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    depth = max(1, box.shape[1] // 14)
    first, last = float(box[:, :depth].mean()), float(box[:, -depth:].mean())
    if first >= _CUT and last <= _TAPERS:
        return low, first - last
    if last >= _CUT and first <= _TAPERS:
        return high, last - first
    return None


def _touching(found: tuple[Border, float] | None, mask: NDArray[np.bool_]) -> Border | None:
    """The border, if the breast does reach it: a cut edge inside the picture is a collimator's or a paddle's."""
    if found is None:
        return None
    border, contrast = found
    if contrast < 0.3:
        return None
    edge = {
        "left": mask[:, :4],
        "right": mask[:, -4:],
        "top": mask[:4],
        "bottom": mask[-4:],
    }[border]
    along = edge.any(axis=1 if border in ("left", "right") else 0)
    extent = mask.any(axis=1 if border in ("left", "right") else 0)
    return border if along.sum() >= 0.5 * extent.sum() else None
