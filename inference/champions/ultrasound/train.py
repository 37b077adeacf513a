"""The recipe of the ultrasound model: BUSI → `LesionNetwork` with three classes, taught on whole frames and on
closer looks at the lesion, as it will be asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from inference.blocks.augment import cut_out, grey_levels, look_closer, warp
from inference.blocks.networks.backbone import imagenet_backbone
from inference.blocks.sampling import shuffled
from inference.champions.lesion import LesionNetwork
from inference.champions.lesion_training import outline_loss, place_loss, pooled_statistics
from inference.datasets import busi
from inference.datasets.pixels import read_gray, read_joined_masks
from inference.datasets.sample import Manifest, Sample
from inference.runtime.geometry import lay_out
from inference.runtime.ultrasound.pipeline import CLASSES
from inference.runtime.ultrasound.preprocessing import CLOSER_SIDE, SIDE, working_canvas
from inference.training.device import device, laid_out
from inference.training.fit import Batches, Schedule, fit, fit_soup


@dataclass(frozen=True)
class Settings:
    """What a recipe may set. `outline_epochs`: of the second part of the training, which is run `restarts` times and
    averaged. `frozen`: stages that stay at their ImageNet values. `channels`: of the decoder."""

    epochs: int = 20
    outline_epochs: int = 24
    restarts: int = 2
    frozen: int = 1
    batch: int = 16
    channels: int = 32
    learning_rate: float = 1e-3
    outline_rate: float = 8e-4
    backbone_rate: float = 0.5


DEFAULT = Settings()
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

    def to(self, place: torch.device) -> Frames:
        return Frames(*(part.to(place) for part in vars(self).values()))


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
        torch.tensor([CLASSES.index(sample.label) for sample in samples]),
    )


def canvases(samples: Sequence[Sample]) -> NDArray[np.uint8]:
    """N×224×224 uint8, as served."""
    return np.stack([working_canvas(read_gray(sample.path))[0] for sample in samples])


def train(samples: Sequence[Sample], run: Path, settings: Settings = DEFAULT, seed: int = 0) -> LesionNetwork:
    """The network fitted to `samples`, its novelty distance included."""
    network = fit_network(load(samples), run, settings, seed)
    network.novelty.fit(pooled_statistics(network, canvases(samples)))
    return network


def fit_network(frames: Frames, run: Path, settings: Settings = DEFAULT, seed: int = 0) -> LesionNetwork:
    """The network fitted to `frames`, its novelty distance not yet.

    First half on whole frames and half on closer looks, both at 224 px; then mostly on whole frames, with closer
    looks as small as they are served: where a lesion is takes longer to learn than what it is.
    """
    torch.manual_seed(seed)
    network = laid_out(LesionNetwork(imagenet_backbone(), classes=len(CLASSES), channels=settings.channels))
    network.backbone.freeze(settings.frozen)
    frames = frames.to(device())
    steps = len(frames.labels) // settings.batch
    first = Schedule(
        settings.epochs, steps, learning_rate=settings.learning_rate, backbone_rate=settings.backbone_rate,
        weight_decay=0.05, averaging=0.99, seed=seed,
    )  # fmt: skip
    second = Schedule(
        settings.outline_epochs, steps, learning_rate=settings.outline_rate, backbone_rate=settings.backbone_rate,
        weight_decay=0.05, averaging=0.99, seed=seed + 1,
    )  # fmt: skip
    half = _batches(frames, settings.batch, settings.batch // 2, SIDE)
    mostly_whole = _batches(frames, settings.batch, settings.batch * 3 // 4, CLOSER_SIDE, boldness=1.5)
    loss = partial(_loss, class_weights=_CLASS_WEIGHTS.to(device()), outline_weight=1.0)
    outline_heavy = partial(loss, outline_weight=2.0)
    fitted = fit(network, half, loss, first, run)
    outlined = fit_soup(fitted, mostly_whole, outline_heavy, second, run / "outlines", settings.restarts)
    assert isinstance(outlined, LesionNetwork)
    return outlined


def _batches(
    frames: Frames, size: int, whole_frames: int, closer_side: int, boldness: float = 1.0
) -> Batches:
    """Batches of `size` of which so many are whole frames, the others closer looks: whole N×1×224×224 and their
    masks, closer M×1×`closer_side`×`closer_side` and theirs, N+M labels. `boldness` scales how far whole frames are
    turned, moved and enlarged."""

    def batches(generator: Generator) -> Iterator[tuple[Tensor, ...]]:
        for chosen in shuffled(len(frames.labels), size, generator):
            whole, whole_mask = _whole(frames, chosen[:whole_frames], boldness, generator)
            closer, closer_mask = _closer(frames, chosen[whole_frames:], closer_side, generator)
            whole, closer = (cut_out(grey_levels(x, generator), generator) for x in (whole, closer))
            yield whole, whole_mask, closer, closer_mask, frames.labels[chosen]

    return batches


#: Malignant frames are the rarer and the ones that matter.
_CLASS_WEIGHTS = torch.tensor([1.0, 1.6, 1.2])


def _loss(
    network: nn.Module, batch: tuple[Tensor, ...], class_weights: Tensor, outline_weight: float
) -> Tensor:
    whole, whole_mask, closer, closer_mask, label = batch
    malignant = (label == CLASSES.index("malignant")).float()
    looks = [network(whole), network(closer)]
    logits = torch.cat([look.logits for look in looks])
    value = _weighted_entropy(logits, label, class_weights)
    for look, mask, share in zip(
        looks, (whole_mask, closer_mask), malignant.split([len(whole), len(closer)]), strict=True
    ):
        part = len(mask) / len(label)
        value = value + part * (
            outline_weight * outline_loss(look, mask) + 0.3 * place_loss(look, mask, share)
        )
    return value


def _weighted_entropy(
    logits: Tensor, label: Tensor, class_weights: Tensor, smoothing: float = 0.05
) -> Tensor:
    """`F.cross_entropy` with weights and smoothing, which reads a number back from the GPU."""
    surprise = -F.log_softmax(logits.float(), dim=1)
    own = class_weights[label]
    right = own * surprise.gather(1, label[:, None])[:, 0]
    spread = (class_weights * surprise).mean(dim=1)
    return ((1 - smoothing) * right + smoothing * spread).sum() / own.sum()


def _whole(frames: Frames, chosen: Tensor, boldness: float, generator: Generator) -> tuple[Tensor, Tensor]:
    image = F.avg_pool2d(frames.images[chosen].float(), 2)
    mask = F.avg_pool2d(frames.masks[chosen].float(), 2) / 255
    return warp(
        image, mask, generator, turn_degrees=12, zoom=0.2 * boldness, shift=0.08 * boldness, mirror=True
    )


def _closer(frames: Frames, chosen: Tensor, side: int, generator: Generator) -> tuple[Tensor, Tensor]:
    return look_closer(
        frames.images[chosen].float(),
        frames.masks[chosen].float() / 255,
        frames.boxes[chosen],
        side,
        generator,
    )
