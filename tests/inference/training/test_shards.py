"""Sets that need not fit in memory: the same training as from memory, and nothing but an index held."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator, Tensor, nn

from inference.training.batches import Batches, InMemory
from inference.training.loop import Lesson, Place, fit
from inference.training.shards import Example, ShardError, Shards, write_shards
from inference.training.stage import Stage

ROOT = Path(__file__).parents[3]


def examples(count: int = 40, colour: bool = False, masked: bool = True) -> Iterator[Example]:
    rng = np.random.default_rng(3)
    for number in range(count):
        image = rng.integers(0, 256, (16, 24, 3) if colour else (16, 24), dtype=np.uint8)
        mask = (rng.random((16, 24)) < 0.2).astype(np.uint8) * 255 if masked and number % 3 else None
        box = (1.0, 2.0, 3.0 + number, 9.0) if mask is not None else (-1.0,) * 4
        yield Example(f"{number:06d}", image, float(number % 2), mask, box)


def in_memory(several: list[Example]) -> InMemory:
    images = torch.from_numpy(np.stack([each.image for each in several]))
    images = images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2)
    empty = np.zeros((16, 24), np.uint8)
    masks = torch.from_numpy(np.stack([empty if each.mask is None else each.mask for each in several]))[
        :, None
    ]
    labels = torch.tensor([int(each.label) for each in several])
    return InMemory((images, masks, torch.tensor([each.box for each in several]), labels), labels)


@pytest.mark.parametrize("colour", [False, True])
def test_what_was_written_is_read_in_any_order(tmp_path: Path, colour: bool) -> None:
    several = list(examples(colour=colour))
    shards = Shards(write_shards(tmp_path / "set", several, most_bytes=8_000))
    assert len(list((tmp_path / "set").glob("*.tar"))) > 2 and len(shards) == 40
    chosen = torch.tensor([39, 0, 7, 8, 7])
    for ours, theirs in zip(shards.take(chosen), in_memory(several).take(chosen), strict=True):
        assert torch.equal(ours, theirs)


def test_other_tools_can_read_the_tars(tmp_path: Path) -> None:
    write_shards(tmp_path / "set", examples(3))
    with tarfile.open(tmp_path / "set" / "00000.tar") as tar:
        names = tar.getnames()
        facts = json.loads(tar.extractfile("000001.json").read())  # type: ignore[union-attr]
    assert names == [
        "000000.image.png", "000000.json", "000001.image.png", "000001.mask.png", "000001.json",
        "000002.image.png", "000002.mask.png", "000002.json",
    ]  # fmt: skip
    assert facts == {"label": 1.0, "box": [1.0, 2.0, 4.0, 9.0]}


def test_a_set_without_masks_has_none(tmp_path: Path) -> None:
    shards = Shards(write_shards(tmp_path / "set", examples(4, masked=False)), whole_labels=False)
    _, masks, _, labels = shards.take(torch.tensor([1, 2]))
    assert masks.shape == (2, 0) and labels.dtype == torch.float32


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Conv2d(1, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x).mean(dim=(2, 3))


def noisy(parts: tuple[Tensor, ...], generator: Generator) -> tuple[Tensor, ...]:
    images, _, _, labels = parts
    return images.float() / 255 + 0.1 * torch.randn(images.shape, generator=generator), labels


@pytest.mark.parametrize("workers", [0, 2])
def test_a_training_from_shards_is_that_from_memory(tmp_path: Path, workers: int) -> None:
    several = list(examples())
    shards = Shards(write_shards(tmp_path / "set", several, most_bytes=8_000))
    states = []
    for number, source in enumerate((in_memory(several), shards)):
        lesson = Lesson(
            Stage(epochs=2, averaging=0.9),
            Batches(source, 8, noisy, workers=workers if number else 0),
            lambda network, batch: nn.functional.cross_entropy(network(batch[0]), batch[1]),
        )
        states.append(fit(Small(), lesson, Place(tmp_path / f"{number}.pt")).state_dict())
    for ours, theirs in zip(states[0].values(), states[1].values(), strict=True):
        assert torch.equal(ours, theirs)


def lesson(source: InMemory | Shards, workers: int = 0) -> Lesson:
    return Lesson(
        Stage(epochs=2, averaging=0.9),
        Batches(source, 8, plain, workers=workers),
        lambda network, batch: nn.functional.cross_entropy(network(batch[0]), batch[1]),
    )


def plain(parts: tuple[Tensor, ...], _: Generator) -> tuple[Tensor, ...]:
    images, _, _, labels = parts
    return images.float() / 255, labels


PAIR = """
import sys
from pathlib import Path
import torch
from inference.training.loop import Place, fit
from inference.training.shards import Shards
from inference.training.world import join_world, world
from tests.inference.training.test_shards import Small, lesson
torch.set_num_threads(1)
read = []
take = Shards.take
def counted(self, indices):
    read.extend(indices.tolist())
    return take(self, indices)
