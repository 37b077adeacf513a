"""What a recipe's steps before the network are in a manifest, and the size and number of what they give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from math import prod
from typing import Any

import numpy as np

from inference.blocks.parameters import make
from inference.champions.method import block_in_words
from inference.recipes.part import Block
from inference.recipes.pictures import grid_of
from inference.recipes.pipeline import Pipeline
from inference.recipes.schema import Recipe, Stream
from inference.runtime.whole_image import preprocessing, steps
from inference.runtime.whole_image.preprocessing import Size


def is_described(recipe: Recipe) -> bool:
    """Whether hand-made features describe its images, and no network."""
    return all(stream.features for stream in recipe.streams)


def is_packed(recipe: Recipe) -> bool:
    """Whether its graph takes a row of bytes instead of one image: for patches, hand-made features, or networks that
    look at different sizes."""
    return recipe.task.kind != "segment" and (
        any(stream.features or stream.patches or stream.aggregate for stream in recipe.streams)
        or len({stream.resize for stream in recipe.streams}) > 1
    )


def sizes_of(recipe: Recipe) -> tuple[Size, ...]:
    """What an image is brought to, one after the other."""
    resize = recipe.streams[0].resize
    outlines = recipe.task.kind == "segment"  # at the size that its pictures have
    if resize is None or outlines or is_packed(recipe):
        return (recipe.data.size,)
    return (recipe.data.size, resize)


def instances_of(recipe: Recipe, stream: Stream) -> int:
    """How many patches an image gives the stream."""
    return 1 if stream.patches is None else grid_of(stream.patches).count(*recipe.data.size)


def numbers_of(stream: Stream) -> int:
    """How many numbers its features give of one patch."""
    return sum(len(make("features", block.name, block.parameters).names) for block in stream.features)


def pixels_of(recipe: Recipe, stream: Stream) -> tuple[int, int, int]:
    """Height, width and channels of what its network looks at."""
    height, width = recipe.data.size
    if stream.patches is not None:
        height = width = grid_of(stream.patches).side(height, width)
    height, width = stream.resize or (height, width)
    return height, width, 3 if recipe.data.colour == "rgb" else 1


def bytes_of(recipe: Recipe, stream: Stream) -> int:
    """Of the packed row those of the stream."""
    own = 4 * numbers_of(stream) if stream.features else prod(pixels_of(recipe, stream))
    return own * instances_of(recipe, stream)


def input_bytes(recipe: Recipe) -> int:
    """Of what its graph takes of one image."""
    if is_packed(recipe):
        return sum(bytes_of(recipe, stream) for stream in recipe.streams)
    return prod(sizes_of(recipe)[-1]) * (3 if recipe.data.colour == "rgb" else 1)


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
    if is_packed(recipe):
        long = input_bytes(recipe)
        more |= {
            steps.DESCRIBED: [_stream(pipeline, n, stream) for n, stream in enumerate(recipe.streams)],
            **({steps.NUMBERS: long // 4} if is_described(recipe) else {steps.BYTES: long}),
        }
        words += [described_in_words(recipe, stream) for stream in recipe.streams]
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
        "patches": None if stream.patches is None else asdict(grid_of(stream.patches)),
        "size": None if stream.resize is None else list(stream.resize),
        "segment": segment,
        "features": [steps.entry(block.name, block.parameters) for block in stream.features],
    }


def _entry(pipeline: Pipeline, step: str, block: Block) -> dict[str, Any]:
    fitted = pipeline.learned.get(step)
    return steps.entry(block.name, block.parameters, None if fitted is None else fitted.thing.plain())


def described_in_words(recipe: Recipe, stream: Stream) -> str:
    """What an image becomes in this stream, after `is`."""
    words = cut_in_words(recipe, stream)
    if stream.features:
        words += ("each " if words else "") + "described by "
        words += ", ".join(block_in_words(block) for block in stream.features)
    if stream.segment is not None:
        words += f" inside what {block_in_words(stream.segment)} outlines"
    return words or "taken whole"


def cut_in_words(recipe: Recipe, stream: Stream) -> str:
    """Its patches, after `is`; empty where it is not cut."""
    words = []
    if stream.patches is not None:
        count, grid = instances_of(recipe, stream), grid_of(stream.patches)
        many = f"{count} patches" if count > 1 else "one patch"
        words.append(f"cut into {many} of {grid.side(*recipe.data.size)} px, {grid.stride} px apart, ")
    if stream.resize is not None:
        words.append(f"brought to {stream.resize[1]} × {stream.resize[0]} px, ")
    return "".join(words)
