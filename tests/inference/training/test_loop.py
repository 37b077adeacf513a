"""The one loop: it learns, repeats, goes on after a kill, averages, restarts, stops early and runs on two processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator, Tensor, nn

from inference.blocks.networks.efficientnet import effnet_lite0
from inference.blocks.sampling import shuffled
from inference.training.batches import Batches, InMemory
from inference.training.device import CapturedGradients, Gradients, device
from inference.training.loop import CheckpointError, Lesson, Place, fit, fit_soup, fit_stages
from inference.training.stage import Named, Stage

ROOT = Path(__file__).parents[3]
ROWS = torch.randn(64, 3, generator=Generator().manual_seed(1))
TRUTH = ROWS @ torch.tensor([[1.0], [-2.0], [0.5]])


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums over more threads end in other bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Line(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class Normed(nn.Sequential):
    def __init__(self) -> None:
        torch.manual_seed(0)
        super().__init__(nn.BatchNorm1d(3), nn.Linear(3, 1))


def noisy(parts: tuple[Tensor, ...], generator: Generator) -> tuple[Tensor, ...]:
    rows, truth = parts
    return rows + 0.01 * torch.randn(rows.shape, generator=generator, device=generator.device), truth


def loss(network: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    return ((network(batch[0]) - batch[1]) ** 2).mean()


def source() -> InMemory:
    return InMemory((ROWS, TRUTH), torch.zeros(len(ROWS), dtype=torch.int64))


def lesson(workers: int = 0, **stage: object) -> Lesson:
    asked = {"epochs": 6, "learning_rate": 0.05, "schedule": Named("one_cycle"), "averaging": 0.9, **stage}
    return Lesson(Stage(**asked), Batches(source(), 16, noisy, workers=workers), loss)


def weights_of(network: nn.Module) -> np.ndarray:
    return torch.cat([parameter.detach().ravel() for parameter in network.parameters()]).numpy()


def test_training_learns_and_repeats(tmp_path: Path) -> None:
    asked = lesson(epochs=30, learning_rate=0.1)
    first, second = (fit(Line(), asked, Place(tmp_path / name)) for name in ("a.pt", "b.pt"))
    np.testing.assert_array_equal(weights_of(first), weights_of(second))
    with torch.no_grad():
        assert loss(first, (ROWS, TRUTH)) < 0.1 * loss(Line(), (ROWS, TRUTH))


def test_of_a_finished_run_the_averaged_weights_are_kept_and_given_again(tmp_path: Path) -> None:
    place = Place(tmp_path / "run.pt")
    fitted = fit(Line(), lesson(epochs=2), place)
    kept = torch.load(tmp_path / "run.pt", weights_only=True)
    assert set(kept) == {"depends_on", "epoch", "finished", "result"} and kept["finished"]

    def none(_: nn.Module, __: tuple[Tensor, ...]) -> Tensor:
        raise AssertionError("a finished run trains no more")

    again = fit(Line(), replace(lesson(epochs=2), loss=none), place)
    np.testing.assert_array_equal(weights_of(again), weights_of(fitted))


def test_a_soup_is_the_mean_of_its_restarts_which_differ(tmp_path: Path) -> None:
    soup = fit_soup(Line(), lesson(epochs=2, restarts=2), Place(tmp_path / "soup.pt"))
    parts = [fit(Line(), lesson(epochs=2, seed=1000 * k), Place(tmp_path / f"{k}.pt")) for k in (0, 1)]
    assert not np.array_equal(*(weights_of(part) for part in parts))
    np.testing.assert_allclose(
        weights_of(soup), np.mean([weights_of(part) for part in parts], axis=0), rtol=1e-6
    )
    assert {path.name for path in tmp_path.glob("soup*")} == {"soup.restart-0.pt", "soup.restart-1.pt"}


def test_a_stage_begins_with_what_the_one_before_ended_with(tmp_path: Path) -> None:
    stages = [lesson(epochs=2), lesson(epochs=1, learning_rate=0.01, seed=1)]
    both = fit_stages(Line(), stages, Place(tmp_path / "both.pt"))
    first = fit(Line(), stages[0], Place(tmp_path / "first.pt"))
    np.testing.assert_array_equal(
        weights_of(both), weights_of(fit(first, stages[1], Place(tmp_path / "second.pt")))
    )


def test_a_stage_can_be_added_to_what_was_trained(tmp_path: Path) -> None:
    said: list[int] = []
    stages = [lesson(epochs=2), lesson(epochs=1, seed=1), lesson(epochs=3, seed=2)]
    at = Place(tmp_path / "run.pt", report=lambda epoch, of, values: said.append(of))
    fit_stages(Line(), stages[:2], at, decided=["a", "ab"])
    assert said == [2, 2, 1]
    longer = fit_stages(Line(), stages, at, decided=["a", "ab", "abc"])
    assert said == [2, 2, 1, 3, 3, 3], "the first two are not trained again"
    whole = fit_stages(Line(), stages, Place(tmp_path / "whole.pt"), decided=["a", "ab", "abc"])
    np.testing.assert_array_equal(weights_of(longer), weights_of(whole))
    with pytest.raises(CheckpointError, match="another run"):
        fit_stages(Line(), stages, at, decided=["x", "xb", "xbc"])


def test_averaged_weights_come_with_the_batch_statistics_that_were_learned(tmp_path: Path) -> None:
    norm = fit(Normed(), lesson(epochs=20), Place(tmp_path / "run.pt"))[0]
    torch.testing.assert_close(norm.running_mean, ROWS.mean(dim=0), atol=0.1, rtol=0)
    torch.testing.assert_close(norm.running_var, ROWS.var(dim=0), atol=0.2, rtol=0)


def test_renewed_statistics_are_those_of_one_epoch_and_belong_to_networks_that_learn_them(
    tmp_path: Path,
) -> None:
    asked = lesson(epochs=1, restarts=2, renew_statistics=True)
    norm = fit_soup(Normed(), asked, Place(tmp_path / "run.pt"))[0]
    torch.testing.assert_close(norm.running_mean, ROWS.mean(dim=0), atol=0.01, rtol=0)
    with pytest.raises(ValueError, match="keeps the batch statistics"):
        fit_soup(effnet_lite0(weights="imagenet"), asked, Place(tmp_path / "kept.pt"))


class Killed(Exception):
    pass


@dataclass(frozen=True)
class Dying:
    """Batches that end in the middle of epoch `last`."""

    inner: Batches
    last: int

    @property
    def steps(self) -> int:
        return self.inner.steps

    def __call__(self, generator: Generator) -> Iterator[tuple[Tensor, ...]]:
        for number, batch in enumerate(self.inner(generator)):
            if generator.initial_seed() % 1_000_003 == self.last and number == 2:
                raise Killed
            yield batch


@pytest.mark.parametrize("stage", [{}, {"averaging": 0.0, "optimiser": "sgd"}, {"patience": 3}])
def test_a_killed_run_goes_on_where_it_stopped(tmp_path: Path, stage: dict[str, object]) -> None:
    def watched(network: nn.Module) -> float:
        return float(loss(network, (ROWS, TRUTH)).detach())

    asked = lesson(**stage)
    watch = watched if "patience" in stage else None
    whole = fit(Normed(), asked, Place(tmp_path / "whole.pt"), watch)
    with pytest.raises(Killed):
        fit(Normed(), replace(asked, batches=Dying(asked.batches, 3)), Place(tmp_path / "cut.pt"), watch)
    told: list[int] = []
    place = Place(tmp_path / "cut.pt", report=lambda epoch, *_: told.append(epoch))
    resumed = fit(Normed(), asked, place, watch)
    for ours, theirs in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)
    assert told[0] == 4


class Looking(nn.Module):
    """Rows as pictures of one pixel: what is laid out matters to convolutions alone."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1, groups=8),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 1),
        )  # fmt: skip
        self.seen: list[bool] = []

    def forward(self, x: Tensor) -> Tensor:
        maps = self.layers[:2](x[:, :, None, None].expand(-1, -1, 6, 6) * torch.arange(1, 7.0))
        self.seen.append(maps.is_contiguous(memory_format=torch.channels_last))
        answer: Tensor = self.layers[2:](maps)
        return answer


