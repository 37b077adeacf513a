"""A film's breast: blacken what is outside it, turn it to the left edge, take the pectoral muscle away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.blocks.preprocess.film import breast_mask, chest_wall_on_right
from inference.blocks.registry import block

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

_SEARCH_PX = 192
_LINES_ACROSS, _LINES_DOWN = 48, 40
#: Grey levels (of a film stretched to 0–255) by which the muscle must stand out along its edge; below, none.
_MIN_STEP = 9.0


@block("preprocess", "breast_mask", colour="gray")
@dataclass(frozen=True)
class BreastMask:
    """Black outside the breast: labels, tape and film edges go."""

    def __call__(self, image: Pixels) -> Pixels:
        return np.where(breast_mask(image) > 0, image, 0).astype(np.uint8)


@block("preprocess", "side_flip", colour="gray")
@dataclass(frozen=True)
class SideFlip:
    """Mirror the film where the chest wall is on the right, so that every breast points to the right."""

    def __call__(self, image: Pixels) -> Pixels:
        return np.ascontiguousarray(image[:, ::-1]) if _on_right(image) else image.copy()

    def with_mask(self, image: Pixels, mask: Pixels) -> tuple[Pixels, Pixels]:
        if _on_right(image):
            return np.ascontiguousarray(image[:, ::-1]), np.ascontiguousarray(mask[:, ::-1])
        return image.copy(), mask.copy()


@block("preprocess", "pectoral_removal", colour="gray")
@dataclass(frozen=True)
class PectoralRemoval:
    """Black outside the breast and in the pectoral muscle; a film on which none stands out keeps its
    breast."""

    def __call__(self, image: Pixels) -> Pixels:
        breast = breast_mask(image) > 0
        return np.where(breast & ~pectoral_mask(image, breast), image, 0).astype(np.uint8)


def _on_right(image: Pixels) -> bool:
    return chest_wall_on_right(breast_mask(image))


def pectoral_mask(image: Pixels, breast: Mask) -> Mask:
    """The pectoral muscle of an oblique film: `image` and `breast` H×W → bool H×W, all False where none is
    seen.

    The muscle is the bright corner between the top edge and the chest wall. Of all lines that cut such a
    corner off, the one with the steepest fall of brightness along it is taken (the mean of steps clipped on
    both sides, so that a node or a label does not decide); each row's edge then moves to the steepest place
    nearby, and a smooth curve is laid through those places with outliers weighted down.
    """
    nothing = np.zeros(image.shape, bool)
    rows, columns = np.flatnonzero(breast.any(axis=1)), np.flatnonzero(breast.any(axis=0))
    if not rows.size:
        return nothing
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    mirrored = chest_wall_on_right(np.where(breast, 255, 0).astype(np.uint8))
    crop = np.where(breast, image, 0)[top:bottom, left:right]
    crop = np.ascontiguousarray(crop[:, ::-1] if mirrored else crop).astype(np.uint8)
    shrink = _SEARCH_PX / crop.shape[0]
    size = (max(16, round(crop.shape[1] * shrink)), _SEARCH_PX)
    edges = _edge_by_row(np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_AREA), np.uint8))
    if edges is None:
        return nothing
    scale = crop.shape[1] / size[0]
    at = (np.arange(crop.shape[0]) + 0.5) * _SEARCH_PX / crop.shape[0] - 0.5
    limits = np.interp(at, np.arange(_SEARCH_PX), edges) * scale
    muscle = np.arange(crop.shape[1])[None, :] < limits[:, None]
    nothing[top:bottom, left:right] = muscle[:, ::-1] if mirrored else muscle
    return nothing & breast


def _edge_by_row(small: Pixels) -> NDArray[np.float64] | None:
    """The muscle's right edge in each row of a film with its chest wall on the left; None where none is
    seen."""
    height = small.shape[0]
    lit = small[small > 0]
    bottom, top = np.percentile(lit, (2, 99)) if lit.size else (0.0, 0.0)
    widths = (small > 0).sum(axis=1)
    # Only an oblique view leaves the film through the armpit; a craniocaudal breast closes at the top.
    if top <= bottom or widths[:4].mean() < 0.3 * widths.max():
        return None
    blurred = cv2.GaussianBlur(np.asarray(cv2.medianBlur(small, 5), np.float32), (0, 0), 2.0)
    smooth = np.clip((blurred - bottom) * (255.0 / (top - bottom)), 0, 255).astype(np.float32)
    line = _best_line(smooth, small > 0)
    if line is None:
        return None
    across, down = line
    rows = np.arange(height)
    straight = np.where(rows < down, across * (1 - rows / down), 0.0)
    return _bent_to_edges(smooth, straight, round(down))


def _best_line(smooth: NDArray[np.float32], inside: Mask) -> tuple[float, float] | None:
    """Intercepts (x on the top edge, y on the chest wall) of the line with the steepest fall across it."""
    height, width = smooth.shape
    reach = 5.0
    best, found = _MIN_STEP, None
    share = np.linspace(0.06, 0.94, 40)
    for down in np.linspace(0.22, 0.98, _LINES_DOWN) * height:
        for across in np.linspace(0.14, 0.95, _LINES_ACROSS) * width:
            slope = across / down
            if not 0.2 <= slope <= 1.3:  # 11° to 52° from the chest wall; a breast's own edge is flatter
                continue
            length = float(np.hypot(across, down))
            normal_x, normal_y = down / length, across / length
            xs, ys = across * share, down * (1 - share)
            outer_x = np.rint(xs + reach * normal_x).astype(int)
            outer_y = np.rint(ys + reach * normal_y).astype(int)
            inner_x = np.rint(xs - reach * normal_x).astype(int)
            inner_y = np.rint(ys - reach * normal_y).astype(int)
            seen = (outer_x < width) & (outer_y < height) & (inner_x >= 0) & (inner_y >= 0)
            if seen.sum() < 0.8 * share.size:
                continue
            outer_x, outer_y, inner_x, inner_y = outer_x[seen], outer_y[seen], inner_x[seen], inner_y[seen]
            # The skin is a steep fall too: a line that leaves the breast is no muscle's edge.
            if inside[outer_y, outer_x].mean() < 0.85:
                continue
            steps = smooth[inner_y, inner_x] - smooth[outer_y, outer_x]
            score = float(np.clip(steps, -20, 40).mean()) - 0.25 * float(steps.std())
            if score > best:
                best, found = score, (float(across), float(down))
    return found


def _bent_to_edges(
    smooth: NDArray[np.float32], straight: NDArray[np.float64], down: int
) -> NDArray[np.float64]:
    """`straight` (an edge's column for each row) moved to the steepest fall nearby, along a robust cubic."""
    width = smooth.shape[1]
    rows = np.arange(min(down, smooth.shape[0]))
    fall = np.zeros_like(smooth)
    fall[:, 2:-2] = smooth[:, :-4] - smooth[:, 4:]
    offsets = np.arange(-9, 10)
    columns = np.clip(np.rint(straight[rows])[:, None].astype(int) + offsets, 0, width - 1)
    steep = np.clip(fall[rows[:, None], columns], 0, None) * np.exp(-((offsets / 7.0) ** 2))
    places = columns[np.arange(rows.size), steep.argmax(axis=1)].astype(float)
    trust = np.clip(steep.max(axis=1) / 20.0, 0.05, 1.0)
    heights = rows / max(1, rows.size - 1)
    shift = places - straight[rows]
    weights = trust.copy()
    curve: NDArray[np.floating[Any]] = np.zeros(rows.size)
    for _ in range(5):
        curve = np.polyval(np.polyfit(heights, shift, 3, w=np.sqrt(weights)), heights)
        weights = trust / (1 + ((shift - curve) / 3.0) ** 2)
    bent = straight.copy()
    bent[rows] = np.clip(straight[rows] + np.clip(curve, -9, 9), 0, width)
    bent[rows.size :] = 0.0
    return bent
