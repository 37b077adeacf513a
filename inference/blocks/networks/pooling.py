"""From a feature map to one row an image, with what each place contributed.

Every pool's `both` answers with the row and with `places`, vectors of the same meaning at every place of the
map; a classifier's last layer applied to them is its class activation map, at no extra pass.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inference.blocks.networks.bags import GatedAttention, RecurrentAttention
from inference.blocks.registry import block

#: Pools that are told the number of classes and answer with their logits.
LOGIT_POOLS = ("ggp", "rgp")


class Pooled(NamedTuple):
    """`row` N×C′; `places` N×C′×h×w."""

    row: Tensor
    places: Tensor


class Pool(nn.Module):
    """N×`channels`×h×w → N×`out_channels`; where `gives_logits`, these are classes and no layer follows."""

    gives_logits = False

    def __init__(self, channels: int, out_channels: int | None = None) -> None:
        super().__init__()
        self.channels = channels
        self.out_channels = channels if out_channels is None else out_channels

    def both(self, x: Tensor) -> Pooled:
        """The row and its places; see the module."""
        return Pooled(self.row(x), x)

    def row(self, x: Tensor) -> Tensor:
        """The row alone, for pools whose places are the map itself."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """N×C×h×w → N×C′."""
        return self.both(x).row


@block("pool", "gap")
class Mean(Pool):
    """Global average. The mean of a class activation map is then exactly the class's logit."""

    def row(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


@block("pool", "max")
class Maximum(Pool):
    """Global maximum."""

    def row(self, x: Tensor) -> Tensor:
        return x.amax(dim=(2, 3))


@block("pool", "pnorm")
class PNorm(Pool):
    """(mean of xᵖ)^(1/p) a channel: p = 1 is the mean, large p the maximum. Negative responses count as 0.

    p = 3 is [20]'s; with `learn` it is the generalised mean (GeM, Radenović 2019)."""

    p: Tensor

    def __init__(self, channels: int, p: float = 3.0, *, learn: bool = False) -> None:
        super().__init__(channels)
        if p < 1:
            raise ValueError(f"P-norm pooling needs p of at least 1, not {p}")
        exponent = torch.tensor(float(p))
        if learn:
            self.p = nn.Parameter(exponent)
        else:
            self.register_buffer("p", exponent)

    def row(self, x: Tensor) -> Tensor:
        p = self.p.clamp(min=1.0)
        return x.clamp(min=1e-6).pow(p).mean(dim=(2, 3)).pow(1.0 / p)


@block("pool", "lse")
class LogSumExp(Pool):
    """(1/r)·log(mean of exp(r·x)) a channel (Pinheiro 2015): small r is near the mean, large r the peak."""

    def __init__(self, channels: int, sharpness: float = 5.0) -> None:
        super().__init__(channels)
        if sharpness <= 0:
            raise ValueError(f"log-sum-exp pooling needs a sharpness above 0, not {sharpness}")
        self.sharpness = sharpness

    def row(self, x: Tensor) -> Tensor:
        flat = x.flatten(2)
        return (torch.logsumexp(flat * self.sharpness, dim=2) - math.log(flat.shape[2])) / self.sharpness


@block("pool", "topk")
class TopMean(Pool):
    """The mean of each channel's strongest `share` of places, at least one."""

    def __init__(self, channels: int, share: float = 0.1) -> None:
        super().__init__(channels)
        self.share = _checked_share(share)

    def row(self, x: Tensor) -> Tensor:
        return _top_mean(x.flatten(2), self.share)


@block("pool", "ggp")
class GlobalGroupMax(Pool):
    """Global group-max pooling (Shu 2020): a 1×1 convolution makes a map of logits a class; the class's
    logit is the mean of the highest `share` of the whole map.

    `places` is that map: of malignancy, when the class is. Pooling stands before the sigmoid, so that the
    row is a logit and any loss on logits goes."""

    gives_logits = True

    def __init__(self, channels: int, classes: int = 1, share: float = 0.2) -> None:
        super().__init__(channels, classes)
        self.judge = nn.Conv2d(channels, classes, 1)
        self.share = _checked_share(share)

    def both(self, x: Tensor) -> Pooled:
        places = self.judge(x)
        return Pooled(_top_mean(places.flatten(2), self.share), places)


@block("pool", "rgp")
class RegionGroupMax(GlobalGroupMax):
    """Region-based group-max pooling (Shu 2020): the map is cut into squares of `region` places; each square
    has its highest logit; the class's logit is the mean of the highest `share` of squares.

    Squares at the far edges are smaller where the map is no multiple."""

    def __init__(self, channels: int, classes: int = 1, share: float = 0.2, region: int = 2) -> None:
        super().__init__(channels, classes, share)
        if region < 1:
            raise ValueError(f"a region has at least one place, not {region}")
        self.region = region

    def both(self, x: Tensor) -> Pooled:
        places = self.judge(x)
        squares = F.max_pool2d(places, self.region, ceil_mode=True)
        return Pooled(_top_mean(squares.flatten(2), self.share), places)


@block("pool", "gated_attention")
class AttentionPool(Pool):
    """Gated attention (Ilse 2018) over the places of one map. The mean of a class's map is its logit."""

    def __init__(self, channels: int, hidden: int = 128) -> None:
        super().__init__(channels)
        self.attention = GatedAttention(channels, hidden)

    def both(self, x: Tensor) -> Pooled:
        row, weights = self.attention(x.flatten(2).transpose(1, 2))
        count = x.shape[2] * x.shape[3]
        weighted = x.flatten(2) * weights[:, None] * count
        return Pooled(row, weighted.view(x.shape))


@block("pool", "recurrent")
class RecurrentPool(Pool):
    """The map's places, row by row, as a sequence read by a BiLSTM [28] or a GRU with attention [45]."""

    def __init__(
        self, channels: int, cell: str = "lstm", hidden: int = 128, read: str = "attention",
        *, both_ways: bool = True,
    ) -> None:  # fmt: skip
        sequence = RecurrentAttention(channels, cell, hidden, read, both_ways=both_ways)
        super().__init__(channels, sequence.out_channels)
        self.sequence = sequence

    def both(self, x: Tensor) -> Pooled:
        states, bag = self.sequence.read_all(x.flatten(2).transpose(1, 2))
        count = x.shape[2] * x.shape[3]
        weighted = states * bag.weights[:, :, None] * count
        return Pooled(bag.row, weighted.transpose(1, 2).reshape(x.shape[0], -1, *x.shape[2:]))


def _top_mean(values: Tensor, share: float) -> Tensor:
    """N×K×L → N×K: the mean of the highest `share` of L."""
    count = max(1, round(share * int(values.shape[2])))
    return values.topk(count, dim=2).values.mean(dim=2)


def _checked_share(share: float) -> float:
    if not 0 < share <= 1:
        raise ValueError(f"a share lies above 0 and at most at 1, not at {share}")
    return share
