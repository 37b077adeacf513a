"""The recipe of the ultrasound model: BUSI → `LesionNetwork` with three classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from inference.datasets import busi
from inference.datasets.sample import Manifest, Sample
from inference.models.backbone import imagenet_backbone
from inference.models.lesion import LesionNetwork
from inference.preprocessing.pixels import read_gray, read_joined_masks
from inference.preprocessing.ultrasound import working_canvas
from inference.training.augment import grey_levels, warp
from inference.training.fit import Schedule, fit, shuffled
from inference.training.lesion import outline_loss, place_loss, pooled_statistics

BATCH = 16
EPOCHS = 26
INNER_FOLDS = 5
#: Held-out folds that calibration and operating points are fitted on. One alone is too lucky or too unlucky a
#: draw; the networks beyond the first are asked for nothing else, so their schedule is shorter.
CALIBRATION_FOLDS = 2
CALIBRATION_EPOCHS = 12


def read(root: Path) -> Manifest:
    """The data set, from the folder that holds all sets."""
    return busi.read(root / "busi")


def load(samples: Sequence[Sample]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Canvases and masks, each N×256×256 uint8."""
    canvases, masks = [], []
    for sample in samples:
        gray = read_gray(sample.path)
        canvases.append(working_canvas(gray)[0])
        masks.append(working_canvas(read_joined_masks(sample.masks, *gray.shape))[0])
    return np.stack(canvases), np.stack(masks)


def train(samples: Sequence[Sample], run: Path, epochs: int = EPOCHS, seed: int = 0) -> LesionNetwork:
    """The network fitted to `samples`, its novelty distance included."""
    torch.manual_seed(seed)
    network = LesionNetwork(imagenet_backbone(), classes=len(busi.CLASSES))
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.backbone.freeze(1)
    canvases, masks = load(samples)
    images, outlines = torch.from_numpy(canvases)[:, None], torch.from_numpy(masks)[:, None]
    labels = torch.tensor([busi.CLASSES.index(sample.label) for sample in samples])

    def batches(generator: Generator) -> Iterator[tuple[Tensor, ...]]:
        for chosen in shuffled(len(samples), BATCH, generator):
            image, mask = warp(
                images[chosen].float(), outlines[chosen].float() / 255, generator,
                turn_degrees=12, zoom=0.2, shift=0.08, mirror=True,
            )  # fmt: skip
            yield grey_levels(image, generator), mask, labels[chosen]

    weights = torch.tensor([1.0, 1.6, 1.2])  # malignant frames are the rarer and the ones that matter

    def loss(network: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        image, mask, label = batch
        output = network(image)
        classes = F.cross_entropy(output.logits, label, weight=weights, label_smoothing=0.05)
        return classes + outline_loss(output, mask) + 0.3 * place_loss(output, mask, (label == 1).float())

    schedule = Schedule(
        epochs, len(samples) // BATCH, learning_rate=1e-3, backbone_rate=0.4, averaging=0.98, seed=seed
    )
    fitted = fit(network, batches, loss, schedule, run)
    assert isinstance(fitted, LesionNetwork)
    fitted.novelty.fit(pooled_statistics(fitted, canvases))
    return fitted
