"""Which samples stand in a batch: in random order, or each class as often as the others."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from inference.blocks.registry import block

#: labels int64 N, batch size, generator → batches of indices, one epoch of N // batch size
Sampler = Callable[[Tensor, int, Generator], list[Tensor]]


@block("sampler", "shuffled")
def plain() -> Sampler:
    """Every sample once, in random order."""
    return lambda labels, batch, generator: shuffled(len(labels), batch, generator)


@block("sampler", "class_balanced", takes="labels")
def class_balanced() -> Sampler:
    """As many draws of each class as of the others, as near as the batch allows.

    A class is used up in random order before any of its samples comes again, so a rare class repeats and a
    common one is left out in part. An epoch has as many draws as there are samples.
    """
    return _balanced


def _balanced(labels: Tensor, batch: int, generator: Generator) -> list[Tensor]:
    present = labels.unique().tolist()
    draws = len(labels) // batch * batch
    rounds = -(-draws // len(present))
    columns = []
    for label in present:
        members = torch.nonzero(labels == label)[:, 0]
        orders = [
            members[torch.randperm(len(members), generator=generator, device=generator.device)]
            for _ in range(-(-rounds // len(members)))
        ]
        columns.append(torch.cat(orders)[:rounds])
    # a round has one of each class; which stands first changes from round to round
    rows = torch.stack(columns, dim=1)
    turns = torch.argsort(torch.rand(rows.shape, generator=generator, device=generator.device), dim=1)
    return list(rows.gather(1, turns).flatten()[:draws].split(batch))


def shuffled(count: int, batch: int, generator: Generator) -> list[Tensor]:
    """Indices 0…count−1 in random order, in batches; the rest that fills no batch is dropped."""
    order = torch.randperm(count, generator=generator, device=generator.device)
    return list(order[: count // batch * batch].split(batch))
