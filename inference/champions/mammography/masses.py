"""What the mass network learns from: CBIS-DDSM films and outlines, as its recipe's objective takes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from inference.blocks.networks.lesion import LesionNetwork
from inference.champions.learning import fitted
from inference.champions.plan import Plan
from inference.datasets import cbis_mass_256
from inference.datasets.pixels import read_gray, read_joined_masks
from inference.datasets.sample import Manifest, Sample
from inference.recipes.provenance import Fitted
from inference.runtime.geometry import lay_out, resize
from inference.runtime.mammography.preprocessing import HALF, HEIGHT, VIEW_SCALE, WIDTH, working_canvas
from inference.training.batches import InMemory
from inference.training.device import device


def read(root: Path) -> Manifest:
    """Films with masses, from the folder that holds all sets."""
    return cbis_mass_256.read(root / "cbis_mass_256")


def load(samples: Sequence[Sample]) -> InMemory:
    """Canvases and masks N×1×576×384 at half of the served resolution: these films have 256 px, more would be empty
    enlargement; labels float, 1 malignant."""
    pairs = [half_canvas(sample) for sample in samples]
    images, masks = (torch.from_numpy(np.stack(part))[:, None] for part in zip(*pairs, strict=True))
    labels = torch.tensor([float(sample.label_binary or False) for sample in samples])
    return InMemory((images, masks, torch.zeros(len(labels), 0), labels), labels).to(device())


def quarters(samples: Sequence[Sample]) -> NDArray[np.uint8]:
    """What the network sees of whole films, N×288×192."""
    size = (WIDTH // VIEW_SCALE, HEIGHT // VIEW_SCALE)
    return np.stack([resize(half_canvas(sample)[0], *size) for sample in samples])


def half_canvas(sample: Sample) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Canvas and mass mask, each 576×384 uint8."""
    gray = read_gray(sample.path)
    canvas, _, placement = working_canvas(gray)
    size = (WIDTH // HALF, HEIGHT // HALF)
    mask = read_joined_masks(sample.masks, *gray.shape)
    laid, _ = lay_out(mask, placement.crop, HEIGHT, WIDTH, mirrored=placement.mirrored, centred=False)
    small = cv2.resize(canvas, size, interpolation=cv2.INTER_AREA)
    drawn = cv2.resize(laid, size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8), np.where(drawn > 127, 255, 0).astype(np.uint8)


def train(plan: Plan, samples: Sequence[Sample], folder: Path) -> Fitted[LesionNetwork]:
    """The recipe's mass network fitted to `samples`, its novelty distance not yet; checkpoints in `folder`."""
    learned = fitted(plan, "masses", samples, load(samples), folder, classes=2)
    assert isinstance(learned.thing, LesionNetwork)
    return Fitted(learned.thing, learned.stamp)
