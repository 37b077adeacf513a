"""Capsules with dynamic routing (Sabour 2017), as of [53]: vectors whose length says that something is there."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from inference.blocks.networks.classifier import ClassifierOutput
from inference.blocks.networks.pooling import Pool, Pooled
from inference.blocks.networks.staged import Block, Staged, he_normal
from inference.blocks.registry import block

#: Numbers of a primary capsule, and of a class's.
_PRIMARY, _CLASS = 8, 16
#: Side of the first convolution's map: primary capsules then stand on 6×6 places, as published for 28×28 pixels.
_SIDE = 20
_SMALLEST = 1e-6


class Routing(Pool):
    """Primary capsules vote for each class's capsule, and count the more the better they agree with it.

    N×C×6×6 → N×(`classes`·16), the class capsules side by side. `places` says of each place how strongly its votes
    went along each class's capsule, spread over its 16 numbers."""

    def __init__(self, channels: int, classes: int, times: int = 3) -> None:
        if times < 1:
            raise ValueError(f"times: capsules are routed once at least, not {times} times")
        super().__init__(channels, classes * _CLASS)
        self.types, self.classes, self.times = channels // _PRIMARY, classes, times
        side = (_SIDE - 9) // 2 + 1
        self.weight = nn.Parameter(0.01 * torch.randn(self.types * side * side, classes, _CLASS, _PRIMARY))

    def both(self, x: Tensor) -> Pooled:
        count, _, height, width = x.shape
        primary = (
            x.view(count, self.types, _PRIMARY, height * width).transpose(2, 3).reshape(count, -1, _PRIMARY)
        )
        votes = torch.einsum("pkij,npj->npki", self.weight, squashed(primary))
        agreement = votes.new_zeros(votes.shape[:3])
        told = votes.detach()  # only the last round is learned through, as in the authors' own code
        for _ in range(self.times - 1):
            capsules = squashed((torch.softmax(agreement, dim=2)[..., None] * told).sum(dim=1))
            agreement = agreement + (told * capsules[:, None]).sum(dim=3)
        counted = torch.softmax(agreement, dim=2)[..., None] * votes
        capsules = squashed(counted.sum(dim=1))
        direction = capsules / length(capsules)[..., None]
        along = (counted * direction[:, None]).sum(dim=3).view(count, self.types, height, width, self.classes)
        places = along.sum(dim=1).permute(0, 3, 1, 2).repeat_interleave(_CLASS, dim=1)
        return Pooled(capsules.flatten(1), places)


class CapsuleNetwork(nn.Module):
    """A convolution of 9×9, primary capsules, class capsules. A logit is that of its capsule's length, so that the
    sigmoid of it is the length, which the loss `margin` judges."""

    def __init__(self, classes: int, width: int, types: int, times: int) -> None:
        super().__init__()
        first = nn.Sequential(nn.Conv2d(3, width, 9), nn.ReLU(), nn.AdaptiveAvgPool2d(_SIDE))
        primary = nn.Conv2d(width, _PRIMARY * types, 9, 2)
        self.backbone = Staged([[Block(first, width)], [Block(primary, _PRIMARY * types)]])
        he_normal(self.backbone)
        self.pool = Routing(_PRIMARY * types, classes, times)
        self.classes = classes

    def forward(self, x: Tensor) -> ClassifierOutput:
        """`x`: N×3×H×W of 9 pixels or more, or N×1×H×W that is repeated; normalised by mean = std = 0.5."""
        row, places = self.pool.both(self.backbone(x))
        lengths = length(row.view(len(row), self.classes, _CLASS)).clamp(_SMALLEST, 1 - _SMALLEST)
        return ClassifierOutput(torch.logit(lengths), places[:, ::_CLASS])


@block("network", "capsnet", gives="labels")
def capsnet(classes: int = 2, width: int = 256, types: int = 32, times: int = 3) -> CapsuleNetwork:
    """CapsNet without its decoder: `width` channels, so many `types` of primary capsules, routed `times` times. 5.7 M
    parameters for two classes, 6.8 M for the ten that it was published for. Its features are its class capsules."""
    return CapsuleNetwork(classes, width, types, times)


def squashed(vectors: Tensor) -> Tensor:
    """The same directions; lengths l become l² / (1 + l²)."""
    long = length(vectors)[..., None]
    return vectors * long / (1 + long * long)


def length(vectors: Tensor) -> Tensor:
    """Over the last axis; a little above 0 where all is 0, so that it has a slope there."""
    return (vectors.square().sum(dim=-1) + _SMALLEST * _SMALLEST).sqrt()
