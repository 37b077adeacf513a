"""Backbones of the review's older methods at a size for two cores: AlexNet and VGG without dense layers."""

from __future__ import annotations

from typing import Unpack

from torch import nn

from inference.blocks.networks.staged import BackboneOptions, Block, Staged, conv_norm, finish, he_normal
from inference.blocks.registry import block


@block("backbone", "alexnet_mini")
def alexnet_mini(
    width: int = 64,
    first_kernel: int = 11,
    second_kernel: int = 5,
    stride: int = 4,
    **options: Unpack[BackboneOptions],
) -> Staged:
    """Five convolutions as AlexNet's (Krizhevsky 2012), batch norm for its response norm; strides 8, 16,
    16, 16, 16 with `stride` 4, that of the first; 4·`width` channels out. 2.5 M parameters with `width` 64. Odd kernels
    are padded to keep the size: they are what [32] designs, with stride and filters.

    Each convolution is a stage, so that `levels: [3, 4, 5]` gives the mid and high features of [39].
    """
    pool = nn.MaxPool2d(3, 2, 1)
    layers = [
        (nn.Sequential(*conv_norm(3, width, first_kernel, stride), pool), width),
        (nn.Sequential(*conv_norm(width, 3 * width, second_kernel), pool), 3 * width),
        (conv_norm(3 * width, 6 * width, 3), 6 * width),
        (conv_norm(6 * width, 4 * width, 3), 4 * width),
        (conv_norm(4 * width, 4 * width, 3), 4 * width),
    ]
    body = Staged([[Block(module, channels)] for module, channels in layers])
    he_normal(body)
    return finish(body, "alexnet_mini", **options)


@block("backbone", "vgg_mini")
def vgg_mini(width: int = 32, stages: int = 4, **options: Unpack[BackboneOptions]) -> Staged:
    """Pairs of 3×3 convolutions, then maxima of 2×2 (Simonyan 2015); stage n at stride 2ⁿ, channels doubling
    from `width`. 1.2 M parameters as it stands."""
    built, inside = [], 3
    for number in range(stages):
        outside = width * 2**number
        pair = nn.Sequential(conv_norm(inside, outside, 3), conv_norm(outside, outside, 3), nn.MaxPool2d(2))
        built.append([Block(pair, outside)])
        inside = outside
    body = Staged(built)
    he_normal(body)
    return finish(body, "vgg_mini", **options)
