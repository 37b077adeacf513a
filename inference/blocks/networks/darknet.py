"""DarkNet-53, the body of YOLOv3 (Redmon 2018). It begins from nothing."""

from __future__ import annotations

from typing import Unpack

from torch import Tensor, nn

from inference.blocks.networks.staged import BackboneOptions, Block, Staged, finish, he_normal
from inference.blocks.registry import block


class DarkResidual(nn.Module):
    """1×1 to half the channels, 3×3 back, and the input added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_leaky(channels, channels // 2, 1), _leaky(channels // 2, channels, 3))

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = x + self.body(x)
        return total


@block("backbone", "darknet53")
def darknet53(
    width: int = 32, units: tuple[int, ...] = (1, 2, 8, 8, 4), **options: Unpack[BackboneOptions]
) -> Staged:
    """40.6 M parameters, stages at strides 2, 4, 8, 16, 32 of so many residual `units`, 1024 channels out.

    `width` is that of the first convolution."""
    stages, inside = [], width
    for count in units:
        steps = [Block(_leaky(inside, 2 * inside, 3, 2), 2 * inside)]
        inside *= 2
        stages.append([*steps, *(Block(DarkResidual(inside), inside) for _ in range(count))])
    stages[0].insert(0, Block(_leaky(3, width, 3), width))
    body = Staged(stages)
    he_normal(body)
    return finish(body, "darknet53", **options)


def _leaky(inside: int, outside: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outside),
        nn.LeakyReLU(0.1),
    )
