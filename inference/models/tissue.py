"""Histopathology: one 0.2 mm field at 4 µm per pixel → the logit of invasive carcinoma."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from inference.models.backbone import HEAD_CHANNELS, EfficientNetLite0
from inference.models.decoder import colour_to_input
from inference.models.novelty import Novelty

#: The field is enlarged inside the graph: the wire carries 50×50, the backbone sees details of 2 µm.
NETWORK_PX = 96


class FieldOutput(NamedTuple):
    """`logit` N; `distance` N."""

    logit: Tensor
    distance: Tensor


class FieldNetwork(nn.Module):
    """Backbone, mean pooling, one linear layer."""

    def __init__(self, backbone: EfficientNetLite0) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(0.3)
        self.classify = nn.Linear(HEAD_CHANNELS, 1)
        self.novelty = Novelty()

    @staticmethod
    def prepare(x: Tensor) -> Tensor:
        """N×50×50×3 in 0–255 → N×3×96×96, normalised."""
        size = (NETWORK_PX, NETWORK_PX)
        return F.interpolate(colour_to_input(x), size=size, mode="bilinear", align_corners=False)

    def forward(self, x: Tensor) -> FieldOutput:
        """`x`: N×50×50×3 in 0–255, uint8 or float."""
        pyramid = self.backbone(self.prepare(x))
        pooled = self.backbone.head(pyramid.s32).mean(dim=(2, 3))
        return FieldOutput(self.classify(self.dropout(pooled))[:, 0], self.novelty(pyramid))
