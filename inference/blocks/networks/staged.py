"""What all backbones share: stages of blocks, freezing, attention between blocks, joined levels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypedDict, TypeVar, Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from inference.blocks.registry import build

Where = Literal["blocks", "stages", "end"]
Join = Literal["coarse", "fine"]


class WeightsUnavailable(ValueError):
    """A recipe asks for weights that no installed package brings; the message names the nearest one."""


class Block(NamedTuple):
    """A step of a backbone and how many channels it puts out."""

    module: nn.Module
    channels: int


class BackboneOptions(TypedDict, total=False):
    """What a recipe may say of any backbone, beside the backbone's own parameters.

    `weights`: `random`, or `imagenet` where a package brings them. `freeze`: how many stages from the input
    keep their values and statistics, or `all`. `attention`: a block of that family, put after every block,
    after every stage or at the end (`attention_at`); it stays trainable in frozen stages. `levels`: stages
    (1 is the first) whose maps are joined into the answer; empty for the last alone. `join`: on the grid of
    the last of them (`coarse`: the mean of the answer is then the stages' means side by side, as
    of Kasani 2019), or on that of the first (`fine`: a hypercolumn, as of BreastNet).
    """

    weights: Literal["random", "imagenet"]
    freeze: int | Literal["all"]
    attention: str | None
    attention_at: Where
    attention_parameters: Mapping[str, Any]
    levels: Sequence[int]
    join: Join


class Staged(nn.Module):
    """A backbone: N×3×H×W, or N×1×H×W that is repeated, normalised by mean = std = 0.5 → N×`channels`×h×w.

    `stage_channels` are those of each stage's last block. With `fixed_statistics` batch norm keeps the
    statistics it was given: batches here are too small to estimate better ones than ImageNet's.
    """

    def __init__(self, stages: Sequence[Sequence[Block]]) -> None:
        super().__init__()
        self.stages = nn.ModuleList(nn.ModuleList(block.module for block in stage) for stage in stages)
        self.after = nn.ModuleList(nn.ModuleList(nn.Identity() for _ in stage) for stage in stages)
        self.block_channels = tuple(tuple(block.channels for block in stage) for stage in stages)
        self.stage_channels = tuple(stage[-1] for stage in self.block_channels)
        self.channels = self.stage_channels[-1]
        self.fixed_statistics = False
        self._frozen_stages = 0
        self._joined: tuple[int, ...] = ()
        self._join: Join = "coarse"

    def levels(self, x: Tensor, before: nn.Module | None = None) -> list[Tensor]:
        """The map after each stage, finest first; the last one `before` its last block where that is named."""
        if x.shape[1] == 1:
            x = x.expand(-1, 3, -1, -1)
        maps = []
        for stage, attention in zip(self.stages, self.after, strict=True):
            for step, weigh in zip(_modules(stage), _modules(attention), strict=True):
                if step is not before:
                    x = weigh(step(x))
            maps.append(x)
        return maps

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        maps = self.levels(x)
        if not self._joined:
            return maps[-1]
        chosen = [maps[number - 1] for number in self._joined]
        if self._join == "coarse":
            size = (chosen[-1].shape[2], chosen[-1].shape[3])
            return torch.cat(
                [F.adaptive_avg_pool2d(level, size) for level in chosen[:-1]] + chosen[-1:], dim=1
            )
        size = (chosen[0].shape[2], chosen[0].shape[3])
        finer = [
            F.interpolate(level, size=size, mode="bilinear", align_corners=False) for level in chosen[1:]
        ]
        return torch.cat(chosen[:1] + finer, dim=1)

    def freeze(self, stages: int | Literal["all"]) -> None:
        """Hold the first `stages` at their values and statistics, the others learn; attention in them stays trainable.

        Raises
        ------
        ValueError
            There are not so many stages.
        """
        count = len(self.stages) if stages == "all" else stages
        if not 0 <= count <= len(self.stages):
            raise ValueError(f"freeze: {stages}, but this backbone has {len(self.stages)} stages")
        self._frozen_stages = count
        for number, stage in enumerate(_modules(self.stages)):
            stage.requires_grad_(number >= count)
        self.train(self.training)

    def attend(self, name: str, where: Where, parameters: Mapping[str, Any]) -> None:
        """Put attention `name` after every block, after every stage, or at the end."""
        for stage, channels in enumerate(self.block_channels):
            for number, width in enumerate(channels):
                last = number == len(channels) - 1
                end = last and stage == len(self.block_channels) - 1
                if where == "blocks" or (where == "stages" and last) or end:
                    places = self.after[stage]
                    assert isinstance(places, nn.ModuleList)
                    places[number] = build("attention", name, channels=width, **parameters)

    def join(self, levels: Sequence[int], how: Join) -> None:
        """Answer with these stages' maps side by side (see `BackboneOptions`); later stages are dropped.

        Raises
        ------
        ValueError
            A stage that does not exist, or stages out of order.
        """
        if any(not 1 <= level <= len(self.stages) for level in levels) or sorted(set(levels)) != list(levels):
            raise ValueError(f"levels: {list(levels)} are not rising numbers of 1…{len(self.stages)}")
        # what nothing reads would get no gradient, which DDP takes for an error
        last = levels[-1]
        self.stages, self.after = self.stages[:last], self.after[:last]
        self.stage_channels = self.stage_channels[:last]
        self._joined, self._join = tuple(levels), how
        self.channels = sum(self.stage_channels[level - 1] for level in levels)

    def train(self, mode: bool = True) -> Staged:
        """Frozen stages never leave evaluation; see `fixed_statistics` for batch norm elsewhere."""
        super().train(mode)
        for number, stage in enumerate(_modules(self.stages)):
            frozen = number < self._frozen_stages
            for module in stage.modules():
                if frozen or (self.fixed_statistics and isinstance(module, nn.BatchNorm2d)):
                    module.training = False
        return self


_Body = TypeVar("_Body", bound=Staged)


def finish(body: _Body, name: str, **options: Unpack[BackboneOptions]) -> _Body:
    """Apply a recipe's options to a backbone whose weights are in place if it has any.

    Raises
    ------
    WeightsUnavailable
        `imagenet` for a backbone that did not get such weights.
    ValueError
        A stage that does not exist; an option's unknown value.
    """
    weights = options.pop("weights", "random")
    if weights not in ("random", "imagenet"):
        raise ValueError(f"weights: {weights!r} is neither random nor imagenet")
    if weights == "imagenet" and not body.fixed_statistics:
        raise WeightsUnavailable(
            f"no package brings ImageNet weights of {name}; the nearest that has some is effnet_lite0"
        )
    where, how = options.pop("attention_at", "stages"), options.pop("join", "coarse")
    if where not in ("blocks", "stages", "end"):
        raise ValueError(f"attention_at: {where!r} is none of blocks, stages, end")
    if how not in ("coarse", "fine"):
        raise ValueError(f"join: {how!r} is neither coarse nor fine")
    body.freeze(options.pop("freeze", 0))
    attention, parameters = options.pop("attention", None), options.pop("attention_parameters", {})
    if attention is not None:
        body.attend(attention, where, parameters)
    levels = options.pop("levels", ())
    if levels:
        body.join(levels, how)
    if options:
        raise TypeError(f"{name} takes no {', '.join(sorted(options))}")
    return body


def conv_norm(inside: int, outside: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution without bias, batch norm, ReLU; odd kernels keep the size at stride 1."""
    return nn.Sequential(
        nn.Conv2d(inside, outside, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(inplace=True),
    )


def he_normal(network: nn.Module) -> None:
    """Weights of convolutions as of He 2015, for networks that begin from nothing."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def _modules(container: nn.Module) -> list[nn.Module]:
    return list(container.children())
