"""A training in stages as a recipe says it: `train: {…, stages: [{epochs, loss, augment, freeze, restarts, …}]}`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Generator, Tensor, nn

from inference.blocks.networks.efficientnet import MEAN, STD
from inference.blocks.parameters import BlockError, check, make
from inference.recipes.part import Block, BlockName, Part
from inference.training.batches import Batches, Parts, Source
from inference.training.device import Loss
from inference.training.loop import Lesson, Place, fit_stages
from inference.training.stage import Named, Stage


class StageRecipe(Part):
    """One stage. What `inference.training.stage.Stage` says of a key holds here.

    `loss` judges what the network answers, `objective` asks it itself; one of them. `views` choose what of a batch the
    network is shown, `augment` changes each view, `mix_pairs` is the share of images that another one is then mixed
    into, their labels too (Zhang 2018). `steps` are those of an epoch where it is not every example once. `seed` is
    added to the run's; without it the stage's number is.
    """

    epochs: int = Field(ge=1)
    steps: int | None = Field(None, ge=1, exclude_if=lambda steps: steps is None)
    batch: int = Field(16, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    backbone_rate: float = Field(1.0, ge=0)
    optimiser: Literal["adamw", "sgd"] = "adamw"
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(1e-2, ge=0)
    schedule: BlockName = Block(name="cosine")
    averaging: float = Field(0.0, ge=0, lt=1)
    restarts: int = Field(1, ge=1)
    freeze: int | None = Field(None, ge=0)
    renew_statistics: bool = False
    patience: int | None = Field(None, ge=1)
    precision: Literal["auto", "single"] = "auto"
    captured: bool = False
    sampler: BlockName = Block(name="shuffled")
    views: BlockName = Block(name="whole")
    augment: tuple[BlockName, ...] = ()
    mix_pairs: float = Field(0.0, ge=0, le=1)
    loss: BlockName | None = None
    objective: BlockName | None = None
    workers: int = Field(0, ge=0)
    seed: int | None = None

    @model_validator(mode="after")
    def _one_loss(self) -> StageRecipe:
        if (self.loss is None) == (self.objective is None):
            raise ValueError("a stage has either a loss or an objective")
        for family, block in self.blocks():
            try:
                check(family, block.name, block.parameters)
            except BlockError as error:
                raise ValueError(f"{family}: {error}") from None
        return self

    def blocks(self) -> list[tuple[str, Block]]:
        """Every block that it names, with its family."""
        found = [("schedule", self.schedule), ("sampler", self.sampler), ("views", self.views)]
        found += [("augment", block) for block in self.augment]
        found += [
            (family, block) for family, block in (("loss", self.loss), ("objective", self.objective)) if block
        ]
        return found

    def stage(self, number: int, seed: int) -> Stage:
        """For the loop, as stage `number` of a run with this `seed`."""
        return Stage(
            epochs=self.epochs, learning_rate=self.learning_rate, backbone_rate=self.backbone_rate,
            optimiser=self.optimiser, betas=self.betas, momentum=self.momentum, weight_decay=self.weight_decay,
            schedule=Named(self.schedule.name, self.schedule.parameters), averaging=self.averaging,
            restarts=self.restarts, freeze=self.freeze, renew_statistics=self.renew_statistics,
            patience=self.patience, precision=self.precision, captured=self.captured,
            seed=seed + (number if self.seed is None else self.seed),
        )  # fmt: skip


class NetworkRecipe(Part):
    """A network and how it is trained. In `train` what stands beside `stages` holds for each of them that does not say
    otherwise; `seed` is added to the run's."""

    network: BlockName
    train: tuple[StageRecipe, ...] = Field(min_length=1)
    seed: int = 0

    @model_validator(mode="before")
    @classmethod
    def _inherit(cls, content: Any) -> Any:
        train = content.get("train") if isinstance(content, dict) else None
        if not isinstance(train, dict) or not isinstance(train.get("stages"), list):
            return content
        common = {key: value for key, value in train.items() if key != "stages"}
        stages = [{**common, **stage} if isinstance(stage, dict) else stage for stage in train["stages"]]
        return {**content, "train": stages}

    @model_validator(mode="after")
    def _known_network(self) -> NetworkRecipe:
        try:
            check("network", self.network.name, self.network.parameters)
        except BlockError as error:
            raise ValueError(f"network: {error}") from None
        return self

    def made(self, classes: int, seed: int) -> nn.Module:
        """The untrained network; its random weights follow from the seed."""
        torch.manual_seed(seed + self.seed)
        made: nn.Module = make("network", self.network.name, self.network.parameters, classes=classes)
        return made

    def fitted(self, source: Source, place: Place, *, classes: int, seed: int) -> nn.Module:
        """The network through all its stages. A checkpoint depends on its stage and those before it, so that a stage
        can be added to what was trained."""
        lessons = [
            lesson(stage, source, stage.stage(number, seed + self.seed))
            for number, stage in enumerate(self.train)
        ]
        said = [stage.model_dump_json() for stage in self.train]
        decided = [
            hashlib.sha256("\n".join(said[: number + 1]).encode()).hexdigest() for number in range(len(said))
        ]
        return fit_stages(self.made(classes, seed), lessons, place, decided=decided)


