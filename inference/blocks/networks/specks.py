"""A small network that finds clusters of specks on a film at its full resolution: calcifications of a tenth of a
millimetre are gone at the resolution that masses are outlined at."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inference.blocks.networks.staged import he_normal
from inference.blocks.registry import block

#: Pixels of the film for one place of the map.
STEP = 8
#: A film is as suspicious as the mean of so many of its highest places.
TOP = 10


class SpeckOutput(NamedTuple):
    """`places` N×1×H/8×W/8: the logit of a cluster; `logits` N×1: of the film, the mean of its `TOP` highest places
    inside the breast."""

    places: Tensor
    logits: Tensor


class SpeckNetwork(nn.Module):
    """Specks by the four pixels of every 2×2, which loses none, then how they lie together: a place sees about 90
    pixels (15 mm) around it."""

    def __init__(self, width: int = 12) -> None:
        super().__init__()
        self.fine = _twice(4, width)
        self.middle = _twice(width, 2 * width)
        self.together = _twice(4 * width, 2 * width)
        self.last = nn.Conv2d(2 * width, 1, 1)
        he_normal(self)
        assert self.last.bias is not None
        nn.init.constant_(self.last.bias, -2.0)  # most of a breast holds no cluster

    def forward(self, x: Tensor) -> SpeckOutput:
        """`x`: N×1×H×W in 0–255, 0 outside the breast; H and W multiples of 8."""
        x = x.float()
        coarse = F.avg_pool2d(F.avg_pool2d(x, 4), 5, stride=1, padding=2, count_include_pad=False)
        around = F.interpolate(coarse, scale_factor=4.0, mode="bilinear", align_corners=False)
        specks = self.fine(F.pixel_unshuffle(((x - around) / 16).clamp(-4, 8), 2))
        found = self.middle(F.max_pool2d(specks, 2))
        places = self.last(self.together(torch.cat([F.max_pool2d(found, 2), F.avg_pool2d(found, 2)], dim=1)))
        # near the skin and the film's edge the difference to what lies around is large without any speck
        outside = F.max_pool2d(1 - F.avg_pool2d((x > 0).float(), STEP), 3, stride=1, padding=1) > 0.01
        judged = torch.where(outside, torch.full_like(places, -20.0), places)
        return SpeckOutput(places, judged.flatten(1).topk(TOP, dim=1).values.mean(dim=1, keepdim=True))


def _twice(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(outside, outside, 3, padding=1),
        nn.ReLU(),
    )


@block("network", "specks", gives="objective")
def specks(width: int = 12) -> SpeckNetwork:
    """Small clusters on whole films at full resolution; `width`: channels of the first layers. For stages that name
    the objective `drawn_clusters`."""
    return SpeckNetwork(width)
