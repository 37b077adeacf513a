"""What a detector is taught by: where lesions are, or only that there is one ([55]'s second and third stage).

The truth is the mask N×1×H×W (0…1) of the lesions that are to be found, which augmentation moves with the image; an
image whose mask is empty has none.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from inference.blocks.losses import Loss
from inference.blocks.networks.boxes import boxes_of, encoded, overlap
from inference.blocks.registry import block


@block("loss", "retina", takes="boxes")
def retina(alpha: float = 0.25, gamma: float = 2.0, near: float = 0.5, far: float = 0.4) -> Loss:
    """Focal loss over all anchors and smooth L1 of those on a lesion, divided by how many these are (Lin 2017).

    An anchor that overlaps a lesion by `near` is on it, and so is the nearest one of every lesion; below `far` it lies
    beside; between the two it does not count.
    """
    if not 0 <= far <= near <= 1 or not 0 < alpha < 1 or gamma < 0:
        raise ValueError("retina: 0 ≤ far ≤ near ≤ 1, 0 < alpha < 1 and gamma of at least 0")

    def loss(outputs: Any, truth: Tensor) -> Tensor:
        judged: Tensor = outputs.logits.new_zeros(())
        placed, count = judged, 0
        for logits, deltas, mask in zip(outputs.logits, outputs.deltas, truth[:, 0], strict=True):
            target = torch.zeros_like(logits)
            counts = torch.ones_like(logits, dtype=torch.bool)
            lesions = boxes_of(mask)
            if len(lesions):
                shared = overlap(outputs.anchors, lesions)
                best, which = shared.max(dim=1)
                nearest = shared.argmax(dim=0)
                on = best >= near
                on[nearest] = True
                which[nearest] = torch.arange(len(lesions), device=which.device)
                counts = on | (best < far)
                target = on.to(logits.dtype)
                placed = placed + F.smooth_l1_loss(
                    deltas[on], encoded(lesions[which[on]], outputs.anchors[on]), beta=1 / 9, reduction="sum"
                )
                count += int(on.sum())
            surprise = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
            weight = torch.where(target > 0, alpha, 1 - alpha) * (1 - torch.exp(-surprise)) ** gamma
            judged = judged + (weight * surprise)[counts].sum()
        return (judged + placed) / max(1, count)

    return loss


@block("loss", "strongest_box", takes="boxes")
def strongest_box(share: float = 0.0) -> Loss:
    """Cross-entropy of the image's answer, which is that of its surest box (multiple-instance learning by maximum): all
    that is used of the truth is whether there is a lesion. `share` of the retina loss is added, so that boxes stay
    where they are."""
    located = retina()

    def loss(outputs: Any, truth: Tensor) -> Tensor:
        label = (truth.flatten(1).amax(dim=1) > 0.5).to(outputs.logits.dtype)
        said: Tensor = F.binary_cross_entropy_with_logits(outputs.logits.amax(dim=1), label)
        return said + share * located(outputs, truth) if share else said

    return loss