def lesson(
    recipe: StageRecipe, source: Source, stage: Stage, *, outlines: bool = False,
    weights: Sequence[float] | None = None,
) -> Lesson:  # fmt: skip
    """What the loop needs of a stage.

    Parameters
    ----------
    source
        Its parts: images N×C×H×W, masks N×1×H×W (0 or 255) or N×0, boxes or N×0, labels.
    outlines
        Whether `loss` judges outlines instead of classes.
    weights
        Of classes, handed to `loss`.
    """
    views = make("views", recipe.views.name, recipe.views.parameters)
    augments = [make("augment", block.name, block.parameters) for block in recipe.augment]
    judged = _objective(recipe, outlines, weights)
    draw = getattr(judged, "draw", None)

    def composed(parts: Parts, generator: Generator) -> Parts:
        images, masks, boxes, labels = parts
        images = images.float()
        masks = masks.float() / 255 if masks.ndim == 4 else torch.zeros_like(images[:, :1])
        shown = []
        for image, mask in views(images, masks, boxes, generator):
            for augment in augments:
                image, mask = augment(image, mask, generator)
            shown.append((image, mask))
        if recipe.mix_pairs:
            shown, labels = _mixed(shown, labels, recipe.mix_pairs, generator)
        chance = () if draw is None else (draw(len(labels), generator),)
        return (*(part for pair in shown for part in pair), labels, *chance)

    sampler = make("sampler", recipe.sampler.name, recipe.sampler.parameters)
    size = min(recipe.batch, len(source.labels))
    return Lesson(stage, Batches(source, size, composed, sampler, recipe.workers, recipe.steps), judged)


def _objective(recipe: StageRecipe, outlines: bool, weights: Sequence[float] | None) -> Loss:
    if recipe.objective is not None:
        made: Loss = make("objective", recipe.objective.name, recipe.objective.parameters)
        return made
    assert recipe.loss is not None
    extra = {} if weights is None else {"weights": weights}
    loss: Callable[[Any, Tensor], Tensor] = make(
        "loss", recipe.loss.name, {**recipe.loss.parameters, **extra}
    )

    def judged(network: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        images, masks, labels = batch
        return loss(network(normalised(images)), masks if outlines else labels)

    return judged


def normalised(images: Tensor) -> Tensor:
    """What networks of recipes take: (x/255 − 0.5)/0.5."""
    return (images.float() / 255 - MEAN) / STD


def _mixed(
    shown: list[tuple[Tensor, Tensor]], labels: Tensor, share: float, generator: Generator
) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
    """Mixing pairs keeps a network from learning the labels' noise by heart. Of one view only."""
    ((images, masks),) = shown
    draw = torch.rand((2, len(labels)), generator=generator, device=generator.device)
    keep = torch.where(draw[1] < share, 1 - 0.5 * draw[0], 1.0)
    other = torch.randperm(len(labels), generator=generator, device=generator.device)
    weight = keep.view(-1, 1, 1, 1)
    mixed = [part * weight + part[other] * (1 - weight) for part in (images, masks)]
    return [(mixed[0], mixed[1])], labels * keep + labels[other] * (1 - keep)
