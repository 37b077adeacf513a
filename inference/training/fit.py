"""The loop: AdamW, cosine schedule with warm-up, averaged weights, a checkpoint an epoch and resuming."""

from __future__ import annotations

import copy
import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Generator, Tensor, nn

logger = logging.getLogger(__name__)

Batches = Callable[[Generator], Iterator[tuple[Tensor, ...]]]
Loss = Callable[[nn.Module, tuple[Tensor, ...]], Tensor]


@dataclass(frozen=True)
class Schedule:
    """What a run is decided by, besides its data. Written into the run folder."""

    epochs: int
    steps_per_epoch: int
    learning_rate: float = 1e-3
    backbone_rate: float = 0.2
    weight_decay: float = 1e-2
    averaging: float = 0.99
    seed: int = 0


def fit(network: nn.Module, batches: Batches, loss: Loss, schedule: Schedule, run: Path) -> nn.Module:
    """Train `network` (its `backbone` at a lower rate) and return its averaged weights in a copy.

    `run` holds `checkpoint.pt` and `log.jsonl`; an unfinished run with the same schedule goes on where it
    stopped, with the same random numbers that it would have drawn.

    Raises:
        ValueError: `run` holds a checkpoint of another schedule.
    """
    run.mkdir(parents=True, exist_ok=True)
    average = copy.deepcopy(network)
    optimiser = torch.optim.AdamW(_parameter_groups(network, schedule), betas=(0.9, 0.99))
    total = schedule.epochs * schedule.steps_per_epoch
    warm_up = max(1, min(total // 10, 100))
    rates = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: min((step + 1) / warm_up, 0.5 * (1 + math.cos(math.pi * min(1.0, step / total))) + 0.01),
    )
    first = _resume(run / "checkpoint.pt", network, average, optimiser, rates, schedule)
    for epoch in range(first, schedule.epochs):
        generator = Generator().manual_seed(1_000_003 * schedule.seed + epoch)
        torch.manual_seed(1_000_003 * schedule.seed + epoch)  # dropout draws from the global generator
        network.train()
        begun, losses = time.monotonic(), []
        for number, batch in enumerate(batches(generator)):
            value = loss(network, batch)
            optimiser.zero_grad(set_to_none=True)
            value.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()
            rates.step()
            step = epoch * schedule.steps_per_epoch + number
            _update(average, network, min(schedule.averaging, (1 + step) / (10 + step)))
            losses.append(float(value.detach()))
        line = {
            "epoch": epoch + 1,
            "of": schedule.epochs,
            "loss": round(sum(losses) / len(losses), 4),
            "seconds": round(time.monotonic() - begun, 1),
        }
        with (run / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        logger.info("%s %s: %s", run.parent.name, run.name, line)
        _save(run / "checkpoint.pt", network, average, optimiser, rates, schedule, epoch + 1)
    return average.eval()


def _parameter_groups(network: nn.Module, schedule: Schedule) -> list[dict[str, object]]:
    backbone: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            (backbone if name.startswith("backbone.") else rest).append(parameter)
    groups: list[dict[str, object]] = [
        {"params": rest, "lr": schedule.learning_rate, "weight_decay": schedule.weight_decay}
    ]
    if backbone:
        groups.append(
            {
                "params": backbone,
                "lr": schedule.learning_rate * schedule.backbone_rate,
                "weight_decay": schedule.weight_decay,
            }
        )
    return groups


@torch.no_grad()
def _update(average: nn.Module, network: nn.Module, keep: float) -> None:
    for ours, theirs in zip(average.parameters(), network.parameters(), strict=True):
        if theirs.requires_grad:
            ours.lerp_(theirs.detach(), 1 - keep)


def _save(
    path: Path, network: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer,
    rates: torch.optim.lr_scheduler.LambdaLR, schedule: Schedule, epoch: int,
) -> None:  # fmt: skip
    state = {
        "schedule": asdict(schedule),
        "epoch": epoch,
        "network": network.state_dict(),
        "average": average.state_dict(),
        "optimiser": optimiser.state_dict(),
        "rates": rates.state_dict(),
    }
    unfinished = path.with_suffix(".new")
    torch.save(state, unfinished)
    unfinished.replace(path)


def _resume(
    path: Path, network: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer,
    rates: torch.optim.lr_scheduler.LambdaLR, schedule: Schedule,
) -> int:  # fmt: skip
    if not path.is_file():
        return 0
    state = torch.load(path, weights_only=True)
    if state["schedule"] != asdict(schedule):
        raise ValueError(
            f"{path} belongs to another schedule: {state['schedule']}; give another --run folder"
        )
    network.load_state_dict(state["network"])
    average.load_state_dict(state["average"])
    optimiser.load_state_dict(state["optimiser"])
    rates.load_state_dict(state["rates"])
    return int(state["epoch"])


def shuffled(count: int, batch: int, generator: Generator) -> list[Tensor]:
    """Indices 0…count−1 in random order, in batches; the rest that fills no batch is dropped."""
    order = torch.randperm(count, generator=generator)
    return list(order[: count // batch * batch].split(batch))
