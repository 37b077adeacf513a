"""Histopathology: 0.2 mm fields at 4 µm per pixel → the logit of invasive carcinoma of each, and how much each
should count for the whole image.

Readers of different depth look at every field and are averaged. The attention is gated (Ilse 2018); an
image's logit is the attention-weighted mean of its fields' logits, so that a single field keeps its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inference.blocks.networks.backbone import HEAD_CHANNELS, EfficientNetLite0
from inference.blocks.networks.decoder import colour_to_input
from inference.blocks.networks.novelty import Novelty

#: The field is enlarged inside the graph: the wire carries 50×50, the backbone sees details of 2 µm.
NETWORK_PX = 96


class FieldOutput(NamedTuple):
    """`logit` N; `attention` N, before the softmax over an image's fields; `distance` N."""

    logit: Tensor
    attention: Tensor
    distance: Tensor


def prepare(x: Tensor) -> Tensor:
    """N×50×50×3 in 0–255 → N×3×96×96, normalised."""
    size = (NETWORK_PX, NETWORK_PX)
    return F.interpolate(colour_to_input(x), size=size, mode="bilinear", align_corners=False)


class FieldReader(nn.Module):
    """A backbone, mean pooling, one linear layer: what is fitted to labelled fields."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(0.3)
        self.classify = nn.Linear(HEAD_CHANNELS, 1)

    def pooled(self, x: Tensor) -> Tensor:
        """Prepared fields N×3×96×96 → N×1280."""
        if isinstance(self.backbone, EfficientNetLite0):
            x = self.backbone.head(self.backbone(x).s32)
        else:
            x = self.backbone(x)
        return x.mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """`x`: N×50×50×3 in 0–255 → N logits."""
        logits: Tensor = self.classify(self.dropout(self.pooled(prepare(x))))[:, 0]
        return logits


class FieldAttention(nn.Module):
    """How much a field counts, from its 1280 pooled features, before the softmax."""

    def __init__(self, hidden: int = 64) -> None:
        super().__init__()
        self.content = nn.Linear(HEAD_CHANNELS, hidden)
        self.gate = nn.Linear(HEAD_CHANNELS, hidden)
        self.score = nn.Linear(hidden, 1, bias=False)

    def forward(self, pooled: Tensor) -> Tensor:
        """N×1280 → N."""
        hidden = torch.tanh(self.content(pooled)) * torch.sigmoid(self.gate(pooled))
        scores: Tensor = self.score(hidden)[:, 0]
        return scores


class FieldNetwork(nn.Module):
    """The served network: readers whose logits are averaged, the attention over the first one's features, the
    novelty gate over its pyramid."""

    def __init__(self, readers: Sequence[FieldReader]) -> None:
        super().__init__()
        assert isinstance(readers[0].backbone, EfficientNetLite0), "the novelty gate looks at its pyramid"
        self.first = readers[0]
        self.others = nn.ModuleList(readers[1:])
        self.attention = FieldAttention()
        self.novelty = Novelty()

    def forward(self, x: Tensor) -> FieldOutput:
        """`x`: N×50×50×3 in 0–255, uint8 or float."""
        fields = prepare(x)
        backbone = self.first.backbone
        assert isinstance(backbone, EfficientNetLite0)
        pyramid = backbone(fields)
        pooled = backbone.head(pyramid.s32).mean(dim=(2, 3))
        logit = self.first.classify(pooled)[:, 0]
        for other in self.others:
            assert isinstance(other, FieldReader)
            logit = logit + other.classify(other.pooled(fields))[:, 0]
        return FieldOutput(logit / (1 + len(self.others)), self.attention(pooled), self.novelty(pyramid))
