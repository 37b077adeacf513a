"""A network without batch norm, so that two processes do exactly what one does."""

from __future__ import annotations

from torch import Tensor, nn

from inference.blocks.registry import block


@block("network", "plain")
class Plain(nn.Module):
    """N×3×H×W → logits N×K."""

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 5, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x)
        return logits
