"""Training one network of a recipe: the same random numbers whether it runs through or is killed and resumed,
on one process or several (torchrun), in mixed precision where there is a GPU.

Every process holds all examples and takes its share of each batch; only the first writes.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn
from torch import distributed as dist

from inference.blocks.losses import class_weights
from inference.blocks.networks.backbone import MEAN, STD
from inference.blocks.parameters import make
from inference.recipes.pictures import Picture
from inference.recipes.schema import Train
from inference.training.device import device

#: Examples that go through a network at once outside training.
_CHUNK = 32
#: Called after every epoch: number of the epoch, how many there are, and the values to log.
Report = Callable[[int, int, dict[str, float]], None]


class CheckpointError(Exception):
    """A run folder holds the checkpoint of another run. The sentence names it."""


@dataclass(frozen=True)
class Examples:
    """`images` uint8 N×3×H×W, `labels` int64 N of so many `classes`, `masks` float N×1×H×W or None."""

    images: Tensor
    labels: Tensor
    classes: int
    masks: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)


def tensor_of(pictures: Sequence[Picture]) -> Tensor:
    """uint8 N×3×H×W; grey images are repeated. All of one size."""
    stacked = torch.from_numpy(np.ascontiguousarray(np.stack([picture.image for picture in pictures])))
    if stacked.ndim == 3:
        return stacked[:, None].expand(-1, 3, -1, -1)
    return stacked.permute(0, 3, 1, 2)


def masks_of(pictures: Sequence[Picture]) -> Tensor:
    """float N×1×H×W; a picture without an outline has an empty one."""
    empty = [
        np.zeros(picture.image.shape[:2], bool) if picture.mask is None else picture.mask
        for picture in pictures
    ]
    return torch.from_numpy(np.stack(empty))[:, None].float()


def normalised(images: Tensor) -> Tensor:
    """What networks take: (x/255 − 0.5)/0.5."""
    return (images.float() / 255 - MEAN) / STD


# --- several processes -----------------------------------------------------------------------------------


def world() -> tuple[int, int]:
    """Rank and number of processes; (0, 1) outside torchrun."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def join_world() -> AbstractContextManager[None]:
    """Under torchrun, the process group for as long as the context lasts; otherwise nothing."""
    return _World() if int(os.environ.get("WORLD_SIZE", "1")) > 1 else nullcontext()


class _World(AbstractContextManager[None]):
    def __enter__(self) -> None:
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")

    def __exit__(self, *raised: object) -> None:
        dist.destroy_process_group()


# --- the loop --------------------------------------------------------------------------------------------


def train(
    network: nn.Module, examples: Examples, validation: Examples | None, plan: Train, seed: int,
    checkpoint: Path, identity: str, report: Report,
) -> nn.Module:  # fmt: skip
    """The trained network, on the CPU, in evaluation mode.

    With `validation` and `plan.patience` training ends when the loss on `validation` has not fallen for so many epochs,
    and the weights of its lowest point are returned. `identity` names everything that the result depends on.

    Raises
    ------
    CheckpointError
        The checkpoint has another identity.
    ValueError
        Fewer examples than processes.
    """
    rank, size = world()
    if len(examples) < size:
        raise ValueError(f"{len(examples)} examples cannot be shared by {size} processes")
    place = device()
    loop = _Loop(network.to(place), examples, plan, seed, place)
    first = loop.resume(checkpoint, identity)
    for epoch in range(first, plan.epochs):
        if loop.finished(plan.patience):
            break
        values = {"loss": loop.epoch(epoch)}
        if validation is not None:
            values["watch_loss"] = loop.validation_loss(validation, epoch)
        if rank == 0:
            loop.save(checkpoint, identity, epoch + 1)
            report(epoch + 1, plan.epochs, values)
    return loop.result()


