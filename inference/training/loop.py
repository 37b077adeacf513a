"""The one loop that every network is trained by: a recipe's, and each part of a served model's.

It runs where `device()` says. A run begun on the CPU goes on on a GPU and the reverse, but only runs on one kind of
device draw the same random numbers, and only those on a CPU repeat to the last bit, killed and resumed or not.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Generator, Tensor, nn
from torch import distributed as dist
from torch.optim.swa_utils import get_ema_multi_avg_fn, update_bn

from inference.blocks.parameters import make
from inference.training.device import CapturedGradients, Gradients, Loss, device, laid_out
from inference.training.stage import Stage
from inference.training.world import world

_LONGEST_GRADIENT = 5.0
#: Called after every epoch: number of the epoch, how many there are, and the values to log.
Report = Callable[[int, int, dict[str, float]], None]
#: The loss on images that were kept aside, by which a training may end early.
Watch = Callable[[nn.Module], float]


class TrainingError(Exception):
    """A training that cannot go on, in a sentence."""


class CheckpointError(TrainingError):
    """A checkpoint of another run stands where this one's would. The sentence names it."""


class DivergedError(TrainingError):
    """The loss is no number any more; nothing of that epoch is kept."""


class EpochOfBatches(Protocol):
    """`inference.training.batches.Batches`, or anything that yields so many batches an epoch."""

    @property
    def steps(self) -> int:
        """Of one epoch."""
        ...

    def __call__(self, generator: Generator) -> Iterator[tuple[Tensor, ...]]:
        """One epoch, its random numbers drawn from `generator`."""
        ...


@dataclass(frozen=True, eq=False)
class Lesson:
    """A stage with what is learned in it: batches, and the loss of a network and a batch."""

    stage: Stage
    batches: EpochOfBatches
    loss: Loss


@dataclass(frozen=True)
class Place:
    """Where a training keeps itself: `checkpoint` becomes one file a stage and restart where there are several.
    `identity` names what the result depends on besides the stage; `report` hears of every epoch."""

    checkpoint: Path
    identity: str = ""
    report: Report = lambda *_: None


def fit_stages(
    network: nn.Module, lessons: Sequence[Lesson], place: Place, watch: Watch | None = None,
    decided: Sequence[str] = (),
) -> nn.Module:  # fmt: skip
    """`network` through all stages in turn, in a copy on the CPU, in evaluation mode; each begins with the weights that
    the one before ended with. `decided` names what each stage and those before it depend on besides `place`: a longer
    training goes on from a shorter one's end."""
    for number, lesson in enumerate(lessons):
        here = place
        if len(lessons) > 1:
            here = replace(place, checkpoint=_beside(place.checkpoint, f"stage-{number}"))
        if decided:
            here = replace(here, identity=f"{place.identity} {decided[number]}")
        network = fit_soup(network, lesson, here, watch)
    # As one that is read from a file lies: both answer with the same bits.
    network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return network


def fit_soup(network: nn.Module, lesson: Lesson, place: Place, watch: Watch | None = None) -> nn.Module:
    """`fit`; a stage with several restarts as often from the same `network`, each with a seed and a checkpoint of its
    own, and the mean of their weights: runs from one place lie in one valley, and its middle holds better on what is
    new than any of them (model soups, Wortsman 2022). It costs nothing when the model serves."""
    stage = lesson.stage
    if stage.restarts == 1:
        return _renewed(fit(network, lesson, place, watch), lesson)
    fitted = []
    for number in range(stage.restarts):
        one = replace(lesson, stage=replace(stage, restarts=1, seed=stage.seed + 1000 * number))
        here = replace(place, checkpoint=_beside(place.checkpoint, f"restart-{number}"))
        fitted.append(fit(copy.deepcopy(network), one, here, watch))
    states = [each.state_dict() for each in fitted]
    fitted[0].load_state_dict(
        {name: torch.stack([state[name].double() for state in states]).mean(dim=0) for name in states[0]}
    )
    return _renewed(fitted[0], lesson)


