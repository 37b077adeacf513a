"""DenseNet-121, 169 and 201 (Huang 2017): every layer sees all maps before it. They begin from nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import torch
from torch import Tensor, nn

from inference.blocks.networks.staged import BackboneOptions, Block, Staged, conv_norm, finish, he_normal
from inference.blocks.registry import block

GROWTH = 32


class DenseLayer(nn.Module):
    """Batch norm, ReLU, 1×1, batch norm, ReLU, 3×3; answers with its input and `growth` new channels."""

    def __init__(self, inside: int, growth: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(inside),
            nn.ReLU(),
            nn.Conv2d(inside, 4 * growth, 1, bias=False),
            nn.BatchNorm2d(4 * growth),
            nn.ReLU(inplace=True),
            nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.body(x)], dim=1)


@block("backbone", "densenet121")
def densenet121(growth: int = GROWTH, **options: Unpack[BackboneOptions]) -> Staged:
    """7.0 M parameters, stages at strides 4, 8, 16, 32, 1024 channels out."""
    return finish(_densenet((6, 12, 24, 16), growth), "densenet121", **options)


@block("backbone", "densenet169")
def densenet169(growth: int = GROWTH, **options: Unpack[BackboneOptions]) -> Staged:
    """12.5 M parameters, 1664 channels out. Too large for a champion."""
    return finish(_densenet((6, 12, 32, 32), growth), "densenet169", **options)


@block("backbone", "densenet201")
def densenet201(growth: int = GROWTH, **options: Unpack[BackboneOptions]) -> Staged:
    """18.1 M parameters, 1920 channels out. Too large for a champion."""
    return finish(_densenet((6, 12, 48, 32), growth), "densenet201", **options)


def _densenet(layers: Sequence[int], growth: int) -> Staged:
    channels = 2 * growth
    stages: list[list[Block]] = []
    for number, count in enumerate(layers):
        if number == 0:
            first = nn.Sequential(*conv_norm(3, channels, 7, 2), nn.MaxPool2d(3, 2, 1))
        else:
            first = _transition(channels)
            channels //= 2
        steps = [Block(first, channels)]
        dense = []
        for _ in range(count):
            dense.append(DenseLayer(channels, growth))
            channels += growth
        stages.append([*steps, Block(nn.Sequential(*dense), channels)])
    stages[-1].append(Block(nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True)), channels))
    body = Staged(stages)
    he_normal(body)
    return body


def _transition(inside: int) -> nn.Sequential:
    """Half the channels at half the size."""
    return nn.Sequential(
        nn.BatchNorm2d(inside),
        nn.ReLU(),
        nn.Conv2d(inside, inside // 2, 1, bias=False),
        nn.AvgPool2d(2, 2),
    )
