"""An ultrasound frame on a square canvas: aspect kept (taller than wide is a sign of malignancy)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inference.preprocessing.geometry import Gray, Placement, lay_out

SIDE = 256
PREPROCESSING: dict[str, object] = {
    "steps": [
        "luma of colour frames",
        "aspect kept, centred on a black square",
        "network scales 0–255 to ±1",
    ],
    "side_px": SIDE,
    "test_time_mirror": True,
    "version": 1,
}


def working_canvas(gray: Gray) -> tuple[Gray, Placement]:
    """`gray` H×W uint8 → 256×256 uint8 and where it lies."""
    return lay_out(gray, (0, 0, gray.shape[1], gray.shape[0]), SIDE, SIDE)


def network_input(canvas: Gray) -> NDArray[np.uint8]:
    """The canvas and its mirror image, 2×1×256×256: their answers are averaged."""
    return np.ascontiguousarray(np.stack([canvas, canvas[:, ::-1]])[:, None])
