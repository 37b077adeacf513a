"""VGG-16 and VGG-19 without their dense layers (Simonyan 2015). They begin from nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Unpack

from torch import nn

from inference.blocks.networks.staged import BackboneOptions, Block, Staged, finish, he_normal
from inference.blocks.registry import block


@block("backbone", "vgg16")
def vgg16(width: int = 64, **options: Unpack[BackboneOptions]) -> Staged:
    """14.7 M parameters, stages at strides 2, 4, 8, 16, 32, 512 channels out. Without batch norm, as published."""
    return finish(_vgg((2, 2, 3, 3, 3), width), "vgg16", **options)


@block("backbone", "vgg19")
def vgg19(width: int = 64, **options: Unpack[BackboneOptions]) -> Staged:
    """20.0 M parameters, stages as VGG-16's."""
    return finish(_vgg((2, 2, 4, 4, 4), width), "vgg19", **options)


def _vgg(convolutions: Sequence[int], width: int) -> Staged:
    stages, inside = [], 3
    for number, count in enumerate(convolutions):
        outside = width * 2 ** min(number, 3)
        layers: list[nn.Module] = []
        for _ in range(count):
            layers += [nn.Conv2d(inside, outside, 3, padding=1), nn.ReLU()]
            inside = outside
        stages.append([Block(nn.Sequential(*layers, nn.MaxPool2d(2)), outside)])
    body = Staged(stages)
    he_normal(body)
    return body
