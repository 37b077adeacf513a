"""What a reader of tissue fields learns from."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from inference.blocks.objectives.lesion import Objective
from inference.blocks.registry import block


@block("objective", "fields")
def fields(smoothing: float = 0.1) -> Objective:
    """Binary cross-entropy of labels in 0–1, `smoothing` of which is spread over both classes: outlines are coarse, so
    labels near a border are noise."""

    def objective(network: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        images, _, labels = batch
        smoothed = labels * (1 - smoothing) + smoothing / 2
        return F.binary_cross_entropy_with_logits(network(images.permute(0, 2, 3, 1)), smoothed)

    return objective
