"""The recipe of the ultrasound model: BUSI → `LesionNetwork` with three classes, taught on whole frames and on
closer looks at the lesion, as it will be asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from inference.datasets import busi
from inference.datasets.sample import Manifest, Sample
from inference.models.backbone import imagenet_backbone
from inference.models.lesion import LesionNetwork
from inference.preprocessing.geometry import lay_out
from inference.preprocessing.pixels import read_gray, read_joined_masks
from inference.preprocessing.ultrasound import SIDE, working_canvas
from inference.training.augment import cut_out, grey_levels, look_closer, warp
from inference.training.fit import Schedule, fit, shuffled
from inference.training.lesion import outline_loss, place_loss, pooled_statistics

BATCH = 16
EPOCHS = 20
#: Of the decoder: half of what masses on films get, at half the time of a step.
CHANNELS = 32
#: Training frames are kept at twice the network's resolution, so that a closer look shows more.
_SOURCE = 2 * SIDE


@dataclass(frozen=True, eq=False)
class Frames:
    """`images`, `masks` N×1×448×448 uint8 (masks 0 or 255); `boxes` N×4 float of all lesions together, in
    448ths of a frame, −1 where there is none; `labels` N."""

    images: Tensor
    masks: Tensor
    boxes: Tensor
    labels: Tensor


def read(root: Path) -> Manifest:
    """The data set, from the folder that holds all sets."""
    return busi.read(root / "busi")


def load(samples: Sequence[Sample]) -> Frames:
    """Frames and masks, laid out as for the network but at twice its resolution."""
    images, masks, boxes = [], [], []
    for sample in samples:
        gray = read_gray(sample.path)
        whole = (0, 0, gray.shape[1], gray.shape[0])
        images.append(lay_out(gray, whole, _SOURCE, _SOURCE)[0])
        drawn = lay_out(read_joined_masks(sample.masks, *gray.shape), whole, _SOURCE, _SOURCE)[0]
        masks.append(np.where(drawn > 127, 255, 0).astype(np.uint8))
        x, y, width, height = cv2.boundingRect(masks[-1])
        boxes.append((x, y, x + width, y + height) if width else (-1, -1, -1, -1))
    return Frames(
        torch.from_numpy(np.stack(images))[:, None],
        torch.from_numpy(np.stack(masks))[:, None],
        torch.tensor(boxes, dtype=torch.float32),
        torch.tensor([busi.CLASSES.index(sample.label) for sample in samples]),
    )


def canvases(samples: Sequence[Sample]) -> NDArray[np.uint8]:
    """N×224×224 uint8, as served."""
    return np.stack([working_canvas(read_gray(sample.path))[0] for sample in samples])


def train(samples: Sequence[Sample], run: Path, epochs: int = EPOCHS, seed: int = 0) -> LesionNetwork:
    """The network fitted to `samples`, its novelty distance included."""
    torch.manual_seed(seed)
    network = LesionNetwork(imagenet_backbone(), classes=len(busi.CLASSES), channels=CHANNELS)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.backbone.freeze(2)
    frames = load(samples)

    def batches(generator: Generator) -> Iterator[tuple[Tensor, ...]]:
        for chosen in shuffled(len(samples), BATCH, generator):
            half = len(chosen) // 2
            whole, whole_mask = _whole(frames, chosen[:half], generator)
            closer, closer_mask = _closer(frames, chosen[half:], generator)
            image = cut_out(grey_levels(torch.cat([whole, closer]), generator), generator)
            yield image, torch.cat([whole_mask, closer_mask]), frames.labels[chosen]

    weights = torch.tensor([1.0, 1.6, 1.2])  # malignant frames are the rarer and the ones that matter

    def loss(network: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        image, mask, label = batch
        output = network(image)
        classes = F.cross_entropy(output.logits, label, weight=weights, label_smoothing=0.05)
        return classes + outline_loss(output, mask) + 0.3 * place_loss(output, mask, (label == 1).float())

    schedule = Schedule(
        epochs, len(samples) // BATCH, learning_rate=1e-3, backbone_rate=0.5, weight_decay=0.05, averaging=0.99,
        seed=seed,
    )  # fmt: skip
    fitted = fit(network, batches, loss, schedule, run)
    assert isinstance(fitted, LesionNetwork)
    fitted.novelty.fit(pooled_statistics(fitted, canvases(samples)))
    return fitted


def _whole(frames: Frames, chosen: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    image = F.avg_pool2d(frames.images[chosen].float(), 2)
    mask = F.avg_pool2d(frames.masks[chosen].float(), 2) / 255
    return warp(image, mask, generator, turn_degrees=12, zoom=0.2, shift=0.08, mirror=True)


def _closer(frames: Frames, chosen: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    return look_closer(
        frames.images[chosen].float(),
        frames.masks[chosen].float() / 255,
        frames.boxes[chosen],
        SIDE,
        generator,
    )
