"""How a champion's images and answers are read by `inference.explain`: what each champion's module `explained` says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inference.contract import ImageReference, ModelManifest
from inference.runtime.forward import Forward
from inference.runtime.geometry import Gray, Map, Placement

Outputs = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Canvas:
    """`tensor` uint8, one image as the network takes it (1×1×H×W, or 1×H×W×3 in colour); `picture` H×W, where
    it shows the image and not padding; `placement`, where it lies in the stored image."""

    tensor: NDArray[np.uint8]
    picture: NDArray[np.bool_]
    placement: Placement


#: Decoded pixels (H×W uint8 or uint16; H×W×3 uint8 in colour) → what the network takes.
Preprocess = Callable[[NDArray[Any]], Canvas]
#: Canvas → H×W: positive where the image speaks for the class, in log-odds (the map: 0–1).
Method = Callable[[Canvas], Map]


@dataclass(frozen=True)
class Reading:
    """How a model's outputs are read. `log_odds(outputs)[class]` N, of each class that can be asked about;
    `place(outputs)` N×h×w in 0–1, the malignancy map, None where the network has none; `positive`, the class
    that explanations are asked about when nothing else is said."""

    log_odds: Callable[[Outputs], dict[str, Tensor]]
    place: Callable[[Outputs], Tensor] | None
    positive: str


@dataclass(frozen=True)
class Explained:
    """What explaining a champion needs to know of it.

    Parameters
    ----------
    preprocess
        From decoded pixels to the network's canvas.
    reading
        How the outputs are read.
    through
        From the network to what answers about a canvas, where steps stand between them that no gradient passes; None
        where the network takes the canvas.
    colour
        Whether the network takes colour.
    stored_depth
        Whether `preprocess` takes grey values in the file's own depth instead of 8 bits.
    pointing_target
        The share of lesions that the served map must point into; None where nothing is promised.
    field_by_field
        Attributes an image that is too large for one canvas: its pixels for display, and the values of `Method` over
        the image (H×W); None where one canvas holds the image.
    """

    preprocess: Preprocess
    reading: Reading
    through: Callable[[Forward], Forward] | None = None
    colour: bool = False
    stored_depth: bool = False
    pointing_target: float | None = None
    field_by_field: (
        Callable[[ImageReference, ModelManifest, Method], tuple[NDArray[np.uint8], Map]] | None
    ) = None


def against_the_rest(logits: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
    """Log-odds (N) of each class of a softmax over N×K logits."""
    odds = {}
    for index, name in enumerate(names):
        others = torch.cat([logits[:, :index], logits[:, index + 1 :]], dim=1)
        odds[name] = logits[:, index] - torch.logsumexp(others, dim=1)
    return odds


def flat(logits: Tensor) -> Tensor:
    """The one logit of each row: N."""
    return logits.reshape(len(logits), -1)[:, 0]


def laid(mask: Gray, placement: Placement, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """A mask of the stored image (any value above 0 is inside) on the canvas of that placement.

    A canvas pixel is inside when half of it is; where nothing reaches half, the fullest pixels are, so that no
    small lesion vanishes.
    """
    x0, y0, x1, y1 = placement.crop
    part: Map = (mask[y0:y1, x0:x1] > 0).astype(np.float32)
    if placement.mirrored:
        part = np.ascontiguousarray(part[:, ::-1])
    small = cv2.resize(part, (placement.width, placement.height), interpolation=cv2.INTER_AREA)
    share = np.zeros(shape[:2], np.float32)
    share[
        placement.top : placement.top + placement.height, placement.left : placement.left + placement.width
    ] = small
    return np.asarray((share >= min(0.5, float(share.max()))) & (share > 0))
