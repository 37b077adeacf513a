"""A recipe's networks: how its `train` is said to the loop (`inference.training`), and what a network then says."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from inference.blocks.losses import class_weights
from inference.blocks.networks.retina import found
from inference.blocks.parameters import make
from inference.recipes import stages
from inference.recipes.examples import CHUNK, Examples
from inference.recipes.schema import Train, TrainStage
from inference.recipes.stages import StageRecipe, normalised
from inference.training.device import device
from inference.training.loop import Lesson, Watch

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
        workers=plan.workers, freeze=of_stages.freeze, averaging=of_stages.averaging, restarts=of_stages.restarts,
    )  # fmt: skip


def _lesson(examples: Examples, plan: Train, of_stages: TrainStage, number: int, seed: int) -> Lesson:
    stage = stage_recipe(plan, of_stages)
    return stages.lesson(
        stage, examples.source, stage.stage(number, seed), outlines=examples.outlined,
        weights=_weights(examples, plan),
    )  # fmt: skip


def _weights(examples: Examples, plan: Train) -> list[float] | None:
    return (
        class_weights(examples.source.labels.tolist(), examples.classes)
        if plan.balance == "weights"
        else None
    )


def watch(validation: Examples, examples: Examples, plan: Train) -> Watch:
    """The loss of a network on the watching part, with the weights that training balances by."""
    weights = _weights(examples, plan)
    extra = {} if weights is None else {"weights": weights}
    loss = make("loss", plan.loss.name, {**plan.loss.parameters, **extra})

    @torch.no_grad()
    def watched(network: nn.Module) -> float:
        place, total = device(), 0.0
        for numbers in torch.arange(len(validation)).split(CHUNK):
            images, masks, _, labels = validation.source.take(numbers)
            truth = masks.float() / 255 if validation.outlined else labels
            answer = network(normalised(images).to(place))
            total += float(loss(answer, truth.to(place))) * len(numbers)
        return total / len(validation)

    return watched


# --- what a network says ---------------------------------------------------------------------------------


def logits(network: nn.Module, images: Tensor) -> NDArray[np.float64]:
    """N×K; one logit becomes two classes with 0 for the first."""
    rows = _first(_said(network, images)).double().cpu()
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
    if not (hasattr(network, "backbone") and hasattr(network, "pool")):
        raise ValueError(f"{type(network).__name__} has no backbone and pool, so it gives no features")
    network.to(device()).eval()
    with torch.no_grad():
        rows = pooled(network, normalised(images).to(device()))
    return np.asarray(rows.double().cpu().numpy(), np.float64)


def pooled(network: Any, x: Tensor) -> Tensor:
    """`vectors` of what a network takes, N×3×H×W normalised."""
    maps = network.backbone(x)
    rows: Tensor = (
        maps.mean(dim=(2, 3)) if getattr(network.pool, "gives_logits", False) else network.pool.both(maps)[0]
    )
    return rows


def outlines(network: nn.Module, images: Tensor) -> NDArray[np.bool_]:
    """N×H×W: where the outline's logit is above 0, at the images' size."""
    raw = _first(_said(network, images))[:, -1:].float()
    full = nn.functional.interpolate(raw, size=images.shape[2:], mode="bilinear")
    return (full[:, 0] > 0).cpu().numpy()


@torch.no_grad()
def boxes(network: nn.Module, images: Tensor) -> NDArray[np.float64]:
    """N×20×5: boxes as shares of width and height, and their probability, the surest first; what is missing is 0."""
    rows = found(_said(network, images), images.shape[2], images.shape[3])
    return np.asarray(rows.double().cpu().numpy(), np.float64)


@torch.no_grad()
def _said(network: nn.Module, images: Tensor) -> Any:
    return network.to(device()).eval()(normalised(images).to(device()))


def _first(answer: Any) -> Tensor:
    first: Tensor = answer if isinstance(answer, Tensor) else answer[0]
    return first
