"""Backbones with parallel or separable convolutions, small: IRRCNN's units [22] and Xception's [23, 25]."""

from __future__ import annotations

from typing import Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inference.blocks.networks.staged import BackboneOptions, Block, Staged, conv_norm, finish, he_normal
from inference.blocks.registry import block


class Recurrent(nn.Module):
    """Recurrent convolution (Liang 2015): the same weights applied `times` more to input plus own answer."""

    def __init__(self, inside: int, outside: int, kernel: int, times: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(inside, outside, kernel, padding=kernel // 2, bias=False)
        self.again = nn.Conv2d(outside, outside, kernel, padding=kernel // 2, bias=False)
        # the weights are shared over time, the statistics are not: each step has its own
        self.norms = nn.ModuleList(nn.BatchNorm2d(outside) for _ in range(times + 1))

    def forward(self, x: Tensor) -> Tensor:
        entered: Tensor = self.enter(x)
        y = entered
        for step, norm in enumerate(self.norms):
            y = torch.relu(norm(y if step == 0 else entered + self.again(y)))
        return y


class InceptionRecurrentResidual(nn.Module):
    """Three parallel branches (recurrent 1×1, recurrent 3×3, a mean with 1×1), joined, added to the input."""

    def __init__(self, channels: int, times: int) -> None:
        super().__init__()
        narrow = channels // 4
        self.point = Recurrent(channels, narrow, 1, times)
        self.area = Recurrent(channels, channels - 2 * narrow, 3, times)
        self.mean = nn.Sequential(nn.AvgPool2d(3, 1, 1), conv_norm(channels, narrow, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + torch.cat([self.point(x), self.area(x), self.mean(x)], dim=1))


@block("backbone", "irrcnn")
def irrcnn(
    width: int = 32, stages: int = 4, units: int = 1, times: int = 2, **options: Unpack[BackboneOptions]
) -> Staged:
    """IRRCNN (Alom 2019), small: stages of `units` inception-recurrent-residual units between transitions
    (3×3 at stride 2), channels doubling from `width`, stage n at stride 2ⁿ. 1.0 M parameters as it stands."""
    built, inside = [], 3
    for number in range(stages):
        outside = width * 2**number
        steps = [Block(conv_norm(inside, outside, 3, 2), outside)]
        steps += [Block(InceptionRecurrentResidual(outside, times), outside) for _ in range(units)]
        built.append(steps)
        inside = outside
    body = Staged(built)
    he_normal(body)
    return finish(body, "irrcnn", **options)


class SeparableResidual(nn.Module):
    """Two separable 3×3 convolutions, a maximum of 3×3 at stride 2, and a 1×1 shortcut (Chollet 2017)."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_separable(inside, outside), nn.ReLU(), _separable(outside, outside))
        self.shortcut = nn.Sequential(nn.Conv2d(inside, outside, 1, 2, bias=False), nn.BatchNorm2d(outside))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(F.max_pool2d(self.body(x), 3, 2, 1) + self.shortcut(x))


def _separable(inside: int, outside: int) -> nn.Sequential:
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
