"""What the ultrasound network learns from: frames, outlines, boxes and readers' categories of the recipe's collections,
as its views take them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from inference.blocks.networks.lesion import LesionNetwork, pooled_statistics
from inference.champions.learning import fitted
from inference.champions.plan import Plan
from inference.champions.recipe import ChampionRecipe
from inference.datasets import busbra, busi
from inference.datasets.pixels import read_gray, read_joined_masks
from inference.datasets.sample import Sample
from inference.recipes.provenance import Fitted
from inference.runtime.geometry import lay_out
from inference.runtime.ultrasound.pipeline import CATEGORIES, CLASSES, NORMAL
from inference.runtime.ultrasound.preprocessing import SIDE, working_canvas
from inference.training.batches import InMemory
from inference.training.device import device

#: Training frames are kept at twice the network's resolution, so that a closer look shows more.
_SOURCE = 2 * SIDE
_COLLECTIONS = {busi.NAME: busi, busbra.NAME: busbra}
LICENCES = {name: collection.LICENCE for name, collection in _COLLECTIONS.items()}


def read(root: Path, collections: Sequence[str]) -> list[Sample]:
    """The frames of these collections, from the folder that holds all sets."""
    return [sample for name in collections for sample in _COLLECTIONS[name].read(root / name).samples]


def scanner(sample: Sample) -> str:
    """What made the frame, as far as the collection tells: `busbra GE Logiq 5`; of one that tells nothing its name."""
    device_name = sample.extra.get("device", "").split("@")[0].strip()
    return f"{sample.dataset} {device_name}".strip()


def load(samples: Sequence[Sample]) -> InMemory:
    """Frames and masks N×1×448×448, laid out as for the network but at twice its resolution; the box of all lesions
    together (−1 where there is none); class numbers beside the reader's category (−1 where none is known). Balanced by
    scanner and class."""
    images, masks, boxes = [], [], []
    for sample in samples:
        gray = read_gray(sample.path)
        whole = (0, 0, gray.shape[1], gray.shape[0])
        images.append(lay_out(gray, whole, _SOURCE, _SOURCE)[0])
        drawn = lay_out(read_joined_masks(sample.masks, *gray.shape), whole, _SOURCE, _SOURCE)[0]
        masks.append(np.where(drawn > 127, 255, 0).astype(np.uint8))
        x, y, width, height = cv2.boundingRect(masks[-1])
        boxes.append((x, y, x + width, y + height) if width else (-1, -1, -1, -1))
    truths = [(CLASSES.index(sample.label), category(sample)) for sample in samples]
    strata = sorted({(scanner(sample), sample.label) for sample in samples})
    return InMemory(
        (
            torch.from_numpy(np.stack(images))[:, None],
            torch.from_numpy(np.stack(masks))[:, None],
            torch.tensor(boxes, dtype=torch.float32),
            torch.tensor(truths),
        ),
        torch.tensor([strata.index((scanner(sample), sample.label)) for sample in samples]),
    ).to(device())


def category(sample: Sample) -> int:
    """The reader's BI-RADS as a number of `CATEGORIES`; −1 where none is known."""
    return CATEGORIES.index(sample.birads) if sample.birads in CATEGORIES else -1


def canvases(samples: Sequence[Sample]) -> NDArray[np.uint8]:
    """N×224×224 uint8, as served."""
    return np.stack([working_canvas(read_gray(sample.path))[0] for sample in samples])


def collections(recipe: ChampionRecipe) -> tuple[str, ...]:
    """The sets that a recipe learns from; recipes of before version 3.0 say none and mean BUSI."""
    return recipe.protocol.collections or (busi.NAME,)


def train(plan: Plan, samples: Sequence[Sample], folder: Path) -> Fitted[LesionNetwork]:
    """The recipe's network fitted to `samples`, its novelty distance included; checkpoints in `folder`. A lesion
    without an outline is not learned from: its frame would pass for one without a lesion."""
    samples = [sample for sample in samples if sample.masks or sample.label == CLASSES[NORMAL]]
    learned = fitted(plan, "lesion", samples, load(samples), folder, classes=len(CLASSES))
    network = learned.thing
    assert isinstance(network, LesionNetwork)
    network.novelty.fit(pooled_statistics(network, canvases(samples)))
    return Fitted(network, learned.stamp)
