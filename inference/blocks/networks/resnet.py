"""Residual backbones that begin from nothing: ResNet-18 and 50 (He 2016), BHCNet's small SE-ResNet [27]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import torch
from torch import Tensor, nn

from inference.blocks.networks.attention import SqueezeExcite
from inference.blocks.networks.staged import BackboneOptions, Block, Staged, conv_norm, finish, he_normal
from inference.blocks.registry import block


class Residual(nn.Module):
    """Two 3×3 convolutions, or 1×1, 3×3, 1×1 with four times as many channels out, and a shortcut."""

    def __init__(self, inside: int, width: int, stride: int, *, bottleneck: bool) -> None:
        super().__init__()
        outside = 4 * width if bottleneck else width
        if bottleneck:
            layers = [conv_norm(inside, width, 1), conv_norm(width, width, 3, stride)]
        else:
            layers = [conv_norm(inside, width, 3, stride)]
        last = nn.Conv2d(width, outside, 1 if bottleneck else 3, padding=0 if bottleneck else 1, bias=False)
        self.body = nn.Sequential(*layers, last, nn.BatchNorm2d(outside))
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inside != outside:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside)
            )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


@block("backbone", "resnet18")
def resnet18(**options: Unpack[BackboneOptions]) -> Staged:
    """11.2 M parameters, stages at strides 4, 8, 16, 32, 512 channels out. Too large for a champion."""
    return finish(_resnet((2, 2, 2, 2), bottleneck=False), "resnet18", **options)


@block("backbone", "resnet50")
def resnet50(**options: Unpack[BackboneOptions]) -> Staged:
    """23.5 M parameters, stages at strides 4, 8, 16, 32, 2048 channels out. Too large for a champion."""
    return finish(_resnet((3, 4, 6, 3), bottleneck=True), "resnet50", **options)


def _resnet(repeats: Sequence[int], *, bottleneck: bool) -> Staged:
    stem = nn.Sequential(*conv_norm(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1))
    stages: list[list[Block]] = []
    inside = 64
    for number, count in enumerate(repeats):
        width = 64 * 2**number
        outside = 4 * width if bottleneck else width
        steps = []
        for repeat in range(count):
            stride = 2 if repeat == 0 and number > 0 else 1
            steps.append(Block(Residual(inside, width, stride, bottleneck=bottleneck), outside))
            inside = outside
        stages.append(steps)
    stages[0].insert(0, Block(stem, 64))
    body = Staged(stages)
    he_normal(body)
    return body


class SmallSEResidual(nn.Module):
    """BHCNet's module (Jiang 2019, figure 1C): 1×3, 3×1, 1×3, 3×1 convolutions, each after batch norm and
    ReLU, then squeeze and excitation, then the shortcut: a third fewer weights than two 3×3 convolutions."""

    def __init__(self, inside: int, outside: int, stride: int, reduction: int = 16) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = inside
        for kernel, steps in (
            ((1, 3), (1, stride)),
            ((3, 1), (stride, 1)),
            ((1, 3), (1, 1)),
            ((3, 1), (1, 1)),
        ):
            padding = (kernel[0] // 2, kernel[1] // 2)
            layers += [
                nn.BatchNorm2d(channels),
                nn.ReLU(),
                nn.Conv2d(channels, outside, kernel, steps, padding, bias=False),
            ]
            channels = outside
        self.body = nn.Sequential(*layers, SqueezeExcite(outside, reduction))
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inside != outside:
            self.shortcut = nn.Conv2d(inside, outside, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = self.body(x) + self.shortcut(x)
        return total


@block("backbone", "small_se_resnet")
def small_se_resnet(
    modules: int = 3, width: int = 16, stem_stride: int = 1, **options: Unpack[BackboneOptions]
) -> Staged:
    """BHCNet's body: a convolution, then three stages of `modules` small SE-ResNet modules at strides 1, 2, 4
    (times `stem_stride`) with `width`, 2·`width`, 4·`width` channels. BHCNet-3 has 3 modules a stage,
    BHCNet-6 6. With 16 channels 0.2 M and 0.4 M parameters."""
    stages: list[list[Block]] = []
    inside = width
    for number in range(3):
        outside = width * 2**number
        steps = []
        for repeat in range(modules):
            stride = 2 if repeat == 0 and number > 0 else 1
            steps.append(Block(SmallSEResidual(inside, outside, stride), outside))
            inside = outside
        stages.append(steps)
    stages[0].insert(0, Block(nn.Conv2d(3, width, 3, stem_stride, 1, bias=False), width))
    # its modules begin, and so do not end, with batch norm and ReLU
    stages[-1].append(Block(nn.Sequential(nn.BatchNorm2d(inside), nn.ReLU()), inside))
    body = Staged(stages)
    he_normal(body)
    return finish(body, "small_se_resnet", **options)
