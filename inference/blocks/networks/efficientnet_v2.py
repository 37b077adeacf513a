"""EfficientNetV2-S (Tan and Le 2021). It begins from nothing."""

from __future__ import annotations

from typing import Unpack

import torch
from torch import Tensor, nn

from inference.blocks.networks.staged import BackboneOptions, Block, Staged, finish, he_normal
from inference.blocks.registry import block

#: Table 4 of the paper: fused, expansion, stride, channels at width 24, layers.
_ROWS = (
    (True, 1, 1, 24, 2),
    (True, 4, 2, 48, 4),
    (True, 4, 2, 64, 4),
    (False, 4, 2, 128, 6),
    (False, 6, 1, 160, 9),
    (False, 6, 2, 256, 15),
)


class Gate(nn.Module):
    """Squeeze and excitation with `narrow` hidden units and SiLU, as EfficientNets have it."""

    def __init__(self, channels: int, narrow: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, narrow, 1)
        self.excite = nn.Conv2d(narrow, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean(dim=(2, 3), keepdim=True)
        return x * torch.sigmoid(self.excite(nn.functional.silu(self.squeeze(means))))


class Inverted(nn.Module):
    """Widened, convolved, narrowed; the input is added where the shape is the same. `fused`: one 3×3 convolution
    stands for the 1×1 and the depthwise one, and no gate."""

    def __init__(self, inside: int, outside: int, expansion: int, stride: int, *, fused: bool) -> None:
        super().__init__()
        wide = inside * expansion
        if fused and expansion == 1:
            layers = [_unit(inside, outside, 3, stride)]
        elif fused:
            layers = [_unit(inside, wide, 3, stride), _unit(wide, outside, 1, active=False)]
        else:
            layers = [_unit(inside, wide, 1), _unit(wide, wide, 3, stride, groups=wide)]
            layers += [nn.Sequential(Gate(wide, max(1, inside // 4))), _unit(wide, outside, 1, active=False)]
        self.body = nn.Sequential(*layers)
        self.added = stride == 1 and inside == outside

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return x + y if self.added else y


@block("backbone", "efficientnetv2_s")
def efficientnetv2_s(width: int = 24, depth: float = 1.0, **options: Unpack[BackboneOptions]) -> Staged:
    """20.2 M parameters, stages at strides 2, 4, 8, 16, 16, 32, 1280 channels out; without stochastic depth.

    `width` is that of the first convolution, `depth` a share of each stage's layers, at least one."""
    stages: list[list[Block]] = []
    inside = width
    for fused, expansion, stride, wide, count in _ROWS:
        outside = wide * width // 24
        steps = []
        for number in range(max(1, round(count * depth))):
            step = Inverted(inside, outside, expansion, stride if number == 0 else 1, fused=fused)
            steps.append(Block(step, outside))
            inside = outside
        stages.append(steps)
    last = 1280 * width // 24
    stages[0].insert(0, Block(_unit(3, width, 3, 2), width))
    stages[-1].append(Block(_unit(inside, last, 1), last))
    body = Staged(stages)
    he_normal(body)
    return finish(body, "efficientnetv2_s", **options)


def _unit(
    inside: int, outside: int, kernel: int, stride: int = 1, groups: int = 1, *, active: bool = True
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outside, eps=1e-3),
        nn.SiLU() if active else nn.Identity(),
    )
