"""What a part of a training is decided by, besides its data, its augmentation and its loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Named:
    """A registered block and its parameters."""

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """One part of a training.

    Parameters
    ----------
    backbone_rate
        Of the learning rate, for the parameters of the network's `backbone`.
    averaging
        Weights averaged over steps, this share of the average kept at each (less in the first steps); 0 for none.
    restarts
        So many runs from the same weights, each with random numbers of its own, and the mean of their weights.
    freeze
        Stages of the `backbone` that keep their values and statistics; None: as the network has them.
    renew_statistics
        Take batch statistics anew at the end, in one epoch with the averaged weights, which have none of their own.
    patience
        End after so many epochs in which the watched loss has not fallen, with the weights of its lowest point.
    precision
        `auto`: bfloat16 where there is a GPU.
    captured
        On a GPU, record the step once as a CUDA graph: all batches have the first one's shapes, and the loss reads no
        number back.
    seed
        Added to the run's.
    """

    epochs: int
    learning_rate: float = 1e-3
    backbone_rate: float = 1.0
    optimiser: Literal["adamw", "sgd"] = "adamw"
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: float = 0.9
    weight_decay: float = 1e-2
    schedule: Named = Named("cosine")
    averaging: float = 0.0
    restarts: int = 1
    freeze: int | None = None
    renew_statistics: bool = False
    patience: int | None = None
    precision: Literal["auto", "single"] = "auto"
    captured: bool = False
    seed: int = 0
