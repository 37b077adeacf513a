"""A mammogram of any size: find the breast, turn it to the left edge, stretch its grey values, crop, scale.

Labels, tape and film edges are separate bright regions, so that the largest region is the breast. The
pectoral muscle stays in: on a film read alone it helps to tell MLO from CC.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inference.blocks.preprocess.film import breast_mask, chest_wall_on_right
from inference.runtime.geometry import Gray, Placement, lay_out

HEIGHT, WIDTH = 1152, 768
#: The mass network sees a quarter of the canvas, and looks closer at its half.
HALF, VIEW_SCALE = 2, 4
#: Side of a place, the unit of the film reader.
PLACE_PX = 32
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
