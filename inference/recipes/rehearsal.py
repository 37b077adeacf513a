"""A recipe tried out on one made-up picture, before any data are read: what a block refuses then it would refuse after
an hour.

Networks are laid out on torch's `meta` device: shapes without numbers, so that the largest takes a second.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from inference.blocks.features.region import luma
from inference.blocks.parameters import BlockError, make
from inference.datasets.sample import DatasetError
from inference.recipes.fits import learns
from inference.recipes.keeping import refuse_unkept
from inference.recipes.part import Block
from inference.recipes.pictures import Picture, instances
from inference.recipes.schema import Recipe, RecipeError, Stream
from inference.recipes.steps import on_picture
from inference.recipes.validation import changed

_REFUSALS = (
    ValueError, TypeError, RuntimeError, LookupError, ArithmeticError, cv2.error, BlockError, DatasetError,
)  # fmt: skip
#: Rows a class of the table that a head is tried on.
_ROWS = 8


def rehearse(recipe: Recipe) -> None:
    """The recipe as it stands, and with each setting that its search may choose, one at a time.

    Raises
    ------
    RecipeError
        A block cannot work with what stands before it. The sentence names its key.
    """
    _as_it_stands(recipe)
    if recipe.search is None:
        return
    plain = recipe.model_copy(update={"search": None})
    for key, values in recipe.search.over.items():
        for value in values:
            one = changed(plain, {key: value})
            try:
                if one != plain:
                    _as_it_stands(one)
            except RecipeError as error:
                words = str(error).removeprefix(f"{recipe.id}: ")
                raise RecipeError(f"{recipe.id}: search.over.{key}: {value!r}: {words}") from error


def _as_it_stands(recipe: Recipe) -> None:
    if not recipe.of_table:
        _streams(recipe)
    if recipe.head is not None:
        with _told(recipe, "head", recipe.head):
            _head(recipe)


def _streams(recipe: Recipe) -> None:
    picture = _preprocessed(recipe)
    for number, stream in enumerate(recipe.streams):
        at = f"streams.{number}"
        parts = instances(picture, stream.patches, stream.resize)
        if stream.network is not None:
            if stream.segment is not None:
                _outlined(stream.segment, picture, recipe, at)
            with _told(recipe, f"{at}.network", stream.network):
                _network(recipe, stream, *parts[0].image.shape[:2])
        else:
            _described(recipe, at, stream, parts[0])


@contextmanager
def _told(recipe: Recipe, key: str, block: Block) -> Iterator[None]:
    try:
        yield
    except _REFUSALS as error:
        words = " ".join(str(error).split()) or type(error).__name__
        named = words if words.startswith(f"{block.name}:") else f"{block.name}: {words}"
        raise RecipeError(f"{recipe.id}: {key}: {named}") from error


def _preprocessed(recipe: Recipe) -> Picture:
    """A grey or coloured picture with a bright disc, through the steps that learn nothing."""
    height, width = recipe.data.size
    y, x = np.ogrid[:height, :width]
    disc = ((y - height / 2) / height) ** 2 + ((x - width / 2) / width) ** 2 < 0.06
    noise = np.random.default_rng(0).integers(40, 90, (height, width))
    plain = np.clip(noise + 90 * disc, 0, 255).astype(np.uint8)
    tinted = np.stack([plain, plain // 2, 200 - plain // 2], axis=-1)
    picture = Picture(plain if recipe.data.colour == "gray" else tinted, disc)
    for number, block in enumerate(recipe.preprocess):
        made = make("preprocess", block.name, block.parameters, seed=0)
        if not hasattr(made, "fit"):
            with _told(recipe, f"preprocess.{number}", block):
                picture = on_picture(made)(picture)
    return picture


def _described(recipe: Recipe, at: str, stream: Stream, part: Picture) -> None:
    outline = None if stream.segment is None else _outlined(stream.segment, part, recipe, at)
    for number, block in enumerate(stream.features):
        with _told(recipe, f"{at}.features.{number}", block):
            make("features", block.name, block.parameters, seed=0)(part.image, outline)


def _outlined(block: Block, part: Picture, recipe: Recipe, at: str) -> NDArray[np.bool_] | None:
    """What a segmentation that learns nothing finds; else the disc."""
    segment = make("segment", block.name, block.parameters, seed=0)
    if hasattr(segment, "fit"):
        return part.mask
    with _told(recipe, f"{at}.segment", block):
        found: NDArray[np.bool_] = segment(luma(part.image))
    return found


def _network(recipe: Recipe, stream: Stream, height: int, width: int) -> None:
    """Laid out, asked, and its answer judged by the loss."""
    assert stream.network is not None
    located, trained = recipe.task.kind != "classify", learns(stream)
    classes = recipe.task.numbers
    # boxes are looked for in numbers, not in shapes
    place = torch.device("cpu" if recipe.task.kind == "detect" else "meta")
    with place, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that weights from a file do nothing there
        network = make("network", stream.network.name, stream.network.parameters, classes=classes, seed=0)
        network.to(place)
    for stage in recipe.train.stages if trained else ():
        if stage.freeze is not None:
            if not hasattr(getattr(network, "backbone", None), "freeze"):
                raise ValueError("train.stages: it has no backbone to freeze")
            network.backbone.freeze(stage.freeze)
    count = (2 if place.type == "cpu" else recipe.train.batch) if trained else 1
    answer = network.train(trained)(torch.zeros((count, 3, height, width), device=place))
    logits = answer if isinstance(answer, torch.Tensor) else answer[0]
    numbers = logits.shape[1:].numel()
    if not located and numbers != classes and (numbers, classes) != (1, 2):
        raise ValueError(f"it answers with {numbers} numbers, and there are {classes} classes")
    if trained:
        loss = make("loss", recipe.train.loss.name, recipe.train.loss.parameters)
        shape, kind = ((count, 1, height, width), torch.float32) if located else ((count,), torch.int64)
        loss(answer, torch.zeros(shape, dtype=kind, device=place))
    pooled = recipe.head is not None or (stream.aggregate is not None and _kind(stream.aggregate) != "scores")
    if pooled and (getattr(network, "backbone", None) is None or getattr(network, "pool", None) is None):
        raise ValueError("it has no backbone and pool, so it gives no features")


def _kind(block: Block) -> str:
    return str(make("aggregate", block.name, block.parameters, seed=0).kind)


def _head(recipe: Recipe) -> None:
    """Fitted to a few rows of every class, asked about them, and kept."""
    assert recipe.head is not None
    count = len(recipe.task.classes)
    labels = np.repeat(np.array(recipe.task.classes), _ROWS)
    middles = np.repeat(np.arange(count), _ROWS)[:, None]
    rows = np.random.default_rng(0).normal(size=(len(labels), 4)) + middles
    head = make("head", recipe.head.name, recipe.head.parameters, classes=count, seed=0)
    head.fit(rows, labels, groups=[str(number // 2) for number in range(len(labels))])
    head.predict_proba(rows)
    refuse_unkept(head)
