"""A reader of single fields of tissue: what is fitted to labelled fields."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from inference.blocks.networks.decoder import colour_to_input
from inference.blocks.networks.efficientnet import (
    HEAD_CHANNELS,
    EfficientNetLite,
    effnet_lite0,
    effnet_lite1,
)
from inference.blocks.registry import block

#: The field is enlarged inside the graph: the wire carries 50×50, the backbone sees details of 2 µm.
NETWORK_PX = 96


def prepare(x: Tensor) -> Tensor:
    """N×50×50×3 in 0–255 → N×3×96×96, normalised."""
    size = (NETWORK_PX, NETWORK_PX)
    return F.interpolate(colour_to_input(x), size=size, mode="bilinear", align_corners=False)


class FieldReader(nn.Module):
    """A backbone, mean pooling, one linear layer."""

    def __init__(self, backbone: EfficientNetLite) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(0.3)
        self.classify = nn.Linear(HEAD_CHANNELS, 1)

    def pooled(self, x: Tensor) -> Tensor:
        """Prepared fields N×3×96×96 → N×1280."""
        features: Tensor = self.backbone(x)
        return features.mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """`x`: N×50×50×3 in 0–255 → N logits."""
        logits: Tensor = self.classify(self.dropout(self.pooled(prepare(x))))[:, 0]
        return logits


def mirrored(fields: Tensor) -> tuple[Tensor, ...]:
    """N×H×W×3 and its three mirror images."""
    return fields, torch.flip(fields, (2,)), torch.flip(fields, (1,)), torch.flip(fields, (1, 2))


@torch.no_grad()
def chances(reader: nn.Module, fields: Tensor, place: torch.device) -> NDArray[np.float32]:
    """The probability that a reader gives each of `fields`, of mirrored copies together: N."""
    reader.to(place).eval()
    rows = [
        torch.stack([reader(turned) for turned in mirrored(chunk.to(place))]).mean(dim=0).sigmoid().cpu()
        for chunk in fields.split(64)
    ]
    return np.asarray(torch.cat(rows).numpy(), np.float32)


@block("network", "field_reader", gives="objective")
def field_reader(
    backbone: Literal["effnet_lite0", "effnet_lite1"] = "effnet_lite0", own_statistics: bool = False
) -> FieldReader:
    """A reader over ImageNet weights, which keeps their batch statistics or learns its own. For stages that name an
    objective."""
    body = (effnet_lite0 if backbone == "effnet_lite0" else effnet_lite1)(weights="imagenet")
    body.fixed_statistics = not own_statistics
    return FieldReader(body)