@pytest.mark.skipif(torch.cuda.is_available(), reason="on a GPU networks keep their layout")
def test_on_a_cpu_every_network_learns_channels_last_and_goes_on_so_to_the_same_bits(tmp_path: Path) -> None:
    asked = lesson(epochs=3)
    network = Looking()
    whole = fit(network, asked, Place(tmp_path / "whole.pt"))
    assert network.seen and all(network.seen)
    with pytest.raises(Killed):
        fit(Looking(), replace(asked, batches=Dying(asked.batches, 2)), Place(tmp_path / "cut.pt"))
    # a checkpoint says nothing of the layout: one that was written without it is gone on with as well
    state = torch.load(tmp_path / "cut.pt", weights_only=True)
    for part in ("network", "result"):
        state[part] = {name: tensor.contiguous() for name, tensor in state[part].items()}
    for moments in state["optimiser"]["state"].values():
        moments |= {name: value.contiguous() for name, value in moments.items()}
    torch.save(state, tmp_path / "cut.pt")
    resumed = fit(Looking(), asked, Place(tmp_path / "cut.pt"))
    for ours, theirs in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)


def test_training_ends_when_the_watched_loss_falls_no_more_with_its_lowest_weights(tmp_path: Path) -> None:
    said = iter([3.0, 1.0, 2.0, 2.0, 0.0])
    seen: list[np.ndarray] = []

    def watched(network: nn.Module) -> float:
        seen.append(weights_of(network).copy())
        return next(said)

    fitted = fit(Line(), lesson(patience=2), Place(tmp_path / "run.pt"), watched)
    assert len(seen) == 4
    np.testing.assert_array_equal(weights_of(fitted), seen[1])


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    fit(Line(), lesson(epochs=1), Place(tmp_path / "run.pt", "mine"))
    for asked, identity in ((lesson(epochs=2), "mine"), (lesson(epochs=1), "another's")):
        with pytest.raises(CheckpointError, match="another run"):
            fit(Line(), asked, Place(tmp_path / "run.pt", identity))


