"""The recipe of the mammography model: masses from CBIS-DDSM films, then abnormality from mini-MIAS.

The two sets are never pooled. The mass network is fine-tuned; the film reader's backbone keeps its ImageNet
weights, and one regularised linear layer over it and the mass network's answers is fitted: 210 films of 105
women carry no more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from inference.datasets import cbis_mass_256, mini_mias
from inference.datasets.sample import Manifest, Sample, grouped_folds
from inference.models.backbone import imagenet_backbone
from inference.models.lesion import LesionNetwork
from inference.models.mammogram import LIMIT, MammogramNetwork
from inference.preprocessing.geometry import lay_out
from inference.preprocessing.mammography import HEIGHT, WIDTH, working_canvas
from inference.preprocessing.pixels import read_gray, read_joined_masks
from inference.training.augment import grey_levels, warp
from inference.training.fit import Schedule, fit, shuffled
from inference.training.lesion import outline_loss, place_loss, pooled_statistics

BATCH = 16
EPOCHS = 14
INNER_FOLDS = 6
FILM_FOLDS = 5
_PENALTIES = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3)


def read_masses(root: Path) -> Manifest:
    """Films with masses, from the folder that holds all sets."""
    return cbis_mass_256.read(root / "cbis_mass_256")


def read_films(root: Path) -> Manifest:
    """Films with and without findings, from the folder that holds all sets."""
    return mini_mias.read(root / "mini_mias")


def load(samples: Sequence[Sample]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Canvases and mass masks, each N×576×384 uint8; masks are black where the set has none."""
    canvases, masks = [], []
    for sample in samples:
        gray = read_gray(sample.path)
        canvas, _, placement = working_canvas(gray)
        canvases.append(canvas)
        if sample.masks:
            mask = read_joined_masks(sample.masks, *gray.shape)
            laid, _ = lay_out(mask, placement.crop, HEIGHT, WIDTH, mirrored=placement.mirrored, centred=False)
            masks.append(laid)
        else:
            masks.append(np.zeros_like(canvas))
    return np.stack(canvases), np.stack(masks)


