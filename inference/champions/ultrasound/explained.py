"""How the ultrasound champion is explained."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from inference.champions.explained import Canvas, Explained, Reading, against_the_rest, laid
from inference.runtime.ultrasound.pipeline import CLASSES
from inference.runtime.ultrasound.preprocessing import working_canvas


def _frame(pixels: NDArray[Any]) -> Canvas:
    canvas, placement = working_canvas(pixels)
    return Canvas(
        canvas[None, None], laid(np.ones(pixels.shape, np.uint8), placement, canvas.shape), placement
    )


EXPLAINED = Explained(
    preprocess=_frame,
    reading=Reading(
        lambda outputs: against_the_rest(outputs["logits"], CLASSES),
        lambda outputs: (torch.sigmoid(outputs["outline"]) * torch.sigmoid(outputs["malignancy"]))[:, 0],
        "malignant",
    ),
    pointing_target=0.80,
)
