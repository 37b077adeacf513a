"""A recipe's networks: the examples that they learn from, how its `train` is said to the loop
(`inference.training`), and what a network then says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from inference.blocks.losses import class_weights
from inference.blocks.parameters import make
from inference.recipes import stages
from inference.recipes.pictures import Picture
from inference.recipes.schema import Train, TrainStage
from inference.recipes.stages import StageRecipe, normalised
from inference.training.batches import InMemory
from inference.training.device import device
from inference.training.loop import Lesson, Watch

#: Examples that go through a network at once outside training.
_CHUNK = 32


@dataclass(frozen=True)
class Examples:
    """`images` uint8 N×3×H×W, `labels` int64 N of so many `classes`, `masks` uint8 N×1×H×W (0 or 255) or None."""

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
    """uint8 N×1×H×W, 255 inside; a picture without an outline has an empty one."""
    empty = [
        np.zeros(picture.image.shape[:2], bool) if picture.mask is None else picture.mask
        for picture in pictures
    ]
    return torch.from_numpy(np.stack(empty))[:, None].to(torch.uint8) * 255


# --- what is learned -------------------------------------------------------------------------------------


def lessons(examples: Examples, plan: Train, seed: int) -> list[Lesson]:
    """What the recipe's `train` says, for the loop: one stage, or those that it has.

    Raises
    ------
    ValueError
        Fewer examples than processes.
    """
    return [
        _lesson(examples, each, stage, number, seed) for number, (each, stage) in enumerate(plan.staged())
    ]


def stage_recipe(plan: Train, of_stages: TrainStage) -> StageRecipe:
    """One of `Train.staged()` in the form of every training in stages."""
    return StageRecipe(
        epochs=plan.epochs, batch=plan.batch, learning_rate=plan.learning_rate,
        backbone_rate=plan.backbone_rate, optimiser=plan.optimiser, momentum=plan.momentum,
        weight_decay=plan.weight_decay, schedule=plan.schedule, patience=plan.patience,
        precision=plan.precision, sampler=plan.sampler, augment=plan.augment, loss=plan.loss,
        freeze=of_stages.freeze, averaging=of_stages.averaging, restarts=of_stages.restarts,
    )  # fmt: skip


def _lesson(examples: Examples, plan: Train, of_stages: TrainStage, number: int, seed: int) -> Lesson:
    stage = stage_recipe(plan, of_stages)
    nothing = torch.zeros(len(examples), 0)
    masks = nothing if examples.masks is None else examples.masks
    source = InMemory((examples.images, masks, nothing, examples.labels), examples.labels)
    return stages.lesson(
        stage, source, stage.stage(number, seed), outlines=examples.masks is not None,
        weights=_weights(examples, plan),
    )  # fmt: skip


def _weights(examples: Examples, plan: Train) -> list[float] | None:
    return class_weights(examples.labels.tolist(), examples.classes) if plan.balance == "weights" else None


def watch(validation: Examples, examples: Examples, plan: Train) -> Watch:
    """The loss of a network on the watching part, with the weights that training balances by."""
    weights = _weights(examples, plan)
    extra = {} if weights is None else {"weights": weights}
    loss = make("loss", plan.loss.name, {**plan.loss.parameters, **extra})
    truth = validation.labels if validation.masks is None else validation.masks.float() / 255

    @torch.no_grad()
    def watched(network: nn.Module) -> float:
        place, total = device(), 0.0
        for start in range(0, len(validation), _CHUNK):
            part = slice(start, start + _CHUNK)
            answer = network(normalised(validation.images[part]).to(place))
            total += float(loss(answer, truth[part].to(place))) * len(truth[part])
        return total / len(validation)

    return watched


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