def halved(canvases: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The mass network's resolution, N×288×192: what the served graph makes of a canvas."""
    chunks = torch.from_numpy(canvases)[:, None].split(64)
    return np.concatenate([F.avg_pool2d(chunk.float(), 2).round().byte()[:, 0].numpy() for chunk in chunks])


def train_masses(samples: Sequence[Sample], run: Path, epochs: int = EPOCHS, seed: int = 0) -> LesionNetwork:
    """The mass network fitted to `samples`, its novelty distance not yet."""
    torch.manual_seed(seed)
    network = LesionNetwork(imagenet_backbone(), classes=1)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.backbone.freeze(1)
    canvases, masks = load(samples)
    images = torch.from_numpy(halved(canvases))[:, None]
    outlines = torch.from_numpy(halved(masks))[:, None]
    labels = torch.tensor([float(sample.label_binary or False) for sample in samples])

    def batches(generator: Generator) -> Iterator[tuple[Tensor, ...]]:
        for chosen in shuffled(len(samples), BATCH, generator):
            image, mask = warp(
                images[chosen].float(), outlines[chosen].float() / 255, generator,
                turn_degrees=10, zoom=0.2, shift=0.08, mirror=False,
            )  # fmt: skip
            if torch.rand(1, generator=generator) < 0.5:  # a breast upside down is a breast
                image, mask = torch.flip(image, dims=(2,)), torch.flip(mask, dims=(2,))
            yield grey_levels(image, generator, strength=0.7), mask, labels[chosen]

    def loss(network: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        image, mask, label = batch
        output = network(image)
        smoothed = label * 0.9 + 0.05
        malignancy = F.binary_cross_entropy_with_logits(output.logits[:, 0], smoothed)
        return malignancy + outline_loss(output, mask) + 0.5 * place_loss(output, mask, smoothed)

    schedule = Schedule(
        epochs, len(samples) // BATCH, learning_rate=1e-3, backbone_rate=0.4, averaging=0.98, seed=seed
    )
    fitted = fit(network, batches, loss, schedule, run)
    assert isinstance(fitted, LesionNetwork)
    return fitted


def assemble(
    mass: LesionNetwork, mass_canvases: NDArray[np.uint8], film_canvases: NDArray[np.uint8]
) -> MammogramNetwork:
    """The served network, its abnormality layer not fitted yet. Novelty is measured from both sets' films."""
    both = np.concatenate([halved(mass_canvases), halved(film_canvases)])
    mass.novelty.fit(pooled_statistics(mass, both))
    network = MammogramNetwork(mass, imagenet_backbone())
    return network.eval()


@torch.no_grad()
def film_rows(network: MammogramNetwork, canvases: NDArray[np.uint8]) -> NDArray[np.float64]:
    """What the abnormality layer looks at, N×`FILM_FEATURES`."""
    rows = []
    for chunk in torch.from_numpy(canvases)[:, None].split(8):
        masses = network.mass(F.avg_pool2d(chunk.float(), 2))
        rows.append(network.film_features(chunk, masses.outline, masses.logits[:, 0]).numpy())
    return np.concatenate(rows).astype(np.float64)


def fit_abnormality(
    network: MammogramNetwork, samples: Sequence[Sample], canvases: NDArray[np.uint8], seed: int = 0
) -> NDArray[np.float64]:
    """Fit the abnormality layer to `samples`; the penalty is chosen by grouped folds inside them.

    Returns:
        out-of-fold logits of `samples`, for calibration and operating points.
    """
    positive = np.array([sample.label_binary for sample in samples], np.int64)
    rows = np.concatenate([film_rows(network, canvases), film_rows(network, canvases[:, ::-1].copy())])
    doubled = np.concatenate([positive, positive])
    count = len(samples)
    folds = grouped_folds(samples, FILM_FOLDS, seed)
    best: tuple[float, float, NDArray[np.float64]] | None = None
    for penalty in _PENALTIES:
        held = np.zeros(count)
        for inside, outside in folds:
            both = np.concatenate([inside, np.asarray(inside) + count])
            layer = _linear(rows[both], doubled[both], penalty)
            held[outside] = layer(rows[np.asarray(outside)])
        loss = float(log_loss(positive, 1 / (1 + np.exp(-held))))
        if best is None or loss < best[0]:
            best = (loss, penalty, held)
    assert best is not None
    layer = _linear(rows, doubled, best[1])
    assert network.abnormality.bias is not None
    with torch.no_grad():
        network.centre.copy_(torch.from_numpy(layer.centre))
        network.spread.copy_(torch.from_numpy(layer.spread))
        network.abnormality.weight.copy_(torch.from_numpy(layer.weights[None]))
        network.abnormality.bias.fill_(layer.offset)
    return best[2]


@dataclass(frozen=True, eq=False)
class _Layer:
    """Logistic regression on standardised columns, as the served graph computes it."""

    centre: NDArray[np.float64]
    spread: NDArray[np.float64]
    weights: NDArray[np.float64]
    offset: float

    def __call__(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        standard = np.clip((rows - self.centre) / self.spread, -LIMIT, LIMIT)
        return np.asarray(standard @ self.weights + self.offset, np.float64)


def _linear(rows: NDArray[np.float64], positive: NDArray[np.int64], penalty: float) -> _Layer:
    centre, spread = rows.mean(axis=0), rows.std(axis=0) + 1e-6
    model = LogisticRegression(C=penalty, max_iter=2000, class_weight="balanced")
    model.fit(np.clip((rows - centre) / spread, -LIMIT, LIMIT), positive)
    return _Layer(centre, spread, np.asarray(model.coef_[0], np.float64), float(model.intercept_[0]))