Shards.take = counted
out = Path(sys.argv[1])
with join_world():
    fitted = fit(Small(), lesson(Shards(out / "set"), int(sys.argv[2])), Place(out / "two.pt"))
    torch.save({"weights": fitted.state_dict(), "read": read}, out / f"rank-{world()[0]}.pt")
"""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.long
def test_two_processes_read_half_of_the_shards_each_and_learn_what_one_learns(
    tmp_path: Path, workers: int
) -> None:
    several = list(examples())
    write_shards(tmp_path / "set", several, most_bytes=8_000)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "pair.py").write_text(PAIR)
    started = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1",
            "--master-port", str(port), str(tmp_path / "pair.py"), str(tmp_path), str(workers),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}, capture_output=True, timeout=500,
    )  # fmt: skip
    assert started.returncode == 0, started.stderr.decode()[-2000:]
    ours, theirs = (torch.load(tmp_path / f"rank-{rank}.pt", weights_only=True) for rank in (0, 1))
    alone = fit(Small(), lesson(in_memory(several)), Place(tmp_path / "one.pt")).state_dict()
    for name, values in alone.items():
        assert torch.equal(ours["weights"][name], theirs["weights"][name])
        # the mean of two halves' gradients, summed in another order
        torch.testing.assert_close(ours["weights"][name], values, rtol=1e-4, atol=1e-5)
    if not workers:  # those read in processes of their own
        assert len(ours["read"]) == len(theirs["read"]) == 40
        for epoch in (slice(0, 20), slice(20, 40)):
            assert sorted(ours["read"][epoch] + theirs["read"][epoch]) == list(range(40))


def test_writing_that_was_interrupted_leaves_no_set(tmp_path: Path) -> None:
    def dying() -> Iterator[Example]:
        yield from examples(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shards(tmp_path / "set", dying())
    with pytest.raises(ShardError, match="no shards, or unfinished ones"):
        Shards(tmp_path / "set")
    write_shards(tmp_path / "set", examples(3))
    with pytest.raises(ShardError, match="holds shards already"):
        write_shards(tmp_path / "set", examples(3))


def test_a_damaged_tar_and_pictures_of_other_sizes_are_told(tmp_path: Path) -> None:
    folder = write_shards(tmp_path / "set", examples(3))
    content = bytearray((folder / "00000.tar").read_bytes())
    content[512:540] = bytes(28)
    (folder / "00000.tar").write_bytes(content)
    with pytest.raises(ShardError, match=r"00000\.tar holds no picture at byte 512"):
        Shards(folder).take(torch.tensor([0]))
    (folder / "00000.tar").write_bytes(b"")
    with pytest.raises(ShardError, match="holds no picture"):
        Shards(folder).take(torch.tensor([1]))
    odd = [*examples(2), Example("odd", np.zeros((9, 9), np.uint8), 0.0)]
    with pytest.raises(ShardError, match="different sizes"):
        Shards(write_shards(tmp_path / "odd", odd)).take(torch.tensor([0, 2]))
