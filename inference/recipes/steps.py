"""What a recipe's steps do with a picture, a bag or a row: small functions that the pipeline puts together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from inference.blocks.features.region import luma
from inference.blocks.features.row import outline_of
from inference.datasets.sample import Sample
from inference.recipes import networks
from inference.recipes.pictures import Picture
from inference.recipes.provenance import Rows, Streamed, fit, keys
from inference.recipes.schema import Recipe
from inference.runtime.calibration import softmax

Values = Sequence[Any]
#: Of a probability before its logarithm is taken.
LEAST = 1e-7


def resampled(rows: Rows, seed: int) -> Rows:
    """Rows of rare classes repeated until all classes are as frequent; every row then counts as shaped by all,
    so that nobody can divide them afterwards."""
    labels = [sample.label for sample in rows.samples]
    most = max(labels.count(label) for label in set(labels))
    generator = np.random.default_rng(seed)
    chosen = list(range(len(rows)))
    for label in sorted(set(labels)):
        own = [index for index, name in enumerate(labels) if name == label]
        chosen += [int(i) for i in generator.choice(own, most - len(own))]
    sampler = fit("resampling", lambda _: chosen, rows)
    return replace(rows.take(chosen), stamps=(*rows.stamps, sampler.stamp))


def group_names(rows: Rows) -> list[str]:
    """The name under which a block records whom it has seen: the first of the sample's keys."""
    return [keys(sample)[0] for sample in rows.samples]


def unchanged(_: Any, values: Values) -> Values:
    """The values as they are."""
    return values


def logs(values: Sequence[Any]) -> NDArray[np.float64]:
    """N×K logits of rows of probabilities."""
    return np.asarray(np.log(np.clip(np.stack(values), LEAST, 1.0)), np.float64)


def on_picture(block: Any) -> Callable[[Picture], Picture]:
    """A preprocessing block on image and mask: a block that moves pixels says how (`with_mask`)."""

    def change(picture: Picture) -> Picture:
        mask = picture.mask
        if mask is not None and hasattr(block, "with_mask"):
            image, moved = block.with_mask(picture.image, mask.astype(np.uint8))
            return Picture(image, np.asarray(moved) > 0)
        image = block(picture.image)
        if mask is not None and mask.shape != image.shape[:2]:
            size = (image.shape[1], image.shape[0])
            mask = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
        return Picture(image, mask)

    return change


def outlined(block: Any, bag: tuple[Picture, ...]) -> tuple[Picture, ...]:
    """The truth's outline gives way to the one that was found."""
    return tuple(Picture(picture.image, outline_of(block, picture.image)) for picture in bag)


def taught_outlines(block: Any, given: Rows) -> Any:
    """A segmentation that has learned from the truth's outlines, of rows of bags of pictures."""
    pictures = [picture for bag in given.values for picture in bag]
    groups = [group for group, bag in zip(group_names(given), given.values, strict=True) for _ in bag]
    outlines = [np.zeros(p.image.shape[:2], bool) if p.mask is None else p.mask for p in pictures]
    return block.fit([luma(picture.image) for picture in pictures], outlines, groups=groups)


def lesions_to_find(rows: Rows, positive: str) -> Rows:
    """Pictures of which only those with the `positive` label have an outline: what is outlined in others is not looked
    for."""
    wanted = [sample.label == positive for sample in rows.samples]
    if isinstance(rows.values, Streamed):
        make = rows.values.make
        pairs = tuple(zip(rows.values.names, wanted, strict=True))
        return replace(rows, values=Streamed(pairs, lambda pair: _found_or_not(make(pair[0]), pair[1])))
    return replace(rows, values=tuple(map(_found_or_not, rows.values, wanted)))


def _found_or_not(picture: Picture, wanted: bool) -> Picture:
    return picture if wanted else Picture(picture.image)


def transformed(block: Any, values: Values) -> list[NDArray[np.float64]]:
    """A transformer of rows."""
    return list(block.transform(np.stack(values)))


def transformed_bags(block: Any, values: Values) -> list[NDArray[np.float64]]:
    """An aggregator of bags."""
    return list(block.transform(list(values)))


def probabilities(network: Any, images: torch.Tensor) -> NDArray[np.float64]:
    """N×K of a network's logits."""
    return softmax(networks.logits(network, images))


def classified(head: Any, values: Values, classes: Sequence[str]) -> list[NDArray[np.float64]]:
    """A head's probabilities in the order of `classes`; a class that training lacked gets 0."""
    given = head.predict_proba(list(values) if getattr(head, "kind", "") == "bags" else np.stack(values))
    rows = np.zeros((len(values), len(classes)))
    for column, name in enumerate(head.classes_):
        rows[:, list(classes).index(str(name))] = given[:, column]
    return list(rows)


def recall_of(predicted: Rows, recipe: Recipe) -> float:
    """Balanced accuracy: what a search climbs."""
    names = np.array([recipe.task.classes[int(np.argmax(value))] for value in predicted.values])
    truth = np.array([sample.label for sample in predicted.samples])
    return float(np.mean([(names[truth == label] == label).mean() for label in set(truth)]))


def anonymous_sample() -> Sample:
    """Whose picture a file from outside is: no group, no patient."""
    return Sample("", "", "", Path(), "", "", None)
