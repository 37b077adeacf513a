"""How a recipe's network is explained: as its manifest says."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from inference.champions.explained import Canvas, Explained, Reading, against_the_rest
from inference.contract import ModelManifest
from inference.runtime.whole_image.pipeline import LOGITS, MAP
from inference.runtime.whole_image.preprocessing import is_rgb, network_input, placement_of, working_canvas


def explained(manifest: ModelManifest) -> Explained:
    """Of the version with that manifest."""
    rgb = is_rgb(manifest.preprocessing)

    def preprocess(pixels: NDArray[Any]) -> Canvas:
        shown = np.repeat(pixels[:, :, None], 3, axis=2) if rgb and pixels.ndim == 2 else pixels
        canvas = working_canvas(shown, manifest.preprocessing)
        placement = placement_of(shown.shape[1], shown.shape[0], manifest.preprocessing)
        return Canvas(network_input(canvas), np.ones(canvas.shape[:2], bool), placement)

    reading = Reading(
        lambda outputs: against_the_rest(outputs[LOGITS], manifest.classes),
        lambda outputs: torch.sigmoid(outputs[MAP])[:, 0],
        manifest.positive_class,
    )
    return Explained(preprocess=preprocess, reading=reading, colour=rgb)
