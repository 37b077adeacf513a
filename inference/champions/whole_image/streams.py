"""A recipe's streams as one graph over a packed row (`runtime.whole_image.steps`): patches or numbers about them in, a
logit a class out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from inference.blocks.parameters import make
from inference.champions.whole_image.aggregates import Mean, aggregate_of
from inference.champions.whole_image.heads import as_module
from inference.champions.whole_image.stated import bytes_of, input_bytes, instances_of, numbers_of, pixels_of
from inference.recipes.networks import pooled
from inference.recipes.pipeline import Pipeline
from inference.recipes.schema import Recipe, Stream
from inference.recipes.stages import normalised
from inference.recipes.steps import LEAST
from inference.runtime.whole_image.steps import LARGEST


class Numbers(nn.Module):
    """Bytes of float32, the highest first (`runtime.whole_image.steps.bytes_of`), as numbers: N×4·n·F → N×n×F."""

    powers: Tensor

    def __init__(self, numbers: int, instances: int = 1) -> None:
        super().__init__()
        self.numbers, self.instances = numbers, instances
        # by the exponent's eight bits: what is too small to be told from 0 is 0, and nothing is larger than LARGEST
        exponents = np.arange(256) - 127
        powers = np.where(exponents < -100, 0.0, 2.0 ** np.clip(exponents, -100, np.log2(LARGEST)))
        self.register_parameter("powers", nn.Parameter(torch.from_numpy(powers.astype(np.float32)), False))

    def forward(self, part: Tensor) -> Tensor:
        """See the class."""
        digits = part.float().reshape(-1, self.instances * self.numbers, 4)
        first, second, third, fourth = (digits[:, :, place] for place in range(4))
        negative = (first >= 128).float()
        odd = (second >= 128).float()
        exponent = 2 * (first - 128 * negative) + odd
        mantissa = ((second - 128 * odd) * 65536 + third * 256 + fourth) / 8388608
        long = exponent.long().reshape(-1)
        power = self.powers.index_select(0, long).reshape(-1, self.instances * self.numbers)
        return ((1 - 2 * negative) * power * (1 + mantissa)).reshape(-1, self.instances, self.numbers)


class _Looked(nn.Module):
    """Pixels of patches through a network: N×n·h·w·c → N×n×d, of which `use` makes a row a patch."""

    def __init__(
        self, network: nn.Module, shape: tuple[int, int, int], instances: int,
        use: Callable[[nn.Module, Tensor], Tensor],
    ) -> None:  # fmt: skip
        super().__init__()
        self.network, self.use, self.instances = network, use, instances
        self.height, self.width, self.channels = shape
        with torch.no_grad():
            self.wide = use(network, torch.zeros(1, 3, self.height, self.width)).shape[1]

    def forward(self, part: Tensor) -> Tensor:
        """See the class."""
        if self.channels == 3:
            x = part.reshape(-1, self.height, self.width, 3).permute(0, 3, 1, 2)
        else:
            x = part.reshape(-1, 1, self.height, self.width).expand(-1, 3, -1, -1)
        return self.use(self.network, normalised(x)).reshape(-1, self.instances, self.wide)


class ServedStreams(nn.Module):
    """`logits` N×K: the logarithms of the probabilities as a run's calibration takes them, of the head over the rows of
    all streams, or of the one stream that answers itself."""

    kept: Tensor

    def __init__(
        self, streams: list[tuple[int, nn.Module, nn.Module]], kept: NDArray[np.int64] | None, head: nn.Module
    ) -> None:
        """`streams`: how many bytes, what is made of them, and what becomes of a bag; `kept`: of the rows' columns."""
        super().__init__()
        self.lengths = [length for length, _, _ in streams]
        self.described = nn.ModuleList(described for _, described, _ in streams)
        self.aggregates = nn.ModuleList(aggregate for _, _, aggregate in streams)
        self.head = head
        self.register_buffer("kept", None if kept is None else torch.from_numpy(kept))

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """`x`: uint8, one packed row each, of any shape."""
        packed, rows, start = x.flatten(1), [], 0
        for length, described, aggregate in zip(self.lengths, self.described, self.aggregates, strict=True):
            rows.append(aggregate(described(packed[:, start : start + length])))
            start += length
        row = torch.cat(rows, dim=1) if len(rows) > 1 else rows[0]
        if self.kept is not None:
            row = row.index_select(1, self.kept)
        return (self.head(row).clamp(min=LEAST).log(),)


