"""Backbones of parallel branches: IRRCNN [22], Inception-v3 [21, 25] and Inception-ResNet-v2 [29].

They begin from nothing. Maps are padded where the published ones shrink by their edge, so that small patches go too;
no weight is more or less for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

import torch
from torch import Tensor, nn

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


class Branches(nn.Module):
    """Several ways through, their answers side by side."""

    def __init__(self, *ways: nn.Module) -> None:
        super().__init__()
        self.ways = nn.ModuleList(ways)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([way(x) for way in self.ways], dim=1)


class Scaled(nn.Module):
    """Branches, 1×1 back to `channels`, a share of it added to the input (Szegedy 2017)."""

    def __init__(
        self, channels: int, inside: int, ways: Sequence[nn.Module], share: float, *, last: bool
    ) -> None:
        super().__init__()
        self.body = nn.Sequential(Branches(*ways), nn.Conv2d(inside, channels, 1))
        self.share = share
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = x + self.share * self.body(x)
        return total if self.last else torch.relu(total)


def _unit(inside: int, outside: int, height: int, width: int | None = None, stride: int = 1) -> nn.Sequential:
    """Convolution of `height`×`width` without bias, batch norm, ReLU."""
    wide = height if width is None else width
    convolution = nn.Conv2d(inside, outside, (height, wide), stride, (height // 2, wide // 2), bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outside, eps=1e-3), nn.ReLU(inplace=True))


def _mean(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=False), _unit(inside, outside, 1))


def _halved() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, 2, 1)


def _inception_stem(width: int) -> list[Block]:
    """To stride 8 and 6·`width` channels."""
    narrow, wide = width * 80 // 32, 6 * width
    first = nn.Sequential(
        _unit(3, width, 3, stride=2), _unit(width, width, 3), _unit(width, 2 * width, 3), _halved()
    )
    return [
        Block(first, 2 * width),
        Block(nn.Sequential(_unit(2 * width, narrow, 1), _unit(narrow, wide, 3), _halved()), wide),
    ]


@block("backbone", "inception_v3")
def inception_v3(width: int = 32, **options: Unpack[BackboneOptions]) -> Staged:
    """Inception-v3 (Szegedy 2016) without its side branch: 21.8 M parameters, stages at strides 8, 8, 16, 32 (stem
    and three kinds of inception blocks), 2048 channels out. `width` is that of the first convolution."""

    def n(channels: int) -> int:
        return channels * width // 32

    def squares(inside: int, mean: int) -> Block:
        ways = (
            _unit(inside, n(64), 1),
            nn.Sequential(_unit(inside, n(48), 1), _unit(n(48), n(64), 5)),
            nn.Sequential(_unit(inside, n(64), 1), _unit(n(64), n(96), 3), _unit(n(96), n(96), 3)),
            _mean(inside, mean),
        )
        return Block(Branches(*ways), n(224) + mean)

    def lines(narrow: int) -> Block:
        inside, wide = n(768), n(192)
        ways = (
            _unit(inside, wide, 1),
            nn.Sequential(_unit(inside, narrow, 1), _unit(narrow, narrow, 1, 7), _unit(narrow, wide, 7, 1)),
            nn.Sequential(
                _unit(inside, narrow, 1), _unit(narrow, narrow, 7, 1), _unit(narrow, narrow, 1, 7),
                _unit(narrow, narrow, 7, 1), _unit(narrow, wide, 1, 7),
            ),
            _mean(inside, wide),
        )  # fmt: skip
        return Block(Branches(*ways), inside)

    def spread(inside: int) -> Block:
        def both(channels: int) -> Branches:
            return Branches(_unit(channels, n(384), 1, 3), _unit(channels, n(384), 3, 1))

        ways = (
            _unit(inside, n(320), 1),
            nn.Sequential(_unit(inside, n(384), 1), both(n(384))),
            nn.Sequential(_unit(inside, n(448), 1), _unit(n(448), n(384), 3), both(n(384))),
            _mean(inside, n(192)),
        )
        return Block(Branches(*ways), n(2048))

    to_lines = Branches(
        _unit(n(288), n(384), 3, stride=2),
        nn.Sequential(_unit(n(288), n(64), 1), _unit(n(64), n(96), 3), _unit(n(96), n(96), 3, stride=2)),
        _halved(),
    )
    to_spread = Branches(
        nn.Sequential(_unit(n(768), n(192), 1), _unit(n(192), n(320), 3, stride=2)),
        nn.Sequential(
            _unit(n(768), n(192), 1), _unit(n(192), n(192), 1, 7), _unit(n(192), n(192), 7, 1),
            _unit(n(192), n(192), 3, stride=2),
        ),
        _halved(),
    )  # fmt: skip
    body = Staged(
        [
            _inception_stem(width),
            [squares(n(192), n(32)), squares(n(256), n(64)), squares(n(288), n(64))],
            [Block(to_lines, n(768)), *(lines(n(narrow)) for narrow in (128, 160, 160, 192))],
            [Block(to_spread, n(1280)), spread(n(1280)), spread(n(2048))],
        ]
    )
    he_normal(body)
    return finish(body, "inception_v3", **options)


@block("backbone", "inception_resnet_v2")
def inception_resnet_v2(
    width: int = 32, units: tuple[int, int, int] = (10, 20, 10), **options: Unpack[BackboneOptions]
) -> Staged:
    """Inception-ResNet-v2 (Szegedy 2017) without its side branch: 54.3 M parameters, stages at strides 8, 8, 16, 32
    (stem and three kinds of so many residual `units`), 1536 channels out. `width` is that of the first
    convolution."""

    def n(channels: int) -> int:
        return channels * width // 32

    def squares() -> Block:
        ways = (
            _unit(n(320), n(32), 1),
            nn.Sequential(_unit(n(320), n(32), 1), _unit(n(32), n(32), 3)),
            nn.Sequential(_unit(n(320), n(32), 1), _unit(n(32), n(48), 3), _unit(n(48), n(64), 3)),
        )
        return Block(Scaled(n(320), n(128), ways, 0.17, last=False), n(320))

    def lines() -> Block:
        way = nn.Sequential(
            _unit(n(1088), n(128), 1), _unit(n(128), n(160), 1, 7), _unit(n(160), n(192), 7, 1)
        )
        ways = (_unit(n(1088), n(192), 1), way)
        return Block(Scaled(n(1088), n(384), ways, 0.1, last=False), n(1088))

    def crosses(*, last: bool) -> Block:
        way = nn.Sequential(
            _unit(n(2080), n(192), 1), _unit(n(192), n(224), 1, 3), _unit(n(224), n(256), 3, 1)
        )
        ways = (_unit(n(2080), n(192), 1), way)
        return Block(Scaled(n(2080), n(448), ways, 1.0 if last else 0.2, last=last), n(2080))

    widened = Branches(
        _unit(n(192), n(96), 1),
        nn.Sequential(_unit(n(192), n(48), 1), _unit(n(48), n(64), 5)),
        nn.Sequential(_unit(n(192), n(64), 1), _unit(n(64), n(96), 3), _unit(n(96), n(96), 3)),
        _mean(n(192), n(64)),
    )
    to_lines = Branches(
        _unit(n(320), n(384), 3, stride=2),
        nn.Sequential(_unit(n(320), n(256), 1), _unit(n(256), n(256), 3), _unit(n(256), n(384), 3, stride=2)),
        _halved(),
    )
    to_crosses = Branches(
        nn.Sequential(_unit(n(1088), n(256), 1), _unit(n(256), n(384), 3, stride=2)),
        nn.Sequential(_unit(n(1088), n(256), 1), _unit(n(256), n(288), 3, stride=2)),
        nn.Sequential(
            _unit(n(1088), n(256), 1), _unit(n(256), n(288), 3), _unit(n(288), n(320), 3, stride=2)
        ),
        _halved(),
    )
    crossed = [crosses(last=number == units[2] - 1) for number in range(units[2])]
    body = Staged(
        [
            _inception_stem(width),
            [Block(widened, n(320)), *(squares() for _ in range(units[0]))],
            [Block(to_lines, n(1088)), *(lines() for _ in range(units[1]))],
            [Block(to_crosses, n(2080)), *crossed, Block(_unit(n(2080), n(1536), 1), n(1536))],
        ]
    )
    he_normal(body)
    return finish(body, "inception_resnet_v2", **options)
