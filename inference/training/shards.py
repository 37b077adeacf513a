"""A set that need not fit in memory: pictures in tars of some hundred MB, and an index of where each lies.

| file | what |
|---|---|
| `NNNNN.tar` | `KEY.image.png`, `KEY.mask.png` where there is one, `KEY.json`: the WebDataset grammar |
| `index.npz` | of each example its tar, where picture and mask begin and how long they are, its box and its label |

An example is read by itself at its place, so that any order is as good as any other, and the index alone is in memory:
64 bytes an example.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from inference.training.batches import Parts

INDEX = "index.npz"
_MOST_BYTES = 256 * 1024 * 1024
_NOWHERE = (-1, 0)


class ShardError(Exception):
    """Shards that are not what their index says, or pictures that do not go together. The sentence names the file."""


@dataclass(frozen=True, eq=False)
class Example:
    """`image` uint8 H×W or H×W×3, all of a set of one size; `mask` uint8 H×W (0 or 255); `box` x0, y0, x1, y1 or −1."""

    key: str
    image: NDArray[np.uint8]
    label: float
    mask: NDArray[np.uint8] | None = None
    box: tuple[float, float, float, float] = (-1.0, -1.0, -1.0, -1.0)


def write_shards(folder: Path, examples: Iterable[Example], most_bytes: int = _MOST_BYTES) -> Path:
    """The examples as shards in `folder`, one in memory at a time; the index comes last, so that an interrupted writing
    leaves none.

    Raises
    ------
    ShardError
        The folder has shards already.
    """
    if (folder / INDEX).exists():
        raise ShardError(f"{folder} holds shards already")
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[tuple[int, int, int, int, int]] = []
    boxes, labels = [], []
    number, tar = -1, None
    try:
        for example in examples:
            if tar is None or tar.offset > most_bytes:
                if tar is not None:
                    tar.close()
                number += 1
                tar = tarfile.open(folder / f"{number:05d}.tar", "w")  # noqa: SIM115 - closed below
            picture = _add(tar, f"{example.key}.image.png", _png(example.image))
            mask = _NOWHERE
            if example.mask is not None:
                mask = _add(tar, f"{example.key}.mask.png", _png(example.mask))
            facts = {"label": example.label, "box": example.box}
            _add(tar, f"{example.key}.json", json.dumps(facts).encode())
            rows.append((number, *picture, *mask))
            boxes.append(example.box)
            labels.append(example.label)
    finally:
        if tar is not None:
            tar.close()
    unfinished = folder / "index.part.npz"
    np.savez(
        unfinished, places=np.array(rows, np.int64).reshape(-1, 5),
        boxes=np.array(boxes, np.float32).reshape(-1, 4), labels=np.array(labels, np.float64),
    )  # fmt: skip
    unfinished.replace(folder / INDEX)
    return folder


def _png(pixels: NDArray[np.uint8]) -> bytes:
    written = pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".png", written)[1].tobytes()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> tuple[int, int]:
    """Where the content begins in the tar, and how long it is."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    begins = tar.offset + len(member.tobuf(tar.format, tar.encoding or "utf-8", tar.errors or "strict"))
    tar.addfile(member, io.BytesIO(content))
    return begins, len(content)


class Shards:
    """Examples in shards, as `inference.training.batches.Batches` takes them: images N×C×H×W and masks N×1×H×W uint8
    (N×0 where the set has none), boxes N×4, labels.

    Parameters
    ----------
    folder
        What `write_shards` wrote.
    whole_labels
        Labels are classes (int64) and not shares (float).
    grey_as_rgb
        Grey images are repeated: N×3×H×W.

    Raises
    ------
    ShardError
        There is no index.
    """

    def __init__(self, folder: Path, *, whole_labels: bool = True, grey_as_rgb: bool = False) -> None:
        if not (folder / INDEX).is_file():
            raise ShardError(f"{folder} holds no {INDEX}: no shards, or unfinished ones")
        self.folder, self._grey_as_rgb = folder, grey_as_rgb
        with np.load(folder / INDEX) as index:
            self._places, self._boxes = index["places"], torch.from_numpy(index["boxes"])
            labels = torch.from_numpy(index["labels"])
        self._labels = labels.long() if whole_labels else labels.float()
        self._masked = bool((self._places[:, 3] >= 0).any())
        self._open: dict[tuple[int, int], int] = {}

    @property
    def labels(self) -> Tensor:
        """One an example."""
        return self._labels

    def __len__(self) -> int:
        return len(self._labels)

    def take(self, indices: Tensor) -> Parts:
        """See `inference.training.batches.Source`.

        Raises
        ------
        ShardError
            A picture that cannot be read, or is of another size than those beside it.
        """
        numbers = indices.cpu()
        images = [self._picture(int(number), 1) for number in numbers]
        shapes = {image.shape for image in images}
        if len(shapes) > 1:
            raise ShardError(f"{self.folder} holds pictures of different sizes: {sorted(shapes)}")
        stacked = torch.from_numpy(np.stack(images))
        stacked = stacked[:, None] if stacked.ndim == 3 else stacked.permute(0, 3, 1, 2)
        if self._grey_as_rgb and stacked.shape[1] == 1:
            stacked = stacked.expand(-1, 3, -1, -1)
        masks = torch.zeros(len(numbers), 0)
        if self._masked:
            masks = torch.from_numpy(np.stack([self._mask(int(n), images[0].shape[:2]) for n in numbers]))[
                :, None
            ]
        return stacked, masks, self._boxes[numbers], self._labels[numbers]

    def _mask(self, number: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """The example's mask; an empty one where it has none."""
        if self._places[number, 3] < 0:
            return np.zeros(shape, np.uint8)
        return self._picture(number, 3)

    def _picture(self, number: int, column: int) -> NDArray[np.uint8]:
        tar, begins, length = (int(value) for value in self._places[number, [0, column, column + 1]])
        content = os.pread(self._handle(tar), length, begins)
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) if content else None
        if pixels is None:
            raise ShardError(f"{self.folder / f'{tar:05d}.tar'} holds no picture at byte {begins}")
        return np.asarray(pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)

    def _handle(self, tar: int) -> int:
        """An open file of this process; a worker that was forked opens its own."""
        key = (os.getpid(), tar)
        if key not in self._open:
            self._open[key] = os.open(self.folder / f"{tar:05d}.tar", os.O_RDONLY)
        return self._open[key]

    def __del__(self) -> None:
        for (process, _), handle in getattr(self, "_open", {}).items():
            if process == os.getpid():
                os.close(handle)
