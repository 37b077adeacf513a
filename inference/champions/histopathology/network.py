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

from inference.blocks.networks.efficientnet import HEAD_CHANNELS
from inference.blocks.networks.fields import FieldReader, prepare
from inference.blocks.networks.novelty import Novelty


class FieldOutput(NamedTuple):
    """`logit` N; `attention` N, before the softmax over an image's fields; `distance` N."""

    logit: Tensor
    attention: Tensor
    distance: Tensor


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
        self.first = readers[0]
        self.others = nn.ModuleList(readers[1:])
        self.attention = FieldAttention()
        self.novelty = Novelty()

    def forward(self, x: Tensor) -> FieldOutput:
        """`x`: N×50×50×3 in 0–255, uint8 or float."""
        fields = prepare(x)
        backbone = self.first.backbone
        pyramid = backbone.pyramid(fields)
        pooled = backbone.head(pyramid.s32).mean(dim=(2, 3))
        logit = self.first.classify(pooled)[:, 0]
        for other in self.others:
            assert isinstance(other, FieldReader)
            logit = logit + other.classify(other.pooled(fields))[:, 0]
        return FieldOutput(logit / (1 + len(self.others)), self.attention(pooled), self.novelty(pyramid))
