"""A tomosynthesis volume as one picture: the maximum suspicion projection of [55].

No set with volumes has an importer here; a detector of films reads one slice by slice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from inference.blocks.networks.boxes import suppressed
from inference.recipes.pictures import Picture
from inference.recipes.pipeline import Pipeline

#: Boxes of one lesion in several slices overlap by more.
_SAME = 0.3


def read_volume(pipeline: Pipeline, slices: Sequence[Picture]) -> tuple[Picture, NDArray[np.float64]]:
    """The projection, and what the detector says of it (boxes as `networks.boxes` gives them).

    Parameters
    ----------
    pipeline
        A fitted one whose task is to detect.
    slices
        All of one size, that of the recipe.

    Raises
    ------
    ValueError
        No slice, or a recipe that draws no boxes.
    """
    if not slices or pipeline.recipe.task.kind != "detect":
        raise ValueError("a volume needs at least one slice, and a recipe whose task is to detect")
    boxes = np.stack([pipeline.predict_alone(each) for each in slices])
    shown = Picture(projected(np.stack([each.image for each in slices]), boxes))
    return shown, pipeline.predict_alone(shown)


def projected(slices: NDArray[np.uint8], boxes: NDArray[Any]) -> NDArray[np.uint8]:
    """The middle slice, in which each suspicious place gives way to the slice that it is most suspicious in.

    Parameters
    ----------
    slices
        S×H×W, or S×H×W×3.
    boxes
        S×K×5, shares of width and height and a score; rows of score 0 are none.
    """
    count, height, width = slices.shape[:3]
    every = torch.from_numpy(boxes.reshape(-1, 5))
    scale = torch.tensor([width, height, width, height], dtype=every.dtype)
    there = torch.nonzero(every[:, 4] > 0)[:, 0]
    kept = there[suppressed(every[there, :4] * scale, every[there, 4], _SAME, len(there))]
    made: NDArray[np.uint8] = slices[count // 2].copy()
    for row in reversed(kept.tolist()):  # the most suspicious last, so that nothing covers it
        x0, y0, x1, y1 = (every[row, :4] * scale).tolist()
        left, top, right, bottom = int(x0), int(y0), int(np.ceil(x1)), int(np.ceil(y1))
        made[top:bottom, left:right] = slices[row // boxes.shape[1], top:bottom, left:right]
    return made
