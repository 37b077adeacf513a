"""What a recipe's steps before the network are in a manifest, and the size and number of what they give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from inference.blocks.parameters import make
from inference.champions.method import block_in_words
from inference.recipes.pipeline import Pipeline
from inference.recipes.schema import Block, Recipe, Stream
from inference.runtime.whole_image import preprocessing, steps
from inference.runtime.whole_image.preprocessing import Size


def is_described(recipe: Recipe) -> bool:
    """Whether hand-made features describe its images, and no network."""
    return any(stream.features for stream in recipe.streams)


def sizes_of(recipe: Recipe) -> tuple[Size, ...]:
    """What an image is brought to, one after the other."""
    resize = recipe.streams[0].resize
    outlines = recipe.task.kind == "segment"  # at the size that its pictures have
    if resize is None or outlines or is_described(recipe):
        return (recipe.data.size,)
    return (recipe.data.size, resize)


def numbers_of(recipe: Recipe) -> int:
    """How many numbers its features give."""
    blocks = [block for stream in recipe.streams for block in stream.features]
    return sum(len(make("features", block.name, block.parameters).names) for block in blocks)


def movers(recipe: Recipe) -> list[Block]:
    """Steps that move pixels, so that what is marked afterwards lies elsewhere in the image."""
    return [
        block
        for block in recipe.preprocess
        if hasattr(make("preprocess", block.name, block.parameters), "with_mask")
    ]


def size_changer(recipe: Recipe) -> str:
    """The first step that ends with another size than it was given; empty where none does."""
    height, width = recipe.data.size
    blank = np.full((height, width) if recipe.data.colour == "gray" else (height, width, 3), 90, np.uint8)
    changing = (block for block in movers(recipe) if make("preprocess", block.name, block.parameters)(blank).shape
                != blank.shape)  # fmt: skip
    return next((block.name for block in changing), "")


def stated(pipeline: Pipeline) -> dict[str, object]:
    """The manifest's `preprocessing` of a fitted pipeline."""
    recipe = pipeline.recipe
    before = [_entry(pipeline, f"preprocess.{n}", block) for n, block in enumerate(recipe.preprocess)]
    more: dict[str, object] = {steps.BEFORE: before} if before else {}
    words = [block_in_words(block) for block in recipe.preprocess]
    if is_described(recipe):
        streams = [_stream(pipeline, n, stream) for n, stream in enumerate(recipe.streams)]
        more |= {steps.DESCRIBED: streams, "numbers": numbers_of(recipe)}
        words += [described_in_words(stream) for stream in recipe.streams]
    found = preprocessing.described(sizes_of(recipe), recipe.data.colour, words, more)
    if more:
        said = steps.example(steps.made(found), recipe.data.colour == "rgb")
        found[steps.MADE] = [float(f"{value:.9g}") for value in said]
    return found


def _stream(pipeline: Pipeline, number: int, stream: Stream) -> Mapping[str, object]:
    segment = None
    if stream.segment is not None:
        segment = _entry(pipeline, f"streams.{number}.segment", stream.segment)
    return {
        "size": None if stream.resize is None else list(stream.resize),
        "segment": segment,
        "features": [steps.entry(block.name, block.parameters) for block in stream.features],
    }


def _entry(pipeline: Pipeline, step: str, block: Block) -> dict[str, Any]:
    fitted = pipeline.learned.get(step)
    return steps.entry(block.name, block.parameters, None if fitted is None else fitted.thing.plain())


def described_in_words(stream: Stream) -> str:
    """What describes an image in this stream, after `is`."""
    described = ", ".join(block_in_words(block) for block in stream.features)
    if stream.segment is None:
        return f"described by {described}"
    return f"described by {described} inside what {block_in_words(stream.segment)} outlines"