def _renewed(network: nn.Module, lesson: Lesson) -> nn.Module:
    """The network with batch statistics of its weights, where the stage asks for that."""
    if not lesson.stage.renew_statistics:
        return network
    generator = Generator(device=device()).manual_seed(lesson.stage.seed)
    with torch.no_grad():
        update_bn(
            ({"batch": batch} for batch in lesson.batches(generator)),
            _Shown(network.to(device()), lesson.loss),
        )
    if world()[1] > 1:
        for values in network.buffers():
            dist.broadcast(values, src=0)
    return network.cpu().eval()


def _has_own_statistics(network: nn.Module) -> bool:
    return all(
        module.training
        for module in network.train().modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
    )


class _Shown(nn.Module):
    """A network shown a batch as its loss does."""

    def __init__(self, network: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.network, self.loss = network, loss

    def forward(self, given: dict[str, tuple[Tensor, ...]]) -> Tensor:
        return self.loss(self.network, given["batch"])


def _beside(checkpoint: Path, name: str) -> Path:
    return checkpoint.with_name(f"{checkpoint.stem}.{name}{checkpoint.suffix}")


def fit(network: nn.Module, lesson: Lesson, place: Place, watch: Watch | None = None) -> nn.Module:
    """Train `network` by one stage and return it, or its averaged weights in a copy, on the CPU in evaluation mode.

    An unfinished run goes on with the epoch after its checkpoint, with the random numbers that it would have drawn; of
    a finished one the result is kept and given again.

    Raises
    ------
    CheckpointError
        The checkpoint is of another stage or identity.
    """
    training = _Training(network, lesson, place, watch)
    first = training.resume()
    for epoch in range(first, lesson.stage.epochs):
        if training.gave_up:
            break
        training.epoch(epoch)
    return training.result()


class _Training:
    """The state of a training, all of which stands in its checkpoint."""

    def __init__(self, network: nn.Module, lesson: Lesson, place: Place, watch: Watch | None) -> None:
        self.stage, self.batches, self.at, self.watch = lesson.stage, lesson.batches, place, watch
        stage, here = self.stage, device()
        self.rank, processes = world()
        if stage.renew_statistics and not _has_own_statistics(network):
            raise ValueError(
                "renew_statistics: a part of this network keeps the batch statistics that it came with"
            )
        if stage.freeze is not None:
            backbone: Any = network.backbone
            backbone.freeze(stage.freeze)
        self.network = laid_out(network.to(here))
        self.average = copy.deepcopy(network) if stage.averaging else network
        self.optimiser = _optimiser(network, stage)
        self.total = max(1, stage.epochs * lesson.batches.steps)
        schedule = stage.schedule
        self.schedule = make("schedule", schedule.name, dict(schedule.parameters), steps=self.total)
        if processes > 1 and here.type == "cuda":
            nn.SyncBatchNorm.convert_sync_batchnorm(network)
        captured = stage.captured and here.type == "cuda" and processes == 1
        mixed = stage.precision == "auto" and here.type == "cuda"
        self.gradients = (CapturedGradients if captured else Gradients)(network, lesson.loss, mixed=mixed)
        pairs = zip(self.average.parameters(), network.parameters(), strict=True)
        trained = [(ours, theirs) for ours, theirs in pairs if theirs.requires_grad]
        self.averaged, self.trained = [ours for ours, _ in trained], [theirs for _, theirs in trained]
        self.lowest, self.since = float("inf"), 0
        self.best: dict[str, Tensor] | None = None
        self.finished = False

    @property
    def gave_up(self) -> bool:
        """Whether the watched loss has not fallen for too long, or nothing is left to do."""
        patience = self.stage.patience
        return self.finished or (patience is not None and self.since >= patience)

    def epoch(self, number: int) -> None:
        """One pass, its checkpoint and its report; every random number follows from the seed and `number`."""
        begun = time.monotonic()
        seed = 1_000_003 * self.stage.seed + number
        generator = Generator(device=device()).manual_seed(seed)
        torch.manual_seed(seed)  # dropout draws from the global generator
        self.network.train()
        losses = [
            self._step(number * self.batches.steps + place, batch)
            for place, batch in enumerate(self.batches(generator))
        ]
        values = {"loss": float(torch.stack(losses).double().mean())}
        if self.watch is not None:
            values["watch_loss"] = self._watched()
        self._refuse_diverged(values, number + 1)
        if self.rank == 0:
            self._save(number + 1)
            self.at.report(
                number + 1, self.stage.epochs, {**values, "seconds": round(time.monotonic() - begun, 1)}
            )

    def _refuse_diverged(self, values: dict[str, float], epoch: int) -> None:
        words = [f"its {name} is {value}" for name, value in values.items() if not math.isfinite(value)]
        if not all(bool(torch.isfinite(weights).all()) for weights in self.trained):
            words.append("its weights are no numbers")  # by its last step, whose loss nobody has seen yet
        if words:
            raise DivergedError(
                f"the training has diverged: {' and '.join(words)} after epoch {epoch}; a lower "
                "learning_rate or another loss would be needed"
            )

    def _step(self, step: int, batch: tuple[Tensor, ...]) -> Tensor:
        rate = self.schedule(step / self.total)
        for group in self.optimiser.param_groups:
            group["lr"] = group["base"] * rate
        value = self.gradients(batch)
        nn.utils.clip_grad_norm_(self.trained, _LONGEST_GRADIENT)
        self.optimiser.step()
        if self.stage.averaging:
            keep = min(self.stage.averaging, (1 + step) / (10 + step))
            get_ema_multi_avg_fn(keep)(self.averaged, self.trained, None)
            for ours, theirs in zip(self.average.buffers(), self.network.buffers(), strict=True):
                ours.copy_(theirs)  # running statistics are averages already
        return value  # not as a number: reading it would wait for the GPU

    def _watched(self) -> float:
        """The watched loss; the first process's number counts for all."""
        assert self.watch is not None
        self.average.eval()
        value = torch.tensor(self.watch(self.average), dtype=torch.float64, device=device())
        if world()[1] > 1:
            dist.broadcast(value, src=0)
        if float(value) < self.lowest:
            self.lowest, self.since = float(value), 0
            self.best = copy.deepcopy(self.average.state_dict())
        else:
            self.since += 1
        return float(value)

    def result(self) -> nn.Module:
        """What was learned; the checkpoint then holds nothing else."""
        if not self.finished:
            if self.stage.patience is not None and self.best is not None:
                self.average.load_state_dict(self.best)
            self.finished = True
            if self.rank == 0:
                self._save(self.stage.epochs)
        return self.average.cpu().eval()

    @property
    def _depends_on(self) -> str:
        stage = json.dumps(asdict(self.stage), sort_keys=True)
        return f"{self.at.identity} {stage}".strip()

    def _save(self, epoch: int) -> None:
        state: dict[str, Any] = {"depends_on": self._depends_on, "epoch": epoch, "finished": self.finished}
        state["result"] = self.average.state_dict()
        if not self.finished:
            state |= {
                "network": self.network.state_dict(), "optimiser": self.optimiser.state_dict(),
                "lowest": self.lowest, "since": self.since, "best": self.best,
            }  # fmt: skip
        path = self.at.checkpoint
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        torch.save(state, unfinished)
        unfinished.replace(path)

    def resume(self) -> int:
        """The epoch to go on with."""
        path = self.at.checkpoint
        if not path.is_file():
            return 0
        state = torch.load(path, weights_only=True, map_location="cpu")
        if state.get("depends_on") != self._depends_on:
            raise CheckpointError(f"{path} belongs to another run; give another --run folder")
        self.average.load_state_dict(state["result"])
        self.finished = state["finished"]
        if not self.finished:
            self.network.load_state_dict(state["network"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.lowest, self.since, self.best = state["lowest"], state["since"], state["best"]
        return int(state["epoch"])


def _optimiser(network: nn.Module, stage: Stage) -> torch.optim.Optimizer:
    """The backbone at its own rate. On a CPU single-tensor steps: their result does not depend on grouping."""
    slow: list[nn.Parameter] = []
    fast: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            (slow if name.startswith("backbone.") else fast).append(parameter)
    rates = ((fast, stage.learning_rate), (slow, stage.learning_rate * stage.backbone_rate))
    groups: list[dict[str, Any]] = [
        {"params": params, "lr": rate, "base": rate} for params, rate in rates if params
    ]
    if stage.optimiser == "sgd":
        return torch.optim.SGD(
            groups, momentum=stage.momentum, weight_decay=stage.weight_decay, foreach=False
        )
    how = {"fused": True} if device().type == "cuda" else {"foreach": False}
    return torch.optim.AdamW(groups, betas=stage.betas, weight_decay=stage.weight_decay, **how)
