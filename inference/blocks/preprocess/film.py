"""Where the breast is on a film, and on which side its chest wall: asked by serving and by blocks alike."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

_SEARCH_PX = 320
_FILM_EDGE = 0.015


def breast_mask(gray: Pixels) -> Pixels:
    """`gray` H×W uint8 → H×W uint8, 255 inside the largest bright region, holes filled; all 255 where no
    region is worth the name (the film is judged by the out-of-distribution gate then)."""
    shrink = min(1.0, _SEARCH_PX / max(gray.shape))
    if round(min(gray.shape) * shrink) > 0:
        thumbnail = cv2.resize(gray, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    else:  # a line of pixels
        sides = (max(1, round(side * shrink)) for side in reversed(gray.shape))
        thumbnail = cv2.resize(gray, tuple(sides), interpolation=cv2.INTER_AREA)
    small = np.asarray(cv2.GaussianBlur(thumbnail, (5, 5), 0), np.uint8)
    edge = max(1, round(_FILM_EDGE * min(small.shape)))
    level, _ = cv2.threshold(small, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    above = (small > max(level / 2.5, 8)).astype(np.uint8)
    above[:edge] = above[-edge:] = 0
    above = np.asarray(cv2.morphologyEx(above, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)), np.uint8)
    count, regions, stats, _ = cv2.connectedComponentsWithStats(above, connectivity=4)
    if count < 2:
        return np.full(gray.shape, 255, np.uint8)
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    if stats[largest, cv2.CC_STAT_AREA] < 0.02 * small.size:
        return np.full(gray.shape, 255, np.uint8)
    breast = (regions == largest).astype(np.uint8)
    outlines, _ = cv2.findContours(breast, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(breast, outlines, -1, 1, thickness=-1)
    closed = cv2.morphologyEx(breast, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    full = cv2.resize(closed * 255, (gray.shape[1], gray.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.where(full > 127, 255, 0).astype(np.uint8)


def chest_wall_on_right(mask: Pixels) -> bool:
    """True where the breast touches the right edge more than the left."""
    strip = max(1, mask.shape[1] // 20)
    columns = np.flatnonzero(mask.any(axis=0))
    inside = mask[:, columns[0] : columns[-1] + 1] if columns.size else mask
    tall = (inside > 0).sum(axis=0)
    if int(mask[:, :strip].sum()) != int(mask[:, -strip:].sum()):
        return int(mask[:, -strip:].sum()) > int(mask[:, :strip].sum())
    half = max(1, tall.size // 2)
    return bool(tall[-half:].sum() > tall[:half].sum())
