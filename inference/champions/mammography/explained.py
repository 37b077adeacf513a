"""How the mammography champion is explained."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray

from inference.champions.explained import Canvas, Explained, Reading, flat, laid
from inference.runtime.mammography.preprocessing import working_canvas


def _film(pixels: NDArray[Any]) -> Canvas:
    canvas, breast, placement = working_canvas(pixels)
    return Canvas(canvas[None, None], laid(breast, placement, canvas.shape), placement)


EXPLAINED = Explained(
    preprocess=_film,
    # the films of the mass set are "benign" or "malignant", those of the other one "normal" or not
    reading=Reading(
        lambda outputs: {
            "malignancy": flat(outputs["malignancy"]),
            "malignant": flat(outputs["malignancy"]),
            "benign": -flat(outputs["malignancy"]),
            "abnormal": flat(outputs["abnormality"]),
            "normal": -flat(outputs["abnormality"]),
        },
        lambda outputs: (torch.sigmoid(outputs["outline"]) * torch.sigmoid(outputs["place"]))[:, 0],
        "malignant",
    ),
    stored_depth=True,
)
