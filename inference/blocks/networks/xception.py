"""Xception (Chollet 2017) whole, and its entry flow alone at a size for two cores [23, 25]. They begin from nothing."""

from __future__ import annotations

from itertools import pairwise
from typing import Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inference.blocks.networks.staged import BackboneOptions, Block, Staged, conv_norm, finish, he_normal
from inference.blocks.registry import block


class SeparableResidual(nn.Module):
    """Two separable 3×3 convolutions, a maximum of 3×3 at stride 2, and a 1×1 shortcut (Chollet 2017)."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.body = nn.Sequential(separable(inside, outside), nn.ReLU(), separable(outside, outside))
        self.shortcut = nn.Sequential(nn.Conv2d(inside, outside, 1, 2, bias=False), nn.BatchNorm2d(outside))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(F.max_pool2d(self.body(x), 3, 2, 1) + self.shortcut(x))


def separable(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, inside, 3, padding=1, groups=inside, bias=False),
        nn.Conv2d(inside, outside, 1, bias=False),
        nn.BatchNorm2d(outside),
    )


@block("backbone", "xception_mini")
def xception_mini(width: int = 64, stages: int = 4, **options: Unpack[BackboneOptions]) -> Staged:
    """Xception's entry flow, repeated: a strided convolution, then one separable residual a stage, channels
    doubling from `width`, stage n at stride 2ⁿ⁺¹. 0.7 M parameters as it stands."""
    built = [[Block(conv_norm(3, width // 2, 3, 2), width // 2)]]
    inside = width // 2
    for number in range(stages):
        outside = width * 2**number
        unit = Block(SeparableResidual(inside, outside), outside)
        if number == 0:
            built[0].append(unit)
        else:
            built.append([unit])
        inside = outside
    body = Staged(built)
    he_normal(body)
    return finish(body, "xception_mini", **options)


class XceptionBlock(nn.Module):
    """ReLU and a separable convolution, once for each of `channels` after the first; where the size is halved a
    maximum of 3×3 at stride 2. The input is added, by 1×1 where the shape changes."""

    def __init__(self, *channels: int, halved: bool, begins: bool = True) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inside, outside in pairwise(channels):
            layers += [nn.ReLU(), separable(inside, outside)]
        pool = [nn.MaxPool2d(3, 2, 1)] if halved else []
        self.body = nn.Sequential(*(layers if begins else layers[1:]), *pool)
        self.shortcut: nn.Module = nn.Identity()
        if halved or channels[0] != channels[-1]:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels[0], channels[-1], 1, 2 if halved else 1, bias=False),
                nn.BatchNorm2d(channels[-1]),
            )

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = self.body(x) + self.shortcut(x)
        return total


@block("backbone", "xception")
def xception(width: int = 32, units: int = 8, **options: Unpack[BackboneOptions]) -> Staged:
    """20.8 M parameters, stages at strides 2, 4, 8, 16, 32 (the fourth ends with so many middle `units`), 2048
    channels out. `width` is that of the first convolution."""
    two, four, eight = 2 * width, 4 * width, 8 * width
    middle, before, after, last = (n * width // 32 for n in (728, 1024, 1536, 2048))
    stem = nn.Sequential(conv_norm(3, width, 3, 2), conv_norm(width, two, 3))
    inner = [XceptionBlock(middle, middle, middle, middle, halved=False) for _ in range(units)]
    end = nn.Sequential(separable(before, after), nn.ReLU(), separable(after, last), nn.ReLU())
    body = Staged(
        [
            [Block(stem, two)],
            [Block(XceptionBlock(two, four, four, halved=True, begins=False), four)],
            [Block(XceptionBlock(four, eight, eight, halved=True), eight)],
            [
                Block(XceptionBlock(eight, middle, middle, halved=True), middle),
                *(Block(unit, middle) for unit in inner),
            ],
            [Block(XceptionBlock(middle, middle, before, halved=True), before), Block(end, last)],
        ]
    )
    he_normal(body)
    return finish(body, "xception", **options)
