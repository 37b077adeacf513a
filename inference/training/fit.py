"""The loop: AdamW, cosine schedule with warm-up, averaged weights, a checkpoint an epoch and resuming.

It runs where `device()` says. A run begun on the CPU goes on on a GPU and the reverse, but only runs on one kind of
device draw the same random numbers, and only those on a CPU repeat to the last bit.
"""

from __future__ import annotations

import copy
import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Generator, Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from inference.blocks.schedules import half_cosine
from inference.training.device import CapturedGradients, Gradients, Loss, device

logger = logging.getLogger(__name__)

Batches = Callable[[Generator], Iterator[tuple[Tensor, ...]]]


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
    """Train `network` (its `backbone` at a lower rate) and return its averaged weights in a copy, on the CPU.

    `batches` is called with a generator on `device()` once an epoch and yields tensors there. `run` holds
    `checkpoint.pt` and `log.jsonl`; an unfinished run with the same schedule goes on where it stopped, with the same
    random numbers that it would have drawn. Of a finished one the averaged weights are kept.

    Raises
    ------
    ValueError
        `run` holds a checkpoint of another schedule.
    """
    run.mkdir(parents=True, exist_ok=True)
    place = device()
    network.to(place)
    average = copy.deepcopy(network)
    fused = place.type == "cuda"
    optimiser = torch.optim.AdamW(_parameter_groups(network, schedule), betas=(0.9, 0.99), fused=fused)
    total = schedule.epochs * schedule.steps_per_epoch
    warm_up = max(1, min(total // 10, 100))
    rates = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: min((step + 1) / warm_up, half_cosine(min(1.0, step / total)) + 0.01),
    )
    gradients = CapturedGradients(network, loss) if place.type == "cuda" else Gradients(network, loss)
    pairs = zip(average.parameters(), network.parameters(), strict=True)
    averaged, trained = zip(*((one, other) for one, other in pairs if other.requires_grad), strict=True)
    first = _resume(run / "checkpoint.pt", network, average, optimiser, rates, schedule)
    for epoch in range(first, schedule.epochs):
        seed = 1_000_003 * schedule.seed + epoch
        generator = Generator(device=place).manual_seed(seed)
        torch.manual_seed(seed)  # dropout draws from the global generator
        network.train()
        begun, losses = time.monotonic(), []
        for number, batch in enumerate(batches(generator)):
            value = gradients(batch)
            nn.utils.clip_grad_norm_(trained, 5.0)
            optimiser.step()
            rates.step()
            step = epoch * schedule.steps_per_epoch + number
            keep = min(schedule.averaging, (1 + step) / (10 + step))
            get_ema_multi_avg_fn(keep)(list(averaged), list(trained), None)
            for ours, theirs in zip(average.buffers(), network.buffers(), strict=True):
                ours.copy_(theirs)  # running statistics are averages already
            losses.append(value)  # not as a number: reading it would wait for the GPU
        line = {
            "epoch": epoch + 1,
            "of": schedule.epochs,
            "loss": round(float(torch.stack(losses).mean()), 4),
            "seconds": round(time.monotonic() - begun, 1),
        }
        with (run / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        logger.info("%s %s: %s", run.parent.name, run.name, line)
        _save(run / "checkpoint.pt", network, average, optimiser, rates, schedule, epoch + 1)
    return average.cpu().eval()


def fit_soup(
    network: nn.Module, batches: Batches, loss: Loss, schedule: Schedule, run: Path, restarts: int
) -> nn.Module:
    """`fit` so many times from the same `network`, each with a seed and a folder of its own, and the mean of their
    weights: runs from one place lie in one valley, and its middle holds better on what is new than any of them
    (model soups, Wortsman 2022). It costs nothing when the model serves."""
    fitted = [
        fit(
            copy.deepcopy(network),
            batches,
            loss,
            replace(schedule, seed=schedule.seed + 1000 * k),
            run / str(k),
        )
        for k in range(restarts)
    ]
    states = [each.state_dict() for each in fitted]
    fitted[0].load_state_dict(
        {name: torch.stack([state[name].double() for state in states]).mean(dim=0) for name in states[0]}
    )
    return fitted[0]


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


def _save(
    path: Path, network: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer,
    rates: torch.optim.lr_scheduler.LambdaLR, schedule: Schedule, epoch: int,
) -> None:  # fmt: skip
    state = {"schedule": asdict(schedule), "epoch": epoch, "average": average.state_dict()}
    if epoch < schedule.epochs:
        state |= {
            "network": network.state_dict(),
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
    state = torch.load(path, weights_only=True, map_location="cpu")
    if state["schedule"] != asdict(schedule):
        raise ValueError(
            f"{path} belongs to another schedule: {state['schedule']}; give another --run folder"
        )
    average.load_state_dict(state["average"])
    if state["epoch"] == schedule.epochs:
        return schedule.epochs
    network.load_state_dict(state["network"])
    optimiser.load_state_dict(state["optimiser"])
    rates.load_state_dict(state["rates"])
    return int(state["epoch"])
