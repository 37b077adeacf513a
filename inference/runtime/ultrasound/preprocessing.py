"""An ultrasound frame on a square canvas, aspect kept (taller than wide is a sign of malignancy), and a second
canvas that looks closer at the place that the network outlined on the first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inference.runtime.geometry import Gray, Map, Placement, lay_out, resize

SIDE = 224
#: Of the closer look's canvas: a lesion comes out about as large as on the first, for half of the arithmetic.
CLOSER_SIDE = 160
#: The closer look takes the outline's longer side times this, …
CLOSER_MARGIN = 1.6
#: … never less than this share of the frame's longer side; where nothing is outlined, `CENTRE_SHARE` of it
#: around the middle.
CLOSER_LEAST = 0.25
CENTRE_SHARE = 0.6
#: Where the outline is looked for: this probability, or what comes near the map's own maximum.
CLOSER_LEVEL = 0.35
PREPROCESSING: dict[str, object] = {
    "steps": [
        "luma of colour frames",
        "aspect kept, centred on a black square",
        "a closer look at the outlined place on a square of its own; both answers are averaged",
        "network scales 0–255 to ±1",
    ],
    "side_px": SIDE,
    "closer_side_px": CLOSER_SIDE,
    "closer_margin": CLOSER_MARGIN,
    "closer_least": CLOSER_LEAST,
    "closer_level": CLOSER_LEVEL,
    "centre_share": CENTRE_SHARE,
    "version": 3,
}


def working_canvas(gray: Gray) -> tuple[Gray, Placement]:
    """`gray` H×W uint8 → 224×224 uint8 and where it lies."""
    return lay_out(gray, (0, 0, gray.shape[1], gray.shape[0]), SIDE, SIDE)


def closer_square(outline: Map, placement: Placement) -> tuple[float, float, float]:
    """Centre x, centre y and side, in stored pixels, of the square that deserves a closer look.

    `outline`: lesion probability over the first canvas, h×w at any resolution of it.
    """
    longest = max(placement.image_width, placement.image_height)
    inside = outline >= CLOSER_LEVEL
    if not inside.any():
        return placement.image_width / 2, placement.image_height / 2, CENTRE_SHARE * longest
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    down, across = SIDE / outline.shape[0], SIDE / outline.shape[1]
    x0, y0, x1, y1 = placement.box_to_image(
        (columns[0] * across, rows[0] * down, (columns[-1] + 1) * across, (rows[-1] + 1) * down)
    )
    side = max(CLOSER_MARGIN * max(x1 - x0, y1 - y0), CLOSER_LEAST * longest)
    return (x0 + x1) / 2, (y0 + y1) / 2, side


def closer_canvas(gray: Gray, square: tuple[float, float, float]) -> tuple[Gray, Placement]:
    """`square` (see `closer_square`) of `gray` on a canvas of its own, 160×160 uint8, black outside the frame."""
    x, y, side = square
    height, width = gray.shape
    x0, y0 = max(0, min(width - 1, round(x - side / 2))), max(0, min(height - 1, round(y - side / 2)))
    x1, y1 = max(x0 + 1, min(width, round(x + side / 2))), max(y0 + 1, min(height, round(y + side / 2)))
    scale = CLOSER_SIDE / side
    left, top = max(0, round((x0 - x + side / 2) * scale)), max(0, round((y0 - y + side / 2) * scale))
    across = max(1, min(CLOSER_SIDE - left, round((x1 - x0) * scale)))
    down = max(1, min(CLOSER_SIDE - top, round((y1 - y0) * scale)))
    canvas = np.zeros((CLOSER_SIDE, CLOSER_SIDE), np.uint8)
    canvas[top : top + down, left : left + across] = resize(gray[y0:y1, x0:x1], across, down)
    placement = Placement(
        width, height, (x0, y0, x1, y1), across / (x1 - x0), down / (y1 - y0), left, top, across, down
    )
    return canvas, placement


def network_input(canvas: Gray) -> NDArray[np.uint8]:
    """1×1×H×W of a canvas."""
    return np.ascontiguousarray(canvas[None, None])