def streams_of(pipeline: Pipeline, kept: Callable[[int], NDArray[np.int64]]) -> ServedStreams:
    """Of a fitted pipeline; `kept` says of so many columns those that the recipe's selection left.

    Raises
    ------
    ExportError
        An aggregate or the head cannot be written as a graph.
    """
    recipe = pipeline.recipe
    streams = [_stream(pipeline, number, stream) for number, stream in enumerate(recipe.streams)]
    if recipe.head is None:
        return ServedStreams(streams, None, nn.Identity()).cpu().eval()
    with torch.no_grad():
        wide = sum(
            aggregate(described(torch.zeros((1, length), dtype=torch.uint8))).shape[1]
            for length, described, aggregate in (_in_rest(*stream) for stream in streams)
        )
    head = as_module(pipeline.learned["head"].thing, recipe.task.classes)
    return ServedStreams(streams, kept(wide), head).cpu().eval()


def _in_rest(length: int, described: nn.Module, aggregate: nn.Module) -> tuple[int, nn.Module, nn.Module]:
    return length, described.cpu().eval(), aggregate.cpu().eval()


def _stream(pipeline: Pipeline, number: int, stream: Stream) -> tuple[int, nn.Module, nn.Module]:
    recipe, at = pipeline.recipe, f"streams.{number}"
    instances = instances_of(recipe, stream)
    described: nn.Module
    if stream.features:
        described = Numbers(numbers_of(stream), instances)
    else:
        network = pipeline.learned[f"{at}.network"].thing.cpu().eval()
        use = _chances if _answers(recipe, stream) else pooled
        described = _Looked(network, pixels_of(recipe, stream), instances, use)
    return bytes_of(recipe, stream), described, _aggregate(pipeline, at, stream, instances)


def _aggregate(pipeline: Pipeline, at: str, stream: Stream, instances: int) -> nn.Module:
    if stream.aggregate is None:
        return Mean()
    block = stream.aggregate
    fitted = pipeline.learned.get(f"{at}.aggregate")
    made = make("aggregate", block.name, block.parameters, seed=0) if fitted is None else fitted.thing
    return aggregate_of(block, made, pipeline.recipe.task.classes, instances)


def _answers(recipe: Recipe, stream: Stream) -> bool:
    """Whether the stream's network judges each patch, as `recipes.pipeline` has it."""
    pools = (
        stream.aggregate is None
        or make("aggregate", stream.aggregate.name, stream.aggregate.parameters, seed=0).kind == "scores"
    )
    return recipe.head is None and pools


def _chances(network: nn.Module, x: Tensor) -> Tensor:
    said = network(x)
    return torch.softmax(two_columns(said if isinstance(said, Tensor) else said[0]), dim=1)


def two_columns(logits: Tensor) -> Tensor:
    """N×K; one logit becomes two classes with 0 for the first, as `inference.recipes.networks.logits` has it."""
    rows = logits[:, None] if logits.ndim == 1 else logits
    return torch.cat([torch.zeros_like(rows), rows], dim=1) if rows.shape[1] == 1 else rows


def example_row(recipe: Recipe) -> Tensor:
    """Two packed rows."""
    long = input_bytes(recipe)
    numbers = all(stream.features for stream in recipe.streams)
    return torch.zeros((2, 1, long // 4, 4) if numbers else (2, 1, 1, long), dtype=torch.uint8)
