"""What a network of a recipe learns from and is asked: the instances of pictures, in memory or from shards."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch import distributed as dist

from inference.recipes.pictures import Picture
from inference.recipes.provenance import Rows, Streamed
from inference.training.batches import InMemory, Source
from inference.training.shards import INDEX, Example, Shards, write_shards
from inference.training.world import world

#: Pictures that go through a network at once outside training.
CHUNK = 32


@dataclass(frozen=True)
class Examples:
    """`source`: images uint8 N×3×H×W, masks uint8 N×1×H×W (0 or 255) where a network outlines, labels of so many
    `classes`."""

    source: Source
    classes: int
    outlined: bool = False

    def __len__(self) -> int:
        return len(self.source.labels)


def examples_of(rows: Rows, labels: Sequence[int], classes: int, outlined: bool, shards: Path) -> Examples:
    """The instances of `rows` (pictures, or tuples of them), each under its row's label: in memory; of streamed rows in
    `shards`, which are written one picture at a time and taken as they are where they are finished."""
    if isinstance(rows.values, Streamed):
        return Examples(_sharded(rows, labels, outlined, shards), classes, outlined)
    bags = [_bag(value) for value in rows.values]
    pictures = [picture for bag in bags for picture in bag]
    own = torch.tensor(labels, dtype=torch.int64).repeat_interleave(torch.tensor([len(bag) for bag in bags]))
    nothing = torch.zeros(len(pictures), 0)
    masks = torch.stack([torch.from_numpy(_mask(p)) for p in pictures])[:, None] if outlined else nothing
    return Examples(InMemory((tensor_of(pictures), masks, nothing, own), own), classes, outlined)


def _sharded(rows: Rows, labels: Sequence[int], outlined: bool, folder: Path) -> Shards:
    rank, processes = world()
    if rank == 0 and not (folder / INDEX).is_file():
        shutil.rmtree(folder, ignore_errors=True)  # what a killed run left of it
        write_shards(folder, _written(rows, labels, outlined))
    if processes > 1:
        dist.barrier()
    return Shards(folder, grey_as_rgb=True)


def clear(folder: Path, step: str) -> None:
    """Remove the shards of a step that has learned."""
    if world()[1] > 1:
        dist.barrier()
    if world()[0] == 0:
        for shards in folder.glob(f"{step}*.shards"):
            shutil.rmtree(shards)


def _written(rows: Rows, labels: Sequence[int], outlined: bool) -> Iterator[Example]:
    number = 0
    for value, label in zip(rows.values, labels, strict=True):
        for picture in _bag(value):
            mask = _mask(picture) if outlined else None
            yield Example(f"{number:08d}", np.ascontiguousarray(picture.image), float(label), mask)
            number += 1


def tensor_of(pictures: Sequence[Picture]) -> Tensor:
    """uint8 N×3×H×W; grey images are repeated. All of one size."""
    stacked = torch.from_numpy(np.ascontiguousarray(np.stack([picture.image for picture in pictures])))
    if stacked.ndim == 3:
        return stacked[:, None].expand(-1, 3, -1, -1)
    return stacked.permute(0, 3, 1, 2)


def asked(use: Callable[[Tensor], NDArray[Any]], values: Iterable[Any]) -> list[NDArray[Any]]:
    """`use(images)` over the instances of all values, so many at a time, handed back value by value: with a row an
    instance."""
    lengths: list[int] = []

    def instances() -> Iterator[Picture]:
        for value in values:
            bag = _bag(value)
            lengths.append(len(bag))
            yield from bag

    every, said = instances(), []
    while chunk := list(islice(every, CHUNK)):
        said.append(use(tensor_of(chunk)))
    return np.split(np.concatenate(said), np.cumsum(lengths)[:-1]) if said else []


def _bag(value: Any) -> tuple[Picture, ...]:
    return value if isinstance(value, tuple) else (value,)


def _mask(picture: Picture) -> NDArray[np.uint8]:
    """255 inside; a picture without an outline has an empty one."""
    if picture.mask is None:
        return np.zeros(picture.image.shape[:2], np.uint8)
    return picture.mask.astype(np.uint8) * 255
