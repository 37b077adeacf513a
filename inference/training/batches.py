"""An epoch's batches: who stands in them, how they are read, and what chance does to them.

A process of several draws the same order as the others, and reads and augments only its own share of each batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Generator, Tensor
from torch.utils.data import DataLoader, Dataset

from inference.blocks.sampling import Sampler, plain
from inference.training.device import device
from inference.training.world import world

Parts = tuple[Tensor, ...]
#: Examples as they are stored, generator → the tensors that the loss gets.
Compose = Callable[[Parts, Generator], Parts]


class Source(Protocol):
    """Examples by number; `labels` are what a sampler balances by."""

    @property
    def labels(self) -> Tensor:
        """One an example."""
        ...

    def take(self, indices: Tensor) -> Parts:
        """The examples of these numbers, as tensors of as many rows."""
        ...


@dataclass(frozen=True, eq=False)
class InMemory:
    """Examples that fit into memory, on the CPU or on a GPU; each part has one row an example."""

    parts: Parts
    labels: Tensor

    def take(self, indices: Tensor) -> Parts:
        """See `Source`."""
        here = indices.to(self.labels.device)
        return tuple(part[here] for part in self.parts)

    def to(self, place: torch.device) -> InMemory:
        """The same, on `place`."""
        return InMemory(tuple(part.to(place) for part in self.parts), self.labels.to(place))


def _as_stored(parts: Parts, _: Generator) -> Parts:
    return parts


@dataclass(frozen=True, eq=False)
class Batches:
    """Batches of `size` from `source`, the last incomplete one left out. With `workers` so many processes read ahead;
    they draw nothing, so that their number changes no bit. `each_epoch`: so many batches are an epoch, however many
    examples there are; by default as many as the examples fill.

    Raises
    ------
    ValueError
        A batch has fewer examples than there are processes.
    """

    source: Source
    size: int
    compose: Compose = _as_stored
    sampler: Sampler = plain()  # noqa: RUF009 - a function
    workers: int = 0
    each_epoch: int | None = None

    def __post_init__(self) -> None:
        if min(self.size, len(self.source.labels)) < world()[1]:
            raise ValueError(
                f"{min(self.size, len(self.source.labels))} examples cannot be shared by {world()[1]} processes"
            )

    @property
    def steps(self) -> int:
        """Of one epoch."""
        return self.each_epoch or len(self.source.labels) // self.size

    def __call__(self, generator: Generator) -> Iterator[Parts]:
        """One epoch, on `device()`; every random number comes from `generator`."""
        rank, processes = world()
        labels, drawn = self.source.labels.to(generator.device), list[Tensor]()
        while len(drawn) < self.steps:
            drawn += self.sampler(labels, self.size, generator)
        drawn = drawn[: self.steps]
        chance = generator
        if rank:
            chance = Generator(device=generator.device).manual_seed(generator.initial_seed() + 7_919 * rank)
        for parts in self._read([indices[rank::processes] for indices in drawn]):
            yield self.compose(tuple(part.to(device(), non_blocking=True) for part in parts), chance)

    def _read(self, drawn: Sequence[Tensor]) -> Iterator[Parts]:
        if not self.workers:
            yield from (self.source.take(indices) for indices in drawn)
            return
        yield from DataLoader(
            _Numbered(self.source), batch_sampler=[indices.tolist() for indices in drawn],
            num_workers=self.workers, collate_fn=_together, pin_memory=device().type == "cuda",
            # the loader draws a seed for its workers: not from the numbers that dropout uses
            generator=Generator(),
        )  # fmt: skip


class _Numbered(Dataset[Parts]):
    """A source as torch's loader wants it: a whole batch at a time."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def __getitem__(self, index: int) -> Parts:
        return self.source.take(torch.tensor([index]))

    def __getitems__(self, indices: list[int]) -> Parts:
        return self.source.take(torch.tensor(indices))


def _together(parts: Any) -> Any:
    """The loader's parts are a batch already."""
    return parts