class _Loop:
    """The state of a training run, all of which stands in its checkpoint."""

    def __init__(
        self, network: nn.Module, examples: Examples, plan: Train, seed: int, place: torch.device
    ) -> None:
        self.network, self.examples, self.plan, self.seed, self.place = network, examples, plan, seed, place
        self.rank, self.size = world()
        parameters = dict(plan.loss.parameters)
        if plan.balance == "weights":
            parameters["weights"] = class_weights(examples.labels.tolist(), examples.classes)
        self.loss = make("loss", plan.loss.name, parameters)
        self.schedule = make("schedule", plan.schedule.name, plan.schedule.parameters)
        self.sampler = make("sampler", plan.sampler.name, plan.sampler.parameters)
        self.augments = [make("augment", block.name, block.parameters) for block in plan.augment]
        self.batch = min(plan.batch, len(examples))
        self.steps = plan.epochs * (len(examples) // self.batch)
        self.optimiser = self._optimiser()
        self.mixed = plan.precision == "auto" and place.type == "cuda"
        self.scaler = torch.amp.GradScaler(place.type, enabled=self.mixed)
        self.lowest, self.since = float("inf"), 0
        self.best: dict[str, Tensor] | None = None
        self.parallel: nn.Module = network
        if self.size > 1:
            if place.type == "cuda":
                network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
            self.parallel = nn.parallel.DistributedDataParallel(network, find_unused_parameters=True)

    def _optimiser(self) -> torch.optim.Optimizer:
        """The backbone at its own rate. Single-tensor steps: their result does not depend on grouping."""
        slow: list[nn.Parameter] = []
        fast: list[nn.Parameter] = []
        for name, parameter in self.network.named_parameters():
            if parameter.requires_grad:
                (slow if name.startswith("backbone.") else fast).append(parameter)
        plan = self.plan
        groups: list[dict[str, Any]] = [
            {"params": fast, "lr": plan.learning_rate, "base": plan.learning_rate}
        ]
        if slow:
            rate = plan.learning_rate * plan.backbone_rate
            groups.append({"params": slow, "lr": rate, "base": rate})
        if plan.optimiser == "sgd":
            return torch.optim.SGD(
                groups, momentum=plan.momentum, weight_decay=plan.weight_decay, foreach=False
            )
        return torch.optim.AdamW(groups, weight_decay=plan.weight_decay, foreach=False)

    def epoch(self, number: int) -> float:
        """One pass; every random number follows from the seed and the epoch's number."""
        chance = Generator().manual_seed(1_000_003 * self.seed + number)
        torch.manual_seed(1_000_003 * self.seed + number)
        self.parallel.train()
        losses = []
        batches = self.sampler(self.examples.labels, self.batch, chance)
        for place, indices in enumerate(batches):
            rate = self.schedule((number * len(batches) + place) / max(1, self.steps))
            for group in self.optimiser.param_groups:
                group["lr"] = group["base"] * rate
            losses.append(self._step(indices, chance))
        return float(np.mean(losses))

    def _step(self, indices: Tensor, chance: Generator) -> float:
        # augmentation draws for the whole batch, so that the number of processes changes nothing
        images = self.examples.images[indices].float()
        masks = self.examples.masks
        outlines = torch.zeros_like(images[:, :1]) if masks is None else masks[indices]
        for augment in self.augments:
            images, outlines = augment(images, outlines, chance)
        labels = self.examples.labels[indices]
        mine = slice(self.rank, None, self.size)
        truth = (labels if masks is None else outlines)[mine].to(self.place)
        with torch.autocast(self.place.type, enabled=self.mixed):
            answer = self.parallel(normalised(images[mine]).to(self.place))
            value = self.loss(answer, truth)
        self.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(value).backward()
        self.scaler.unscale_(self.optimiser)
        nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        return float(value.detach())

    def validation_loss(self, validation: Examples, number: int) -> float:
        """The loss on the watching part; the first process's number counts for all."""
        self.network.eval()
        truth = validation.labels if validation.masks is None else validation.masks
        total = 0.0
        with torch.no_grad():
            for start in range(0, len(validation), _CHUNK):
                part = slice(start, start + _CHUNK)
                answer = self.network(normalised(validation.images[part]).to(self.place))
                total += float(self.loss(answer, truth[part].to(self.place))) * len(truth[part])
        value = torch.tensor(total / len(validation), dtype=torch.float64, device=self.place)
        if self.size > 1:
            dist.broadcast(value, src=0)
        if float(value) < self.lowest:
            self.lowest, self.since = float(value), 0
            self.best = copy.deepcopy(self.network.state_dict())
        else:
            self.since += 1
        return float(value)

    def finished(self, patience: int | None) -> bool:
        return patience is not None and self.since >= patience

    def result(self) -> nn.Module:
        if self.plan.patience is not None and self.best is not None:
            self.network.load_state_dict(self.best)
        return self.network.cpu().eval()

    def save(self, path: Path, identity: str, epoch: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        state = {
            "identity": identity, "epoch": epoch, "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(), "scaler": self.scaler.state_dict(),
            "lowest": self.lowest, "since": self.since, "best": self.best,
        }  # fmt: skip
        torch.save(state, unfinished)
        unfinished.replace(path)

    def resume(self, path: Path, identity: str) -> int:
        if not path.is_file():
            return 0
        state = torch.load(path, weights_only=True, map_location=self.place)
        if state["identity"] != identity:
            raise CheckpointError(f"{path} belongs to another run; give another --run folder")
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.scaler.load_state_dict(state["scaler"])
        self.lowest, self.since, self.best = state["lowest"], state["since"], state["best"]
        return int(state["epoch"])


# --- what a network says ---------------------------------------------------------------------------------


@torch.no_grad()
def _through(network: Callable[[Tensor], Any], images: Tensor) -> list[Any]:
    place = device()
    return [network(normalised(images[i : i + _CHUNK]).to(place)) for i in range(0, len(images), _CHUNK)]


def logits(network: nn.Module, images: Tensor) -> NDArray[np.float64]:
    """N×K; one logit becomes two classes with 0 for the first."""
    network.to(device()).eval()
    parts = [answer if isinstance(answer, Tensor) else answer[0] for answer in _through(network, images)]
    rows = torch.cat(parts).double().cpu()
    rows = rows[:, None] if rows.ndim == 1 else rows
    if rows.shape[1] == 1:
        rows = torch.cat([torch.zeros_like(rows), rows], dim=1)
    return rows.numpy()


def vectors(network: nn.Module, images: Tensor) -> NDArray[np.float64]:
    """N×F, what the last layer of a classifier sees: its backbone pooled.

    Raises
    ------
    ValueError
        The network has no backbone and pool to look into.
    """
    backbone, pool = getattr(network, "backbone", None), getattr(network, "pool", None)
    if backbone is None or pool is None:
        raise ValueError(f"{type(network).__name__} has no backbone and pool, so it gives no features")
    network.to(device()).eval()

    def pooled(batch: Tensor) -> Tensor:
        maps = backbone(batch)
        rows: Tensor = maps.mean(dim=(2, 3)) if getattr(pool, "gives_logits", False) else pool.both(maps)[0]
        return rows

    return torch.cat(_through(pooled, images)).double().cpu().numpy()


def outlines(network: nn.Module, images: Tensor) -> NDArray[np.bool_]:
    """N×H×W: where the outline's logit is above 0, at the images' size."""
    network.to(device()).eval()
    found = []
    for answer in _through(network, images):
        raw = answer if isinstance(answer, Tensor) else answer[0]
        full = nn.functional.interpolate(raw[:, -1:].float(), size=images.shape[2:], mode="bilinear")
        found.append((full[:, 0] > 0).cpu().numpy())
    return np.concatenate(found)
