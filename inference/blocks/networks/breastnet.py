"""BreastNet (Toğaçar 2020): attention, a dense block, a residual block; their maps make its hypercolumn."""

from __future__ import annotations

from typing import Unpack

from torch import nn

from inference.blocks.networks.attention import ConvolutionalAttention
from inference.blocks.networks.densenet import DenseLayer
from inference.blocks.networks.resnet import Residual
from inference.blocks.networks.staged import BackboneOptions, Block, Staged, conv_norm, finish, he_normal
from inference.blocks.registry import block


@block("backbone", "breastnet")
def breastnet(
    width: int = 32, layers: int = 4, growth: int = 16, **options: Unpack[BackboneOptions]
) -> Staged:
    """Two convolutions and CBAM at stride 2; a dense block of `layers` at 4; a residual block at 8. `levels:
    [1, 2, 3]` with `join: fine` is the paper's hypercolumn. 0.2 M parameters as it stands; the paper gives none."""
    wide = width + layers * growth
    dense = nn.Sequential(*(DenseLayer(width + number * growth, growth) for number in range(layers)))
    stem = nn.Sequential(*conv_norm(3, width, 3, 2), *conv_norm(width, width, 3))
    body = Staged(
        [
            [Block(stem, width), Block(ConvolutionalAttention(width), width)],
            [Block(nn.MaxPool2d(2, ceil_mode=True), width), Block(dense, wide)],
            [Block(Residual(wide, wide, 2, bottleneck=False), wide)],
        ]
    )
    he_normal(body)
    return finish(body, "breastnet", **options)
