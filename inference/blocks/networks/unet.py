"""Networks that outline: U-Net with residual and attention variants, ASPP, and Connected-UNets [56].

All take N×3×H×W (or N×1×H×W, repeated) of any size, normalised by mean = std = 0.5, and answer with logits
N×`classes`×H×W.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inference.blocks.networks.attention import SqueezeExcite
from inference.blocks.networks.staged import conv_norm, he_normal
from inference.blocks.registry import block

Variant = Literal["plain", "residual", "attention"]
ASPP_RATES = (6, 12, 18)


class ResidualStep(nn.Module):
    """Batch norm, ReLU and 3×3 twice, a 1×1 shortcut, squeeze and excitation (Baccouche 2021)."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(inside), nn.ReLU(), nn.Conv2d(inside, outside, 3, padding=1, bias=False),
            nn.BatchNorm2d(outside), nn.ReLU(), nn.Conv2d(outside, outside, 3, padding=1),
        )  # fmt: skip
        self.shortcut = nn.Sequential(nn.Conv2d(inside, outside, 1, bias=False), nn.BatchNorm2d(outside))
        self.weigh = SqueezeExcite(outside, reduction=8)

    def forward(self, x: Tensor) -> Tensor:
        weighed: Tensor = self.weigh(self.body(x) + self.shortcut(x))
        return weighed


class DilatedPyramid(nn.Module):
    """Atrous spatial pyramid pooling (Chen 2018) as Connected-UNets has it: 3×3 at each rate and undilated,
    added up, then 1×1."""

    def __init__(self, inside: int, outside: int, rates: Sequence[int] = ASPP_RATES) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(inside, outside, 3, padding=rate, dilation=rate, bias=False),
                nn.BatchNorm2d(outside),
            )
            for rate in (1, *rates)
        )
        self.join = nn.Conv2d(outside, outside, 1)

    def forward(self, x: Tensor) -> Tensor:
        joined: Tensor = self.join(torch.stack([branch(x) for branch in self.branches]).sum(dim=0))
        return joined


