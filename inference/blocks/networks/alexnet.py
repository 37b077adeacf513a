"""AlexNet whole (Krizhevsky 2012, in the single-tower form of 2014), its dense layers as convolutions."""

from __future__ import annotations

from typing import Unpack

from torch import nn

from inference.blocks.networks.staged import BackboneOptions, Block, Staged, finish, he_normal
from inference.blocks.registry import block

#: Side of the map that fc6 reads; another image size is averaged to it.
_FC6_SIDE = 6


@block("backbone", "alexnet")
def alexnet(width: int = 64, **options: Unpack[BackboneOptions]) -> Staged:
    """Each layer a stage: conv1 to conv5, fc6 and fc7, so that `levels: [3, 4, 5, 6, 7]` with `join: coarse` gives
    the middle and high features of [39], and the last stage the 4,096 of fc7. 57.0 M parameters with `width` 64,
    nearly all of them in fc6 and fc7. It begins from nothing."""
    pool, dense = nn.MaxPool2d(3, 2, 1), 64 * width
    layers = [
        (nn.Sequential(*_conv(3, width, 11, 4, 2), pool), width),
        (nn.Sequential(*_conv(width, 3 * width, 5, 1, 2), pool), 3 * width),
        (_conv(3 * width, 6 * width, 3, 1, 1), 6 * width),
        (_conv(6 * width, 4 * width, 3, 1, 1), 4 * width),
        (nn.Sequential(*_conv(4 * width, 4 * width, 3, 1, 1), pool), 4 * width),
        (
            nn.Sequential(
                nn.AdaptiveAvgPool2d(_FC6_SIDE), nn.Dropout(0.5), *_conv(4 * width, dense, _FC6_SIDE, 1, 0)
            ),
            dense,
        ),
        (nn.Sequential(nn.Dropout(0.5), *_conv(dense, dense, 1, 1, 0)), dense),
    ]
    body = Staged([[Block(module, channels)] for module, channels in layers])
    he_normal(body)
    return finish(body, "alexnet", **options)


def _conv(inside: int, outside: int, kernel: int, stride: int, padding: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inside, outside, kernel, stride, padding), nn.ReLU())