def test_workers_that_read_ahead_change_no_bit(tmp_path: Path) -> None:
    alone, helped = (
        fit(Line(), lesson(workers, epochs=2), Place(tmp_path / f"{workers}.pt")) for workers in (0, 2)
    )
    np.testing.assert_array_equal(weights_of(alone), weights_of(helped))


def test_a_backbone_keeps_what_a_stage_freezes() -> None:
    backbone = effnet_lite0(weights="imagenet")
    stem, last = backbone.stages[0][0], backbone.stages[-1][-2]
    backbone.freeze(1)
    before = [tensor.clone() for tensor in stem.state_dict().values()]
    output = backbone.train()(torch.randn(2, 3, 64, 64))
    output.sum().backward()
    assert all(parameter.grad is None for parameter in stem.parameters())
    assert last.project.conv.weight.grad is not None
    for ours, theirs in zip(before, stem.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs)
    backbone.freeze(0)
    assert all(parameter.requires_grad for parameter in backbone.parameters())


PAIR = """
import sys
from pathlib import Path
import torch
from inference.training.loop import Place, fit
from inference.training.world import join_world, world
from inference.training.batches import InMemory
from tests.inference.training.test_loop import Line, lesson, source
torch.set_num_threads(1)
read = []
take = InMemory.take
def counted(self, indices):
    read.append(len(indices))
    return take(self, indices)
InMemory.take = counted
out = Path(sys.argv[1])
with join_world():
    told = []
    fitted = fit(Line(), lesson(epochs=3), Place(out / "two.pt", report=lambda *said: told.append(said[0])))
    torch.save({"weights": fitted.state_dict(), "read": sum(read), "told": told}, out / f"rank-{world()[0]}.pt")
"""


@pytest.mark.long
def test_two_processes_share_the_reading_and_end_with_one_network(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = tmp_path / "pair.py"
    script.write_text(PAIR)
    started = subprocess.run(
        [
            sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1",
            "--master-port", str(port), str(script), str(tmp_path),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}, capture_output=True, timeout=200,
    )  # fmt: skip
    assert started.returncode == 0, started.stderr.decode()[-2000:]
    ranks = [torch.load(tmp_path / f"rank-{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert [rank["read"] for rank in ranks] == [96, 96]  # half of three epochs of 64
    assert [rank["told"] for rank in ranks] == [[1, 2, 3], []]
    for ours, theirs in zip(ranks[0]["weights"].values(), ranks[1]["weights"].values(), strict=True):
        assert torch.equal(ours, theirs)
    alone = fit(Line(), lesson(epochs=3), Place(tmp_path / "one.pt"))
    np.testing.assert_allclose(
        torch.cat([part.ravel() for part in ranks[0]["weights"].values()]).numpy(),
        weights_of(alone),
        atol=0.02,
    )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no GPU that torch can use")
def test_a_captured_step_gives_the_gradients_of_a_plain_one() -> None:
    place = device()
    network, twin = Line().to(place), Line().to(place)
    plain, captured = Gradients(network, loss), CapturedGradients(twin, loss)
    generator = Generator(device=place).manual_seed(0)
    for chosen in shuffled(len(ROWS), 16, generator):
        batch = noisy((ROWS.to(place)[chosen], TRUTH.to(place)[chosen]), generator)
        torch.testing.assert_close(captured(batch), plain(batch), rtol=0.02, atol=0.02)
        for ours, theirs in zip(twin.parameters(), network.parameters(), strict=True):
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=0.02, atol=0.05)
