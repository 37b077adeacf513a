"""A recipe's network as it is served: pixels in, a logit a class and where the positive one comes from out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from inference.blocks.networks.classifier import ClassifierOutput
from inference.champions.whole_image.heads import as_module
from inference.champions.whole_image.stated import is_packed, movers, sizes_of
from inference.champions.whole_image.streams import example_row, streams_of, two_columns
from inference.recipes.networks import pooled
from inference.recipes.pipeline import Pipeline
from inference.recipes.schema import Recipe
from inference.recipes.stages import normalised
from inference.recipes.steps import LEAST
from inference.runtime.whole_image.pipeline import LOGITS, MAP


class ServedOutput(NamedTuple):
    """`logits` N×K; `map` N×1×h×w, the log-odds that each place speaks for the positive class against the rest."""

    logits: Tensor
    map: Tensor


class ServedOutlines(nn.Module):
    """A network that outlines, over the same input: the log-odds of each pixel as `map` N×1×H×W, and as `logits` N×2
    nothing against the highest of them."""

    def __init__(self, network: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.network = network
        self.rgb = recipe.data.colour == "rgb"

    def forward(self, x: Tensor) -> ServedOutput:
        """See the class."""
        x = _channels_first(x, self.rgb)
        said = self.network(normalised(x))
        raw = (said if isinstance(said, Tensor) else said[0])[:, -1:]
        if raw.shape[2:] != x.shape[2:]:
            raw = F.interpolate(raw, size=x.shape[2:], mode="bilinear")
        return ServedOutput(two_columns(raw.flatten(1).amax(dim=1)), raw)


class Served(nn.Module):
    """`network`, which takes what recipes give (N×3×H×W, normalised), over uint8 N×1×H×W, or N×H×W×3 in colour."""

    def __init__(self, network: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.network = network
        self.rgb = recipe.data.colour == "rgb"
        self.positive = recipe.task.classes.index(recipe.task.positive)
        #: a map of moved pixels would lie elsewhere in the image
        self.shows_places = not movers(recipe)

    def forward(self, x: Tensor) -> ServedOutput | tuple[Tensor]:
        """One output where the network puts no map out."""
        said = self.network(normalised(_channels_first(x, self.rgb)))
        if isinstance(said, ClassifierOutput) and not self.shows_places:
            return (two_columns(said.logits),)
        if not isinstance(said, ClassifierOutput):
            return (two_columns(said if isinstance(said, Tensor) else said[0]),)
        return ServedOutput(two_columns(said.logits), self._places(said.map))

    def _places(self, places: Tensor) -> Tensor:
        """Log-odds of the positive class against the rest, place by place."""
        if places.shape[1] == 1:
            return places if self.positive == 1 else -places
        own = places[:, self.positive : self.positive + 1]
        others = torch.cat([places[:, : self.positive], places[:, self.positive + 1 :]], dim=1)
        highest = others.amax(dim=1, keepdim=True)
        return own - highest - (others - highest).exp().sum(dim=1, keepdim=True).log()


class ServedHead(nn.Module):
    """Networks whose pooled features, side by side and selected from, a fitted head judges, over the same input:
    `logits` N×K, the logarithms of the head's probabilities as a run's calibration takes them."""

    kept: Tensor

    def __init__(
        self, networks: Sequence[nn.Module], kept: NDArray[np.int64], head: nn.Module, recipe: Recipe
    ) -> None:
        super().__init__()
        self.networks, self.head = nn.ModuleList(networks), head
        self.rgb = recipe.data.colour == "rgb"
        self.register_buffer("kept", torch.from_numpy(kept))

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """See the class."""
        x = normalised(_channels_first(x, self.rgb))
        rows = torch.cat([pooled(network, x) for network in self.networks], dim=1)
        return (self.head(rows.index_select(1, self.kept)).clamp(min=LEAST).log(),)


def _channels_first(x: Tensor, rgb: bool) -> Tensor:
    return x.permute(0, 3, 1, 2) if rgb else x.expand(-1, 3, -1, -1)


def served(network: nn.Module, recipe: Recipe) -> nn.Module:
    """On the CPU, in evaluation mode."""
    kind = ServedOutlines if recipe.task.kind == "segment" else Served
    return kind(network, recipe).cpu().eval()


def served_by(pipeline: Pipeline) -> nn.Module:
    """What a fitted pipeline's network becomes, with the head that judges its features where the recipe has one.

    Raises
    ------
    ExportError
        The head or an aggregate cannot be written as a graph.
    """
    recipe, learned = pipeline.recipe, pipeline.learned
    if is_packed(recipe):
        return streams_of(pipeline, partial(_kept, pipeline))
    networks = [learned[f"streams.{number}.network"].thing for number in range(len(recipe.streams))]
    if recipe.head is None:
        return served(networks[0], recipe)
    with torch.no_grad():
        height, width = sizes_of(recipe)[-1]
        wide = sum(
            pooled(network.cpu().eval(), torch.zeros(1, 3, height, width)).shape[1] for network in networks
        )
    head = as_module(learned["head"].thing, recipe.task.classes)
    return ServedHead(networks, _kept(pipeline, wide), head, recipe).cpu().eval()


def _kept(pipeline: Pipeline, wide: int) -> NDArray[np.int64]:
    """Of so many columns those that the recipe's selection left."""
    kept = np.arange(wide)
    for number in range(len(pipeline.recipe.select)):
        kept = kept[pipeline.learned[f"select.{number}"].thing.support_]
    return kept


def example_of(recipe: Recipe) -> Tensor:
    """Two inputs of the network."""
    if is_packed(recipe):
        return example_row(recipe)
    height, width = sizes_of(recipe)[-1]
    shape = (2, height, width, 3) if recipe.data.colour == "rgb" else (2, 1, height, width)
    return torch.zeros(shape, dtype=torch.uint8)


@torch.no_grad()
def outputs_of(network: nn.Module, recipe: Recipe) -> tuple[str, ...]:
    """The names of the outputs."""
    return (LOGITS, MAP)[: len(network(example_of(recipe)))]
