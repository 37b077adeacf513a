"""How a recipe's network is explained: as its manifest says."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from inference.champions.explained import Canvas, Explained, Reading, against_the_rest
from inference.contract import ModelManifest
from inference.runtime.forward import Forward, ForwardOutput
from inference.runtime.whole_image.pipeline import LOGITS, MAP
from inference.runtime.whole_image.preprocessing import (
    is_rgb,
    network_input,
    placement_of,
    sizes_of,
    working_canvas,
)
from inference.runtime.whole_image.steps import has_steps, steps_of


def explained(manifest: ModelManifest) -> Explained:
    """Of the version with that manifest."""
    rgb = is_rgb(manifest.preprocessing)

    with_steps = has_steps(manifest.preprocessing)
    # with steps the canvas is what they are given
    first = {**manifest.preprocessing, "sizes": sizes_of(manifest.preprocessing)[:1]}
    laid = first if with_steps else manifest.preprocessing

    def preprocess(pixels: NDArray[Any]) -> Canvas:
        shown = np.repeat(pixels[:, :, None], 3, axis=2) if rgb and pixels.ndim == 2 else pixels
        canvas = working_canvas(shown, laid)
        placement = placement_of(shown.shape[1], shown.shape[0], laid)
        return Canvas(network_input(canvas), np.ones(canvas.shape[:2], bool), placement)

    def through(forward: Forward) -> Forward:
        steps = steps_of(manifest)

        def answered(tensor: NDArray[Any], /) -> ForwardOutput:
            images = tensor if rgb else tensor[:, 0]
            return forward(np.concatenate([steps.tensor(image) for image in images]))

        return answered

    reading = Reading(
        lambda outputs: against_the_rest(outputs[LOGITS], manifest.classes),
        lambda outputs: torch.sigmoid(outputs[MAP])[:, 0],
        manifest.positive_class,
    )
    return Explained(
        preprocess=preprocess, reading=reading, through=through if with_steps else None, colour=rgb
    )
