"""A mammogram of any size: find the breast, turn it to the left edge, stretch its grey values, crop, scale.

Labels, tape and film edges are separate bright regions, so that the largest region is the breast. The
pectoral muscle stays in: on a film read alone it helps to tell MLO from CC.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.runtime.geometry import Gray, Placement, lay_out

HEIGHT, WIDTH = 1152, 768
#: The mass network sees a quarter of the canvas, and looks closer at its half.
HALF, VIEW_SCALE = 2, 4
#: Side of a place, the unit of the film reader.
PLACE_PX = 32
_SEARCH_PX = 320
_FILM_EDGE = 0.015
PREPROCESSING: dict[str, object] = {
    "steps": [
        "breast = largest region above Otsu's threshold over 2.5",
        "grey values between the breast's 1st and 99.8th percentile stretched to 0–255, black outside",
        "mirrored so that the chest wall is on the left",
        "cropped to the breast, aspect kept, laid at the canvas's top left",
    ],
    "mass_network_scale": VIEW_SCALE,
    "closer_look_scale": HALF,
    "height_px": HEIGHT,
    "width_px": WIDTH,
    "version": 2,
}


def breast_mask(gray: Gray) -> Gray:
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


def chest_wall_on_right(mask: Gray) -> bool:
    """True where the breast touches the right edge more than the left."""
    strip = max(1, mask.shape[1] // 20)
    columns = np.flatnonzero(mask.any(axis=0))
    inside = mask[:, columns[0] : columns[-1] + 1] if columns.size else mask
    tall = (inside > 0).sum(axis=0)
    if int(mask[:, :strip].sum()) != int(mask[:, -strip:].sum()):
        return int(mask[:, -strip:].sum()) > int(mask[:, :strip].sum())
    half = max(1, tall.size // 2)
    return bool(tall[-half:].sum() > tall[:half].sum())


def working_canvas(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> tuple[Gray, Gray, Placement]:
    """`pixels` H×W uint8 or uint16, bright tissue on black.

    Returns the canvas (1152×768 uint8), the breast mask in stored pixels (H×W, 0 or 255) and the placement.
    """
    coarse = _stretch(pixels, pixels)
    mask = breast_mask(coarse)
    gray = _stretch(pixels, pixels[mask > 0], low=1.0, high=99.8)
    gray[mask == 0] = 0
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    crop = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    canvas, placement = lay_out(gray, crop, HEIGHT, WIDTH, mirrored=chest_wall_on_right(mask), centred=False)
    return canvas, mask, placement


def _stretch(
    pixels: NDArray[np.uint8] | NDArray[np.uint16],
    sample: NDArray[np.uint8] | NDArray[np.uint16],
    low: float = 0.0,
    high: float = 100.0,
) -> Gray:
    bottom, top = (
        float(value) for value in np.percentile(sample[:: max(1, sample.size // 500_000)], (low, high))
    )
    if top <= bottom:
        return np.zeros(pixels.shape, np.uint8)
    # through a table: a large film in float32 would take four times its own memory, and more time
    every = np.arange(np.iinfo(pixels.dtype).max + 1, dtype=np.float32)
    scaled = (every - bottom) * (255.0 / (top - bottom))
    return np.take(np.asarray(np.clip(scaled, 0, 255), np.uint8), pixels)


def network_input(canvas: Gray) -> NDArray[np.uint8]:
    """1×1×1152×768."""
    return np.ascontiguousarray(canvas[None, None])
