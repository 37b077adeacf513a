"""Which recipes no version can be made of, and why."""

from __future__ import annotations

import json
import warnings
from functools import cache
from pathlib import Path

import torch

from inference.blocks.parameters import make
from inference.champions.whole_image.stated import (
    input_bytes,
    instances_of,
    numbers_of,
    pixels_of,
    size_changer,
)
from inference.recipes.networks import pooled
from inference.recipes.protocol import LEAKY, choose, divide, is_leaky
from inference.recipes.schema import Recipe, Stream
from inference.runtime.wire import MOST_ASKED_BYTES
from inference.training.export import MAX_WEIGHTS_BYTES

#: Of a number in a file of weights, at the least: float16.
_BYTES = 2
#: Aggregates that keep the rows of all bags that they learned from; what others keep is known after training.
_KEEPING = ("citation_knn", "non_parametric")


class ExportError(Exception):
    """A run that cannot become a version of the store. The sentence says why, and what would be needed."""


def why_not(recipe: Recipe, images: int = 0) -> str:
    """Why no version can be made of such a recipe, and what would be needed; empty where one can.

    Parameters
    ----------
    images
        That it learns from, where they are known: heads and aggregates may keep a row of each.
    """
    if recipe.of_table:
        return "it reads rows of a table, and a version is asked about images; a recipe of images would be needed"
    if recipe.data.pyramid is not None:
        return "it reads several levels of a place, and a version's graph one image; a recipe of that would be needed"
    if recipe.task.kind == "detect":
        return "it answers with boxes, and a version's graph gives classes or outlines; such a recipe would be needed"
    if is_leaky(recipe):
        return f"its figures are inflated by design ({LEAKY}); folds over groups would be needed"
    for stream in recipe.streams:
        if stream.segment is not None and (stream.network is not None or stream.segment.name == "network"):
            return (
                "it finds a region first and looks at that alone, and a version's graph has one stage; a recipe "
                "whose network looks at whole images or patches would be needed"
            )
    whole = [stream for stream in recipe.streams if stream.patches is None]
    cut = len(whole) < len(recipe.streams)
    if cut or any(stream.network is not None and stream.resize is None for stream in whole):
        what, needed = ("network images", "the size as `resize` of the stream")
        if cut:
            what, needed = ("patches an image", "whole images")
        if changer := size_changer(recipe):
            return (
                f"{changer} gives its {what} of another size than the recipe reads; {needed} would be needed"
            )
    if recipe.data.roi == "mask":
        return (
            "its regions are cut out by the truth's outline, which no image of a clinic has; a recipe of whole "
            "images (data.roi: none) would be needed"
        )
    asked = input_bytes(recipe)
    if asked > MOST_ASKED_BYTES:
        size, most = (f"{value / 2**20:.0f}" for value in (asked, MOST_ASKED_BYTES))
        return (
            f"one image is {size} MB for its graph, and a host takes at most {most}; smaller or fewer patches, or "
            "smaller images, would be needed"
        )
    return _too_large(recipe, images)


def why_not_here(recipe: Recipe, data: Path, seed: int) -> str:
    """`why_not`, of the images that a run on `data` would learn from: said before it learns.

    Raises
    ------
    DatasetError
        The data are not there or cannot be divided so.
    """
    keeps = [stream.aggregate.name for stream in recipe.streams if stream.aggregate is not None]
    keeps += [] if recipe.head is None else [recipe.head.name]
    if not {*_KEEPING, "knn"} & set(keeps):
        return why_not(recipe)
    chosen = choose(recipe, data, seed)
    folds, _ = divide(chosen, recipe.data, seed)
    return why_not(recipe, len(folds[0].train) if len(folds) == 1 else len(chosen.samples))


def _too_large(recipe: Recipe, images: int) -> str:
    """What of it alone is larger than a version may be."""
    numbers, wide = 0, 0
    for stream in recipe.streams:
        own, width = _network(recipe, stream)
        numbers, wide = numbers + own, wide + width
        if images and stream.aggregate is not None and stream.aggregate.name in _KEEPING:
            block = make("aggregate", stream.aggregate.name, stream.aggregate.parameters, seed=0)
            rows = images * min(block.per_bag, instances_of(recipe, stream))
            if rows * width * _BYTES > MAX_WEIGHTS_BYTES:
                return (
                    f"{stream.aggregate.name} keeps {rows} patches of {width} numbers, {_megabytes(rows * width)}; a "
                    "lower `per_bag`, fewer images or another aggregate (mi_svm keeps less) would be needed"
                )
    if numbers * _BYTES > MAX_WEIGHTS_BYTES:
        held = f"its networks have {numbers / 1e6:.1f} million numbers"
        return f"{held}, {_megabytes(numbers)}; smaller ones would be needed"
    keeps = recipe.head is not None and recipe.head.name == "knn" and not recipe.select
    if keeps and images * wide * _BYTES > MAX_WEIGHTS_BYTES:
        return (
            f"knn keeps {images} rows of {wide} numbers, {_megabytes(images * wide)}; another head, or a selection "
            "before it, would be needed"
        )
    return ""


def _megabytes(numbers: int) -> str:
    least, most = numbers * _BYTES / 1e6, MAX_WEIGHTS_BYTES / 1e6
    return f"at least {least:.0f} MB, and a version has at most {most:.0f}"


def _network(recipe: Recipe, stream: Stream) -> tuple[int, int]:
    """How many numbers a stream's network has, of what is served of it, and how many it makes of an image; laid out
    without memory for them."""
    if stream.network is None:
        return 0, numbers_of(stream)
    outlines = recipe.task.kind == "segment"
    classes = 1 if outlines else len(recipe.task.classes)
    parameters = json.dumps(stream.network.parameters, sort_keys=True)
    return _laid_out(stream.network.name, parameters, classes, outlines, *pixels_of(recipe, stream)[:2])


@cache
def _laid_out(
    name: str, parameters: str, classes: int, outlines: bool, height: int, across: int
) -> tuple[int, int]:
    """`_network` of one block; variants of a recipe often share it, and a large one takes a second."""
    place = torch.device("meta")
    with place, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that weights from a file do nothing there
        network = make("network", name, json.loads(parameters), classes=classes, seed=0).to(place)
    parts, width = [network], classes
    if not outlines and hasattr(network, "backbone") and hasattr(network, "pool"):
        width = pooled(network.eval(), torch.empty((1, 3, height, across), device=place)).shape[1]
        parts = [network.backbone, network.pool]
    return sum(p.numel() for part in parts for p in part.parameters()), width
