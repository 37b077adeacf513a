"""A light top-down decoder: laterals of 1×1, depthwise-separable smoothing, sums; strides 32 → 4."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from inference.blocks.networks.efficientnet import PYRAMID_CHANNELS, Pyramid


class Smooth(nn.Sequential):
    """Depthwise 3×3, pointwise, batch norm, ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.GroupNorm(8, channels),
            nn.ReLU(inplace=True),
        )


class Decoder(nn.Module):
    """Pyramid → (N×C×H/4×W/4, N×C×H/16×W/16)."""

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(inside, channels, 1) for inside in PYRAMID_CHANNELS)
        self.smooth = nn.ModuleList(Smooth(channels) for _ in PYRAMID_CHANNELS)

    def forward(self, pyramid: Pyramid) -> tuple[Tensor, Tensor]:
        x = self.smooth[3](self.lateral[3](pyramid.s32))
        outputs = []
        for level in (2, 1, 0):
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = self.smooth[level](x + self.lateral[level](pyramid[level]))
            outputs.append(x)
        return outputs[-1], outputs[0]


def grey_to_input(x: Tensor) -> Tensor:
    """uint8 or float N×1×H×W in 0–255 → normalised N×3×H×W."""
    return ((x.float() / 255.0 - 0.5) / 0.5).expand(-1, 3, -1, -1)


def colour_to_input(x: Tensor) -> Tensor:
    """uint8 or float N×H×W×3 in 0–255 → normalised N×3×H×W."""
    return ((x.float() / 255.0 - 0.5) / 0.5).permute(0, 3, 1, 2)
