"""A recipe's network as it is served: pixels in, a logit a class and where the positive one comes from out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from inference.blocks.networks.classifier import ClassifierOutput
from inference.champions.whole_image.heads import as_module
from inference.champions.whole_image.stated import is_described, movers, numbers_of, sizes_of
from inference.recipes.networks import pooled
from inference.recipes.pipeline import Pipeline
from inference.recipes.schema import Recipe
from inference.recipes.stages import normalised
from inference.recipes.steps import LEAST
from inference.runtime.whole_image.pipeline import LOGITS, MAP
from inference.runtime.whole_image.steps import LARGEST


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
        return ServedOutput(_two(raw.flatten(1).amax(dim=1)), raw)


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
            return (_two(said.logits),)
        if not isinstance(said, ClassifierOutput):
            return (_two(said if isinstance(said, Tensor) else said[0]),)
        return ServedOutput(_two(said.logits), self._places(said.map))

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


class ServedNumbers(nn.Module):
    """A fitted head over numbers that describe an image, which come as the bytes of their float32 (N×1×F×4, the highest
    first, as `runtime.whole_image.steps.bytes_of` writes them): `logits` as `ServedHead` gives them."""

    kept: Tensor
    powers: Tensor

    def __init__(self, numbers: int, kept: NDArray[np.int64], head: nn.Module) -> None:
        super().__init__()
        self.numbers, self.head = numbers, head
        self.register_buffer("kept", torch.from_numpy(kept))
        # by the exponent's eight bits: what is too small to be told from 0 is 0, and nothing is larger than LARGEST
        exponents = np.arange(256) - 127
        powers = np.where(exponents < -100, 0.0, 2.0 ** np.clip(exponents, -100, np.log2(LARGEST)))
        self.register_parameter("powers", nn.Parameter(torch.from_numpy(powers.astype(np.float32)), False))

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """See the class."""
        digits = x.float().reshape(-1, self.numbers, 4)
        first, second, third, fourth = (digits[:, :, place] for place in range(4))
        negative = (first >= 128).float()
        odd = (second >= 128).float()
        exponent = 2 * (first - 128 * negative) + odd
        mantissa = ((second - 128 * odd) * 65536 + third * 256 + fourth) / 8388608
        power = self.powers.index_select(0, exponent.long().reshape(-1)).reshape(-1, self.numbers)
        rows = (1 - 2 * negative) * power * (1 + mantissa)
        return (self.head(rows.index_select(1, self.kept)).clamp(min=LEAST).log(),)


def _channels_first(x: Tensor, rgb: bool) -> Tensor:
    return x.permute(0, 3, 1, 2) if rgb else x.expand(-1, 3, -1, -1)


def _two(logits: Tensor) -> Tensor:
    """N×K; one logit becomes two classes with 0 for the first, as `inference.recipes.networks.logits` has it."""
    rows = logits[:, None] if logits.ndim == 1 else logits
    return torch.cat([torch.zeros_like(rows), rows], dim=1) if rows.shape[1] == 1 else rows


def served(network: nn.Module, recipe: Recipe) -> nn.Module:
    """On the CPU, in evaluation mode."""
    kind = ServedOutlines if recipe.task.kind == "segment" else Served
    return kind(network, recipe).cpu().eval()


def served_by(pipeline: Pipeline) -> nn.Module:
    """What a fitted pipeline's network becomes, with the head that judges its features where the recipe has one.

    Raises
    ------
    ExportError
        The head cannot be written as a graph.
    """
    recipe, learned = pipeline.recipe, pipeline.learned
    if is_described(recipe):
        assert recipe.head is not None
        numbers = numbers_of(recipe)
        head = as_module(learned["head"].thing, recipe.task.classes)
        return ServedNumbers(numbers, _kept(pipeline, numbers), head).cpu().eval()
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
    if is_described(recipe):
        return torch.zeros((2, 1, numbers_of(recipe), 4), dtype=torch.uint8)
    height, width = sizes_of(recipe)[-1]
    shape = (2, height, width, 3) if recipe.data.colour == "rgb" else (2, 1, height, width)
    return torch.zeros(shape, dtype=torch.uint8)


@torch.no_grad()
def outputs_of(network: nn.Module, recipe: Recipe) -> tuple[str, ...]:
    """The names of the outputs."""
    return (LOGITS, MAP)[: len(network(example_of(recipe)))]
