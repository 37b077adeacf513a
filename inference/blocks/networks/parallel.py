"""Several backbones trained together: each sees the image, their maps stand side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inference.blocks.networks.classifier import Classifier, assembled, made
from inference.blocks.networks.staged import Block, Staged
from inference.blocks.registry import block


class SideBySide(nn.Module):
    """N×3×H×W → N×(sum of channels)×h×w, on the grid of the coarsest map.

    The mean of the answer is each backbone's mean side by side, where grids divide one another."""

    def __init__(self, bodies: Sequence[Staged]) -> None:
        super().__init__()
        self.bodies = nn.ModuleList(bodies)

    def forward(self, x: Tensor) -> Tensor:
        maps = [body(x) for body in self.bodies]
        size = (min(m.shape[2] for m in maps), min(m.shape[3] for m in maps))
        return torch.cat([m if m.shape[2:] == size else F.adaptive_avg_pool2d(m, size) for m in maps], dim=1)


@block("network", "parallel", gives="labels")
def parallel(
    backbones: Sequence[str | dict[str, dict[str, Any]]], pool: str | Mapping[str, Mapping[str, Any]] = "gap",
    classes: int = 2, dropout: float = 0.3,
) -> Classifier:  # fmt: skip
    """Two `backbones` or more, each written as a block, under one pool and one last layer, as of [25].

    Raises
    ------
    ValueError
        Fewer than two backbones, no such backbone or pool, or parts that do not fit.
    """
    if len(backbones) < 2:
        raise ValueError(f"backbones: there should be two or more, not {len(backbones)}")
    bodies = [made("backbone", each, {}) for each in backbones]
    joined = Staged([[Block(SideBySide(bodies), sum(body.channels for body in bodies))]])
    return assembled(joined, pool, classes, dropout)