class Gate(nn.Module):
    """Attention gate (Oktay 2018): the skip's places are weighed by what the coarser path asks for."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        middle = max(1, channels // 2)
        self.skip = nn.Conv2d(channels, middle, 1)
        self.signal = nn.Conv2d(channels, middle, 1, bias=False)
        self.weigh = nn.Conv2d(middle, 1, 1)

    def forward(self, skip: Tensor, signal: Tensor) -> Tensor:
        gates = torch.sigmoid(self.weigh(torch.relu(self.skip(skip) + self.signal(signal))))
        return skip * gates


def _step(variant: Variant, inside: int, outside: int) -> nn.Module:
    if variant == "residual":
        return ResidualStep(inside, outside)
    return nn.Sequential(conv_norm(inside, outside, 3), conv_norm(outside, outside, 3))


class Rise(nn.Module):
    """Twice the size, half the channels, the skip of that level beside it, and a step."""

    def __init__(self, inside: int, outside: int, variant: Variant) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(inside, outside, 2, 2)
        self.gate = Gate(outside) if variant == "attention" else None
        self.step = _step(variant, 2 * outside, outside)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = self.up(x)
        if self.gate is not None:
            skip = self.gate(skip, x)
        answer: Tensor = self.step(torch.cat([x, skip], dim=1))
        return answer


class Outline(nn.Module):
    """Pads any size to the multiple that the network needs and cuts the answer back."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.multiple = 2**depth

    def logits(self, x: Tensor) -> Tensor:
        """N×3×H×W with H and W multiples of `multiple` → N×K×H×W."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """See the module."""
        if x.shape[1] == 1:
            x = x.expand(-1, 3, -1, -1)
        height, width = int(x.shape[2]), int(x.shape[3])
        below, right = -height % self.multiple, -width % self.multiple
        if below or right:
            x = F.pad(x, (0, right, 0, below), mode="replicate")
        return self.logits(x)[:, :, :height, :width]


class UNet(Outline):
    """U-Net (Ronneberger 2015): `depth` halvings from `width` channels; its deepest step is plain or ASPP."""

    def __init__(
        self, classes: int = 1, width: int = 16, depth: int = 4, variant: Variant = "plain", *,
        aspp: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(depth)
        widths = _checked_widths(variant, width, depth)
        inside = (3, *widths[:-1])
        self.down = nn.ModuleList(_step(variant, a, b) for a, b in zip(inside, widths, strict=True))
        deepest = 2 * widths[-1]
        self.deepest = DilatedPyramid(widths[-1], deepest) if aspp else _step(variant, widths[-1], deepest)
        self.rise = nn.ModuleList(
            Rise(below, level, variant)
            for below, level in zip((deepest, *widths[:0:-1]), widths[::-1], strict=True)
        )
        self.last = nn.Conv2d(width, classes, 1)
        he_normal(self)

    def logits(self, x: Tensor) -> Tensor:
        skips = []
        for step in self.down:
            x = step(x)
            skips.append(x)
            x = F.max_pool2d(x, 2)
        x = self.deepest(x)
        for rise, skip in zip(self.rise, skips[::-1], strict=True):
            x = rise(x, skip)
        answer: Tensor = self.last(x)
        return answer


class ConnectedUNets(Outline):
    """Connected-UNets (Baccouche 2021): two U-Nets in a row; every level of the second's way down also sees
    what the first's way up had at that level; ASPP in both deepest steps and before the last layer."""

    def __init__(self, classes: int = 1, width: int = 16, depth: int = 4, variant: Variant = "plain") -> None:
        super().__init__(depth)
        widths = _checked_widths(variant, width, depth)
        deepest = 2 * widths[-1]
        inside = (3, *widths[:-1])
        self.first_down = nn.ModuleList(_step(variant, a, b) for a, b in zip(inside, widths, strict=True))
        self.first_deepest = DilatedPyramid(widths[-1], deepest)
        ups = list(zip((deepest, *widths[:0:-1]), widths[::-1], strict=True))
        self.first_rise = nn.ModuleList(Rise(below, level, variant) for below, level in ups)
        inside = (width, *widths[:-1])
        self.enter = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.ReLU())
            for a, b in zip(inside, widths, strict=True)
        )
        self.second_down = nn.ModuleList(_step(variant, 2 * level, level) for level in widths)
        self.second_deepest = DilatedPyramid(widths[-1], deepest)
        self.second_rise = nn.ModuleList(Rise(below, level, variant) for below, level in ups)
        self.before_last = DilatedPyramid(width, width)
        self.last = nn.Conv2d(width, classes, 1)
        he_normal(self)

    def logits(self, x: Tensor) -> Tensor:
        skips = []
        for step in self.first_down:
            x = step(x)
            skips.append(x)
            x = F.max_pool2d(x, 2)
        x = self.first_deepest(x)
        bridges = []
        for rise, skip in zip(self.first_rise, skips[::-1], strict=True):
            x = rise(x, skip)
            bridges.append(x)
        skips = []
        for enter, step, bridge in zip(self.enter, self.second_down, bridges[::-1], strict=True):
            x = step(torch.cat([enter(x), bridge], dim=1))
            skips.append(x)
            x = F.max_pool2d(x, 2)
        x = self.second_deepest(x)
        for rise, skip in zip(self.second_rise, skips[::-1], strict=True):
            x = rise(x, skip)
        answer: Tensor = self.last(self.before_last(x))
        return answer


def _checked_widths(variant: str, width: int, depth: int) -> tuple[int, ...]:
    if variant not in ("plain", "residual", "attention"):
        raise ValueError(f"variant: {variant!r} is none of plain, residual, attention")
    if width < 1 or depth < 1:
        raise ValueError(f"a U-Net needs a width and a depth of at least 1, not {width} and {depth}")
    return tuple(width * 2**level for level in range(depth))


@block("network", "unet", gives="outlines")
def unet(
    classes: int = 1, width: int = 16, depth: int = 4, variant: Variant = "plain", aspp: bool = False
) -> UNet:
    """1.9 M parameters as it stands; with `variant: residual` a ResU-Net, `attention` an Attention U-Net."""
    return UNet(classes, width, depth, variant, aspp=aspp)


@block("network", "connected_unets", gives="outlines")
def connected_unets(
    classes: int = 1, width: int = 16, depth: int = 4, variant: Variant = "plain"
) -> ConnectedUNets:
    """5.0 M parameters as it stands; the paper's width of 32 takes 20 M, too many for a champion."""
    return ConnectedUNets(classes, width, depth, variant)
