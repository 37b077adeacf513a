"""What the recipes of ultrasound and of masses on mammograms share: losses and pooled features."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from inference.blocks.networks.novelty import statistics
from inference.champions.lesion import LesionNetwork, LesionOutput


def outline_loss(output: LesionOutput, masks: Tensor) -> Tensor:
    """Cross-entropy plus soft Dice at a quarter of the resolution. `masks` float N×1×H×W in 0–1."""
    small = F.avg_pool2d(masks, 4)
    entropy = F.binary_cross_entropy_with_logits(output.outline, small)
    inside = torch.sigmoid(output.outline)
    overlap = (inside * small).sum(dim=(1, 2, 3))
    total = (inside + small).sum(dim=(1, 2, 3))
    dice = 1 - (2 * overlap + 1) / (total + 1)
    return entropy + dice.mean()


def place_loss(output: LesionOutput, masks: Tensor, malignant: Tensor) -> Tensor:
    """The malignancy map learns inside lesions only; outside them the outline says that nothing is there.
    `malignant` float N in 0–1."""
    small = F.avg_pool2d(masks, 4)
    target = malignant.view(-1, 1, 1, 1).expand_as(small)
    entropy = F.binary_cross_entropy_with_logits(output.malignancy, target, reduction="none")
    per_image = (entropy * small).sum(dim=(1, 2, 3)) / small.sum(dim=(1, 2, 3)).clamp(min=1)
    return per_image.mean()


@torch.no_grad()
def pooled_statistics(network: LesionNetwork, canvases: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What `Novelty` looks at: N×352 of N×H×W canvases."""
    from inference.blocks.networks.decoder import grey_to_input

    rows = []
    for chunk in torch.from_numpy(canvases)[:, None].split(16):
        rows.append(statistics(network.backbone(grey_to_input(chunk))).numpy())
    return np.concatenate(rows)
