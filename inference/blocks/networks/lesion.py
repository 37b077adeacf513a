"""One network that outlines a lesion and judges it: ultrasound frames, and masses on mammograms."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from inference.blocks.networks.decoder import Decoder, grey_to_input
from inference.blocks.networks.efficientnet import HEAD_CHANNELS, EfficientNetLite, effnet_lite0
from inference.blocks.networks.novelty import Novelty, statistics
from inference.blocks.registry import block


class LesionOutput(NamedTuple):
    """`logits` N×K; `outline` N×1×H/4×W/4, the lesion's logit a pixel; `malignancy` N×1×H/4×W/4, the logit
    that a lesion here would be malignant; `distance` N, see `Novelty`."""

    logits: Tensor
    outline: Tensor
    malignancy: Tensor
    distance: Tensor


class AssessedOutput(NamedTuple):
    """`LesionOutput`, and `assessment` N×C, logits of what a reader would have called the frame."""

    logits: Tensor
    outline: Tensor
    malignancy: Tensor
    distance: Tensor
    assessment: Tensor


class LesionNetwork(nn.Module):
    """Classification pools the last features twice: over the field, and where the outline is. With `categories` a
    second answer from the same pooled features: a reader's assessment in so many."""

    def __init__(
        self, backbone: EfficientNetLite, classes: int, channels: int = 64, categories: int = 0
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.decoder = Decoder(channels)
        self.outline = nn.Conv2d(channels, 1, 1)
        self.malignancy = nn.Conv2d(channels, 1, 1)
        self.dropout = nn.Dropout(0.3)
        self.classify = nn.Linear(2 * HEAD_CHANNELS + channels, classes)
        self.assess = nn.Linear(2 * HEAD_CHANNELS + channels, categories) if categories else None
        self.novelty = Novelty()
        assert self.outline.bias is not None
        nn.init.constant_(self.outline.bias, -2.0)  # lesions are the smaller part of a field

    @property
    def answers(self) -> tuple[str, ...]:
        """Names of what `forward` gives, in order."""
        return LesionOutput._fields if self.assess is None else AssessedOutput._fields

    def forward(self, x: Tensor) -> LesionOutput | AssessedOutput:
        """`x`: N×1×H×W in 0–255, uint8 or float; H and W multiples of 32."""
        pyramid = self.backbone.pyramid(grey_to_input(x))
        fine, _ = self.decoder(pyramid)
        outline, malignancy = self.outline(fine), self.malignancy(fine)
        features = self.backbone.head(pyramid.s32)
        where = torch.sigmoid(outline.detach())
        coarse = F.avg_pool2d(where, 8) + 1e-3
        in_lesion = (features * coarse).sum(dim=(2, 3)) / coarse.sum(dim=(2, 3))
        where = where + 1e-4
        texture = (fine * where).sum(dim=(2, 3)) / where.sum(dim=(2, 3))
        pooled = self.dropout(torch.cat([features.mean(dim=(2, 3)), in_lesion, texture], dim=1))
        said = LesionOutput(self.classify(pooled), outline, malignancy, self.novelty(pyramid))
        return said if self.assess is None else AssessedOutput(*said, self.assess(pooled))


@torch.no_grad()
def pooled_statistics(network: LesionNetwork, canvases: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What `Novelty` looks at: N×352 of N×H×W canvases."""
    return np.concatenate(
        [
            statistics(network.backbone.pyramid(grey_to_input(chunk))).numpy()
            for chunk in torch.from_numpy(canvases)[:, None].split(16)
        ]
    )


@block("network", "lesion", gives="objective")
def lesion(classes: int, decoder: int = 64, categories: int = 0) -> LesionNetwork:
    """EfficientNet-Lite0 with its ImageNet weights under a decoder of so many channels: outline, malignancy map and
    classes in one forward pass, and a reader's assessment in so many `categories`. For stages that name an
    objective."""
    return LesionNetwork(effnet_lite0(weights="imagenet"), classes, decoder, categories)
