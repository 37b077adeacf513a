"""Backbone, pool and a last layer assembled: logits, and a map of where they come from, in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inference.blocks.networks.pooling import LOGIT_POOLS, Pool
from inference.blocks.networks.staged import Staged
from inference.blocks.registry import UnknownBlock, block, build


class ClassifierOutput(NamedTuple):
    """`logits` N×K; `map` N×K×h×w, the logit that each place speaks for: of malignancy where class k is.

    For `gap` and attention the map's mean is the logit; for `rgp` and `ggp` the logit is pooled from the map;
    elsewhere it is the last layer applied place by place.
    """

    logits: Tensor
    map: Tensor


class Last(nn.Linear):
    """A linear layer that can also be applied to every place of a map."""

    def on_map(self, places: Tensor) -> Tensor:
        """N×C×h×w → N×K×h×w."""
        return F.conv2d(places, self.weight[:, :, None, None], self.bias)


class HierarchicalLast(nn.Module):
    """Level 1 chooses a group, level 2 a class within it; the answer is log p(group) + log p(class | group).

    So the K numbers are logits whose softmax is the product of both levels, and cross-entropy on them trains
    both ends at once. `groups`: class numbers by group; every class stands in exactly one.
    """

    group_of: Tensor

    def __init__(self, channels: int, groups: Sequence[Sequence[int]]) -> None:
        super().__init__()
        classes = sorted(number for group in groups for number in group)
        if not classes or classes != list(range(len(classes))) or any(not group for group in groups):
            raise ValueError(f"groups {[list(g) for g in groups]} do not hold each class 0…K−1 exactly once")
        self.groups = tuple(tuple(group) for group in groups)
        self.group = Last(channels, len(groups))
        self.within = Last(channels, len(classes))
        group_of = [next(g for g, members in enumerate(self.groups) if k in members) for k in classes]
        self.register_buffer("group_of", torch.tensor(group_of), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        groups = torch.log_softmax(self.group(x), dim=1)
        within = self.within(x)
        columns = [torch.empty(0)] * int(self.group_of.shape[0])
        for members in self.groups:
            shares = torch.log_softmax(within[:, list(members)], dim=1)
            for place, number in enumerate(members):
                columns[number] = shares[:, place]
        return torch.stack(columns, dim=1) + groups[:, self.group_of]

    def on_map(self, places: Tensor) -> Tensor:
        """What a place says for a class and for its group, before either softmax."""
        return self.within.on_map(places) + self.group.on_map(places)[:, self.group_of]


class Classifier(nn.Module):
    """Backbone, pool, dropout, last layer. A pool that gives logits is the last layer itself."""

    def __init__(
        self, backbone: Staged, pool: Pool, classes: int, *, dropout: float = 0.3,
        groups: Sequence[Sequence[int]] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if pool.channels != backbone.channels:
            raise ValueError(
                f"the pool takes {pool.channels} channels, the backbone gives {backbone.channels}"
            )
        if pool.gives_logits and (pool.out_channels != classes or groups):
            raise ValueError(
                f"the pool answers with {pool.out_channels} logits of its own, and {classes} classes were "
                + ("asked for in groups" if groups else "asked for")
            )
        if groups is not None and sum(len(group) for group in groups) != classes:
            raise ValueError(f"the groups {[list(g) for g in groups]} do not hold {classes} classes")
        self.backbone = backbone
        self.pool = pool
        self.dropout = nn.Dropout(dropout)
        self.last: Last | HierarchicalLast | None = None
        if groups is not None:
            self.last = HierarchicalLast(pool.out_channels, groups)
        elif not pool.gives_logits:
            self.last = Last(pool.out_channels, classes)

    def forward(self, x: Tensor) -> ClassifierOutput:
        """`x`: N×3×H×W, or N×1×H×W that is repeated; normalised by mean = std = 0.5."""
        features = self.backbone(x)
        if self.last is None:
            row, places = self.pool.both(self.dropout(features))
            return ClassifierOutput(row, places)
        row, places = self.pool.both(features)
        return ClassifierOutput(self.last(self.dropout(row)), self.last.on_map(places))


@block("network", "classifier", gives="labels")
def classifier(
    backbone: str | Mapping[str, Mapping[str, Any]], pool: str | Mapping[str, Mapping[str, Any]] = "gap",
    classes: int = 2, dropout: float = 0.3, groups: Sequence[Sequence[int]] | None = None,
) -> Classifier:  # fmt: skip
    """Build a `Classifier` from blocks as a recipe writes them: `name`, or `{name: {parameter: value}}`.

    Raises
    ------
    ValueError
        No such backbone or pool, or parts that do not fit.
    """
    return assembled(made("backbone", backbone, {}), pool, classes, dropout, groups)


def assembled(
    body: Staged, pool: str | Mapping[str, Mapping[str, Any]], classes: int, dropout: float,
    groups: Sequence[Sequence[int]] | None = None,
) -> Classifier:  # fmt: skip
    """A `Classifier` of a body and of a pool as a recipe writes it.

    Raises
    ------
    ValueError
        No such pool, or parts that do not fit.
    """
    needed: dict[str, Any] = {"channels": body.channels}
    if _chosen(pool)[0] in LOGIT_POOLS:
        needed["classes"] = classes
    return Classifier(body, made("pool", pool, needed), classes, dropout=dropout, groups=groups)


def made(family: str, written: str | Mapping[str, Mapping[str, Any]], needed: Mapping[str, Any]) -> Any:
    """The block that a recipe writes as `name`, or as `{name: {parameter: value}}`.

    Raises
    ------
    ValueError
        No such block.
    """
    name, parameters = _chosen(written)
    try:
        return build(family, name, **{**needed, **parameters})
    except UnknownBlock as error:
        raise ValueError(str(error)) from None


def _chosen(written: str | Mapping[str, Mapping[str, Any]]) -> tuple[str, dict[str, Any]]:
    if isinstance(written, str):
        return written, {}
    if len(written) != 1:
        raise ValueError(f"{dict(written)} should be one block's name with its parameters")
    name, parameters = next(iter(written.items()))
    return name, dict(parameters)


@block("network", "bhcnet", gives="labels")
def bhcnet(classes: int = 2, modules: int = 3, width: int = 16, stem_stride: int = 1) -> Classifier:
    """BHCNet (Jiang 2019): small SE-ResNet, mean, one layer. BHCNet-3 for two classes, BHCNet-6 for eight."""
    body = build("backbone", "small_se_resnet", modules=modules, width=width, stem_stride=stem_stride)
    return Classifier(body, build("pool", "gap", channels=body.channels), classes, dropout=0.0)
