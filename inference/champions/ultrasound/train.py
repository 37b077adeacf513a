"""What the ultrasound network learns from: BUSI's frames, outlines and boxes, as its recipe's views take them."""

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
from inference.datasets import busi
from inference.datasets.pixels import read_gray, read_joined_masks
from inference.datasets.sample import Manifest, Sample
from inference.recipes.provenance import Fitted
from inference.runtime.geometry import lay_out
from inference.runtime.ultrasound.pipeline import CLASSES
from inference.runtime.ultrasound.preprocessing import SIDE, working_canvas
from inference.training.batches import InMemory
from inference.training.device import device

#: Training frames are kept at twice the network's resolution, so that a closer look shows more.
_SOURCE = 2 * SIDE


def read(root: Path) -> Manifest:
    """The data set, from the folder that holds all sets."""
    return busi.read(root / "busi")


def load(samples: Sequence[Sample]) -> InMemory:
    """Frames and masks N×1×448×448, laid out as for the network but at twice its resolution; the box of all lesions
    together (−1 where there is none); class numbers."""
    images, masks, boxes = [], [], []
    for sample in samples:
        gray = read_gray(sample.path)
        whole = (0, 0, gray.shape[1], gray.shape[0])
        images.append(lay_out(gray, whole, _SOURCE, _SOURCE)[0])
        drawn = lay_out(read_joined_masks(sample.masks, *gray.shape), whole, _SOURCE, _SOURCE)[0]
        masks.append(np.where(drawn > 127, 255, 0).astype(np.uint8))
        x, y, width, height = cv2.boundingRect(masks[-1])
        boxes.append((x, y, x + width, y + height) if width else (-1, -1, -1, -1))
    labels = torch.tensor([CLASSES.index(sample.label) for sample in samples])
    return InMemory(
        (
            torch.from_numpy(np.stack(images))[:, None],
            torch.from_numpy(np.stack(masks))[:, None],
            torch.tensor(boxes, dtype=torch.float32),
            labels,
        ),
        labels,
    ).to(device())


def canvases(samples: Sequence[Sample]) -> NDArray[np.uint8]:
    """N×224×224 uint8, as served."""
    return np.stack([working_canvas(read_gray(sample.path))[0] for sample in samples])


def train(plan: Plan, samples: Sequence[Sample], folder: Path) -> Fitted[LesionNetwork]:
    """The recipe's network fitted to `samples`, its novelty distance included; checkpoints in `folder`."""
    learned = fitted(plan, "lesion", samples, load(samples), folder, classes=len(CLASSES))
    network = learned.thing
    assert isinstance(network, LesionNetwork)
    network.novelty.fit(pooled_statistics(network, canvases(samples)))
    return Fitted(network, learned.stamp)
