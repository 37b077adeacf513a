"""From the instances of a bag to one row or one answer, as modules of arrays: N×n×d → N×d′, or N×K probabilities.

What scikit-learn and SciPy compute in float64 is computed in float32 here; an export compares every prediction. Each
distance is that of its square without what is the same for all that it is compared with: numbers of thousands would
take the digits that tell neighbours apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from inference.blocks.networks.bag_classifier import BagNetworkClassifier
from inference.blocks.networks.bags import RecurrentAttention
from inference.champions.whole_image.arrays import Arrays, Machine, Scaled, in_order, shares
from inference.champions.whole_image.heads import as_module
from inference.champions.whole_image.refusals import ExportError
from inference.recipes.part import Block

#: Of |a|² + |b|²: what is nearer than rounding may say is no distance.
_ALIKE = 1e-5
#: Where a side of a rectangle stands that shuts nothing out.
_FAR = 1e30


def aggregate_of(block: Block, made: Any, classes: Sequence[str], instances: int) -> nn.Module:
    """The aggregate `made` of the block, fitted where it learns, for bags of so many instances. Where it answers, its
    columns are in the order of `classes`.

    Raises
    ------
    ExportError
        It cannot be written as a graph.
    """
    if block.name not in _NAMES:
        raise ExportError(
            f"the aggregate {block.name} cannot be written as a graph; {', '.join(sorted(_NAMES))} can"
        )
    if made.kind != "bags":
        return _NAMES[block.name](made, instances)
    return in_order(_NAMES[block.name](made, instances), made.classes_, classes)


class Mean(nn.Module):
    """What no aggregate is: the mean of all instances."""

    def forward(self, bags: Tensor) -> Tensor:
        return bags.mean(dim=1)


class _Vote(nn.Module):
    def forward(self, bags: Tensor) -> Tensor:
        first = (bags == bags.amax(dim=2, keepdim=True)).to(bags.dtype)
        return (first / first.sum(dim=2, keepdim=True)).mean(dim=1)


class _Top(nn.Module):
    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, bags: Tensor) -> Tensor:
        top = bags.topk(self.count, dim=1).values.mean(dim=1)
        if bags.shape[2] == 2:
            return torch.cat([1 - top[:, 1:], top[:, 1:]], dim=1)
        return top / top.sum(dim=1, keepdim=True)


class _PNorm(nn.Module):
    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, bags: Tensor) -> Tensor:
        return self.of(bags, torch.ones_like(bags[:, :, :1]))

    def of(self, bags: Tensor, kept: Tensor) -> Tensor:
        """Of the instances whose `kept` N×n×1 is 1."""
        magnitude = bags.abs() * kept
        largest = magnitude.amax(dim=1, keepdim=True).clamp(min=1e-30)
        powers = ((magnitude / largest) ** self.p).sum(dim=1) / kept.sum(dim=1)
        return largest[:, 0] * powers ** (1 / self.p)


class _Discriminative(Arrays):
    centre: Tensor
    spread: Tensor
    middles: Tensor
    lengths: Tensor
    kept: Tensor

    def __init__(self, block: Any) -> None:
        super().__init__()
        middles = block._means.cluster_centers_
        self.pooled = _PNorm(block.p)
        self.keep(
            centre=block._centre, spread=block._spread, middles=middles.T, lengths=(middles**2).sum(axis=1),
            kept=block.kept.astype(np.float32),
        )  # fmt: skip

    def forward(self, bags: Tensor) -> Tensor:
        rows = (bags - self.centre) / self.spread
        nearest = (self.lengths - 2 * (rows @ self.middles)).topk(1, dim=2, largest=False).indices
        chosen = self.kept.index_select(0, nearest.reshape(-1)).reshape(-1, bags.shape[1], 1)
        some = chosen.amax(dim=1, keepdim=True)
        return self.pooled.of(bags, torch.where(some > 0, chosen, torch.ones_like(chosen)))


class _Relevant(nn.Module):
    """The mean of the patches that a fitted head lets stay."""

    def __init__(self, block: Any, instances: int) -> None:
        super().__init__()
        judge = block._judge
        self.judge = as_module(judge, [str(name) for name in judge.classes_])
        self.least, self.bar = max(1, round(block.minimum * instances)), float(block._bar)

    def forward(self, bags: Tensor) -> Tensor:
        chances: Tensor = self.judge(bags.reshape(-1, bags.shape[2]))[:, 1].reshape(-1, bags.shape[1])
        worst = chances.topk(self.least, dim=1).values[:, self.least - 1 :]
        bar = torch.where(worst < self.bar, worst, torch.full_like(worst, self.bar))
        stays = (chances >= bar).to(bags.dtype)[:, :, None]
        kept: Tensor = (bags * stays).sum(dim=1) / stays.sum(dim=1)
        return kept


# --- bag classifiers -----------------------------------------------------------------------------------------


class _Judged(Arrays):
    """A bag's score as probabilities of the two classes, by Platt's sigmoid."""

    slope: Tensor
    offset: Tensor

    def __init__(self, block: Any, score: nn.Module) -> None:
        super().__init__()
        self.score, self.second = score, block._column == 1
        slope = float(block._platt.coef_[0, 0]) / block._width
        offset = float(block._platt.intercept_[0]) - slope * block._middle
        self.keep(slope=[slope], offset=[offset])

    def forward(self, bags: Tensor) -> Tensor:
        chances = shares(self.score(bags)[:, None] * self.slope + self.offset)
        return chances if self.second else torch.cat([chances[:, 1:], chances[:, :1]], dim=1)


class _Highest(nn.Module):
    def __init__(self, machine: Any) -> None:
        super().__init__()
        self.machine = Machine(machine)

    def forward(self, bags: Tensor) -> Tensor:
        decisions: Tensor = self.machine(bags)
        return decisions[:, :, 0].amax(dim=1)


class _Neighbourhood(Arrays):
    """The mean log odds of the most positive instances, each by its nearest known ones (`NonParametric`)."""

    rows: Tensor
    lengths: Tensor
    weights: Tensor
    positive: Tensor

    def __init__(self, block: Any, instances: int) -> None:
        super().__init__()
        rows = block._index._fit_X
        self.neighbours, self.width = int(block._index.n_neighbors), float(block._bandwidth)
        self.speaking = max(1, round(block.share * instances))
        weights = block._weights / block._weights.max()  # odds know no scale, and float32 has less room
        self.keep(
            rows=rows.T, lengths=(rows**2).sum(axis=1), weights=weights,
            positive=block._labels * weights,
        )  # fmt: skip

    def forward(self, bags: Tensor) -> Tensor:
        count = bags.shape[1]
        apart, which = (self.lengths - 2 * (bags @ self.rows)).topk(self.neighbours, dim=2, largest=False)
        vote = torch.exp((apart[:, :, :1] - apart) * (0.5 / self.width**2))
        places = which.reshape(-1)
        both, positive = (
            (vote * values.index_select(0, places).reshape(-1, count, self.neighbours)).sum(dim=2)
            for values in (self.weights, self.positive)
        )
        odds = torch.log((positive + 0.02 * both) / (both - positive + 0.02 * both))
        return odds.topk(self.speaking, dim=1).values.mean(dim=1)


class _Cited(Arrays):
    """Citation-kNN: the positive share among the nearest bags and those that cite this one."""

    rows: Tensor
    lengths: Tensor
    positive: Tensor
    reach: Tensor
    first: Tensor

    def __init__(self, block: Any, instances: int) -> None:
        super().__init__()
        sizes = {len(bag) for bag in block._bags}
        if len(sizes) > 1:
            raise ExportError("its bags hold different numbers of patches, and one number is served")
        self.bags, (self.size,) = len(block._bags), sizes
        self.references = min(block.references, self.bags)
        self.there, self.back = (int(block.rank * (many - 1)) for many in (instances, self.size))
        rows = np.concatenate(block._bags)
        self.keep(
            rows=rows.T, lengths=(rows**2).sum(axis=1), positive=block._truth.astype(np.float32),
            # a bag that is met again lies exactly at the reach of those that it was the last to be reached by
            reach=block._reach**2 + _ALIKE * (1 + block._reach**2),
            # of bags that are equally near the first is nearest
            first=1e-12 * np.arange(self.bags),
        )  # fmt: skip

    def forward(self, bags: Tensor) -> Tensor:
        together = (bags * bags).sum(dim=2, keepdim=True) + self.lengths
        apart = together - 2 * (bags @ self.rows)
        apart = torch.where(apart < _ALIKE * together, torch.zeros_like(apart), apart)
        pairs = apart.reshape(-1, bags.shape[1], self.bags, self.size)
        there = pairs.amin(dim=3).topk(self.there + 1, dim=1, largest=False).values[:, self.there]
        back = pairs.amin(dim=1).topk(self.back + 1, dim=2, largest=False).values[:, :, self.back]
        squared = torch.where(there > back, there, back)
        nearest = (squared + self.first).topk(self.references, dim=1, largest=False).indices
        known = self.positive.index_select(0, nearest.reshape(-1)).reshape(-1, self.references)
        cites = (squared <= self.reach).to(bags.dtype)
        votes = known.sum(dim=1) + (cites * self.positive).sum(dim=1)
        share: Tensor = votes / (self.references + cites.sum(dim=1))
        return share


class _Rectangle(Arrays):
    """Minus the distance of the nearest instance to a rectangle; sides that are not asked are far away."""

    low: Tensor
    high: Tensor

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.keep(low=np.maximum(block._low, -_FAR), high=np.minimum(block._high, _FAR))

    def forward(self, bags: Tensor) -> Tensor:
        away = torch.relu(self.low - bags) + torch.relu(bags - self.high)
        nearest: Tensor = (away * away).sum(dim=2).amin(dim=1)
        return -nearest.sqrt()


class _Concept(Arrays):
    """Minus the squared scaled distance of the nearest instance to a point (`DiverseDensity`)."""

    point: Tensor
    scale: Tensor

    def __init__(self, block: Any) -> None:
        super().__init__()
        point, scale = np.split(block._concept, 2)
        self.keep(point=point, scale=scale)

    def forward(self, bags: Tensor) -> Tensor:
        apart = (bags - self.point) * self.scale
        nearest: Tensor = (apart * apart).sum(dim=2).amin(dim=1)
        return -nearest


class _Read(nn.Module):
    """A trained bag network over scaled instances."""

    def __init__(self, block: BagNetworkClassifier, instances: int) -> None:
        super().__init__()
        network = block._network
        self.project, self.last = network.project, network.last
        self.reader: nn.Module = network.reader
        if isinstance(network.reader, RecurrentAttention):
            self.reader = _Unrolled(network.reader, instances)

    def forward(self, bags: Tensor) -> Tensor:
        said = self.reader(self.project(bags))
        return torch.softmax(self.last(said if isinstance(said, Tensor) else said[0]), dim=1)


class _Unrolled(nn.Module):
    """A recurrent reader step by step: a graph has no loop, and a bag has always as many instances."""

    def __init__(self, reader: RecurrentAttention, instances: int) -> None:
        super().__init__()
        self.reader, self.instances = reader, instances

    def forward(self, rows: Tensor) -> Tensor:
        ways = ["", "_reverse"] if self.reader.both_ways else [""]
        states = torch.cat([self._way(rows, way) for way in ways], dim=2)
        if self.reader.score is not None:
            weights = torch.softmax(self.reader.score(states)[:, :, 0], dim=1)
            return (weights[:, :, None] * states).sum(dim=1)
        last = states[:, self.instances - 1]
        if not self.reader.both_ways:
            return last
        return torch.cat([last[:, : self.reader.hidden], states[:, 0, self.reader.hidden :]], dim=1)

    def _way(self, rows: Tensor, way: str) -> Tensor:
        """N×n×H, the state after each instance."""
        network = self.reader.network
        into, over, one, two = (
            getattr(network, f"{part}_l0{way}") for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        given = rows @ into.T + one
        hidden = torch.zeros_like(rows[:, 0])  # rows are as wide as the state
        cell, said = hidden, {}
        order = range(self.instances)
        for place in reversed(order) if way else order:
            own, kept = given[:, place], hidden @ over.T + two
            if isinstance(network, nn.LSTM):
                enter, forget, new, out = _pieces(own + kept, 4)
                cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(new)
                hidden = torch.sigmoid(out) * torch.tanh(cell)
            else:
                (reset, update, new), (again, keep, old) = _pieces(own, 3), _pieces(kept, 3)
                stay = torch.sigmoid(update + keep)
                hidden = (1 - stay) * torch.tanh(new + torch.sigmoid(reset + again) * old) + stay * hidden
            said[place] = hidden
        return torch.stack([said[place] for place in order], dim=1)


def _pieces(gates: Tensor, count: int) -> list[Tensor]:
    wide = gates.shape[1] // count
    return [gates[:, wide * n : wide * (n + 1)] for n in range(count)]


def _scaled(score: Callable[[Any, int], nn.Module]) -> Callable[[Any, int], nn.Module]:
    return lambda block, n: Scaled(block._centre, block._spread, _Judged(block, score(block, n)))


def _network(block: Any, instances: int) -> nn.Module:
    return Scaled(block._centre, block._spread, _Read(block, instances))


_NAMES: dict[str, Callable[[Any, int], nn.Module]] = {
    "mean": lambda block, n: Mean(),
    "vote": lambda block, n: _Vote(),
    "top_share": lambda block, n: _Top(max(1, round(block.share * n))),
    "max": lambda block, n: _Top(max(1, round(block.share * n))),
    "p_norm": lambda block, n: _PNorm(block.p),
    "kmeans_discriminative": lambda block, n: _Discriminative(block),
    "relevance_filter": lambda block, n: Mean() if block._judge is None else _Relevant(block, n),
    "mi_svm": _scaled(lambda block, n: _Highest(block._machine)),
    "mi_svm_bag": _scaled(lambda block, n: _Highest(block._machine)),
    "citation_knn": _scaled(_Cited),
    "non_parametric": _scaled(_Neighbourhood),
    "axis_parallel_rectangle": _scaled(lambda block, n: _Rectangle(block)),
    "em_diverse_density": _scaled(lambda block, n: _Concept(block)),
    "gated_attention": _network,
    "recurrent": _network,
}
