"""The recipe of the histopathology model: IDC patches → `FieldNetwork`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from inference.datasets import idc
from inference.datasets.sample import Manifest, Sample
from inference.models.backbone import imagenet_backbone
from inference.models.novelty import statistics
from inference.models.tissue import FieldNetwork
from inference.preprocessing.pixels import read_rgb
from inference.training.augment import stains
from inference.training.fit import Schedule, fit, shuffled

BATCH = 64
EPOCHS = 6
INNER_FOLDS = 6


def read(root: Path) -> Manifest:
    """The data set, from the folder that holds all sets."""
    return idc.read(root / "idc")


def load(samples: Sequence[Sample]) -> NDArray[np.uint8]:
    """N×50×50×3 uint8; the few patches that the slide's edge cut smaller are filled with white."""
    fields = np.full((len(samples), idc.PATCH_PX, idc.PATCH_PX, 3), 255, np.uint8)
    for index, sample in enumerate(samples):
        patch = read_rgb(sample.path)[: idc.PATCH_PX, : idc.PATCH_PX]
        fields[index, : patch.shape[0], : patch.shape[1]] = patch
    return fields


def train(samples: Sequence[Sample], run: Path, epochs: int = EPOCHS, seed: int = 0) -> FieldNetwork:
    """The network fitted to `samples`, its novelty distance included."""
    torch.manual_seed(seed)
    network = FieldNetwork(imagenet_backbone())
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.backbone.freeze(1)
    fields = torch.from_numpy(load(samples))
    labels = torch.tensor([float(sample.label_binary or False) for sample in samples])

    def batches(generator: Generator) -> Iterator[tuple[Tensor, ...]]:
        for chosen in shuffled(len(samples), BATCH, generator):
            yield stains(fields[chosen].float(), generator), labels[chosen]

    schedule = Schedule(epochs, len(samples) // BATCH, learning_rate=1e-3, backbone_rate=0.5, seed=seed)
    fitted = fit(network, batches, _loss, schedule, run)
    assert isinstance(fitted, FieldNetwork)
    fitted.novelty.fit(pooled_statistics(fitted, fields[:: max(1, len(fields) // 3000)]))
    return fitted


def _loss(network: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    fields, labels = batch
    smoothed = labels * 0.9 + 0.05  # the outlines are coarse, so labels near a border are noise
    return F.binary_cross_entropy_with_logits(network(fields).logit, smoothed)


@torch.no_grad()
def pooled_statistics(network: FieldNetwork, fields: Tensor) -> NDArray[np.float32]:
    """What `Novelty` looks at, N×352."""
    rows = []
    for chunk in fields.split(64):
        image = network.prepare(chunk)
        rows.append(statistics(network.backbone(image)).numpy())
    return np.concatenate(rows)


@torch.no_grad()
def score(
    network: FieldNetwork, samples: Sequence[Sample]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Logits and distances of `samples`, mirrored copies averaged as at serving time."""
    logits, distances = [], []
    for chunk in torch.from_numpy(load(samples)).split(64):
        straight, mirrored = network(chunk), network(torch.flip(chunk, dims=(2,)))
        logits.append((straight.logit + mirrored.logit).numpy() / 2)
        distances.append(straight.distance.numpy())
    return np.concatenate(logits).astype(np.float64), np.concatenate(distances).astype(np.float64)
