"""The mass network's recipe: CBIS-DDSM films as whole views, and closer looks at masses and at what is none.

Both views go through one `LesionNetwork`, as they will be served. The closer looks that show no mass are chosen
where the network itself wrongly sees one (hard negatives, found while training) and anywhere in the breast.
"""

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

from inference.blocks.augment import grey_levels, warp
from inference.blocks.networks.backbone import imagenet_backbone
from inference.blocks.sampling import shuffled
from inference.champions.lesion import LesionNetwork
from inference.champions.lesion_training import outline_loss, place_loss
from inference.champions.mammography.network import CLOSER_PX, MALIGNANT, PRESENT, look_at
from inference.datasets import cbis_mass_256
from inference.datasets.pixels import read_gray, read_joined_masks
from inference.datasets.sample import Manifest, Sample
from inference.runtime.geometry import lay_out, resize
from inference.runtime.mammography.preprocessing import HALF, HEIGHT, VIEW_SCALE, WIDTH, working_canvas
from inference.training.device import device, laid_out
from inference.training.fit import Schedule, fit, fit_soup


@dataclass(frozen=True)
class Settings:
    """What a recipe may set. `epochs`: of each part of the training; a part begins with the rate of its own and the
    averaged weights of the part before (warm restarts, Loshchilov 2017). The last part is run `restarts` times and
    averaged. `frozen`: stages that stay at their ImageNet values. `channels`: of the decoder."""

    epochs: tuple[int, ...] = (20, 25)
    learning_rates: tuple[float, ...] = (8e-4, 6e-4)
    restarts: int = 3
    frozen: int = 2
    batch: int = 8
    channels: int = 48
    backbone_rate: float = 0.5


DEFAULT = Settings()
#: Closer looks a film and step: at a mass, where the network is most wrongly certain, anywhere in the breast.
LOOKS = 3
_CLOSER_LOW, _CLOSER_HIGH = 80.0, 210.0


@dataclass(frozen=True, eq=False)
class Films:
    """`images`, `masks` N×1×576×384 uint8 (masks 0 or 255), `labels` N float (1 malignant)."""

    images: Tensor
    masks: Tensor
    labels: Tensor

    def to(self, place: torch.device) -> Films:
        return Films(*(part.to(place) for part in vars(self).values()))


def read(root: Path) -> Manifest:
    """Films with masses, from the folder that holds all sets."""
    return cbis_mass_256.read(root / "cbis_mass_256")


def load(samples: Sequence[Sample]) -> Films:
    """Canvases at half of the served resolution: these films have 256 px, more would be empty enlargement."""
    images, masks = [], []
    for sample in samples:
        canvas, mask = half_canvas(sample)
        images.append(canvas)
        masks.append(mask)
    return Films(
        torch.from_numpy(np.stack(images))[:, None],
        torch.from_numpy(np.stack(masks))[:, None],
        torch.tensor([float(sample.label_binary or False) for sample in samples]),
    )


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


def train(samples: Sequence[Sample], run: Path, settings: Settings = DEFAULT, seed: int = 0) -> LesionNetwork:
    """The mass network fitted to `samples`, its novelty distance not yet."""
    return fit_network(load(samples), run, settings, seed)


def fit_network(films: Films, run: Path, settings: Settings = DEFAULT, seed: int = 0) -> LesionNetwork:
    """`train`, from films already read."""
    torch.manual_seed(seed)
    network = laid_out(LesionNetwork(imagenet_backbone(), classes=2, channels=settings.channels))
    network.backbone.freeze(settings.frozen)
    films = films.to(device())
    count = len(films.labels)

    def batches(generator: Generator) -> Iterator[tuple[Tensor, ...]]:
        for chosen in shuffled(count, settings.batch, generator):
            image, mask = warp(
                films.images[chosen].float(), films.masks[chosen].float() / 255, generator,
                turn_degrees=12, zoom=0.2, shift=0.06, mirror=False,
            )  # fmt: skip
            # a breast upside down is a breast
            if torch.rand(1, generator=generator, device=generator.device) < 0.5:
                image, mask = torch.flip(image, dims=(2,)), torch.flip(mask, dims=(2,))
            image = grey_levels(image, generator, strength=0.7)
            draw = torch.rand((LOOKS, len(chosen), 3), generator=generator, device=generator.device)
            yield image, mask, films.labels[chosen], draw

    fitted: nn.Module = network
    last = len(settings.epochs) - 1
    for part, (epochs, rate) in enumerate(zip(settings.epochs, settings.learning_rates, strict=True)):
        schedule = Schedule(
            epochs, count // settings.batch, learning_rate=rate, backbone_rate=settings.backbone_rate,
            weight_decay=0.05, averaging=0.995, seed=seed + part,
        )  # fmt: skip
        folder = run / f"part-{part}" if part else run
        if part == last:
            fitted = fit_soup(fitted, batches, _loss, schedule, folder, settings.restarts)
        else:
            fitted = fit(fitted, batches, _loss, schedule, folder)
    assert isinstance(fitted, LesionNetwork)
    return fitted


def _loss(network: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    half, mask, label, draw = batch
    smoothed = label * 0.9 + 0.05
    whole = network(F.avg_pool2d(half, VIEW_SCALE // HALF))
    small = F.avg_pool2d(mask, VIEW_SCALE // HALF)
    value = F.binary_cross_entropy_with_logits(whole.logits[:, MALIGNANT], smoothed)
    value = value + outline_loss(whole, small) + 0.5 * place_loss(whole, small, smoothed)
    centres, windows = _closer_looks(mask, half, torch.sigmoid(whole.outline.detach()), draw)
    both = torch.cat([half, mask * 255], dim=1)
    looks = torch.cat(
        [look_at(both, centre, window) for centre, window in zip(centres, windows, strict=True)]
    )
    image, drawn = looks[:, :1], looks[:, 1:] / 255
    middle = drawn[:, :, CLOSER_PX // 4 : -CLOSER_PX // 4, CLOSER_PX // 4 : -CLOSER_PX // 4]
    present = (middle.amax(dim=(1, 2, 3)) > 0.5).float()
    closer = network(image)
    value = value + F.binary_cross_entropy_with_logits(closer.logits[:, PRESENT], present * 0.94 + 0.03)
    labels = smoothed.repeat(len(centres))
    judged = F.binary_cross_entropy_with_logits(closer.logits[:, MALIGNANT], labels, reduction="none")
    value = value + (judged * present).sum() / present.sum().clamp(min=1)
    return value + 0.5 * outline_loss(closer, drawn) + 0.25 * place_loss(closer, drawn, labels)


def _closer_looks(
    mask: Tensor, half: Tensor, likely: Tensor, draw: Tensor
) -> tuple[list[Tensor], list[Tensor]]:
    """Centres (N×2, x and y in half-canvas pixels) and windows (N) of `LOOKS` looks a film.

    `mask`, `half` N×1×H×W, `likely` the mass probability N×1×h×w, `draw` LOOKS×N×3 uniform random numbers.
    """
    scale = mask.shape[2] // likely.shape[2]
    small = F.avg_pool2d(mask, scale)
    away = (F.max_pool2d(small, 5, stride=1, padding=2) < 0.01).float()
    at_mass = (small > 0.25).float() + 1e-3 * small
    most_wrong = F.avg_pool2d(likely, 3, stride=1, padding=1) ** 4 * away
    anywhere = (F.avg_pool2d(half, scale) > 8).float() * away
    low, high = float(np.log(_CLOSER_LOW)), float(np.log(_CLOSER_HIGH))
    centres, windows = [], []
    for chance, field in zip(draw, (at_mass, most_wrong, anywhere), strict=True):
        total = (field.flatten(1) + 1e-12).cumsum(dim=1)
        picked = torch.searchsorted(total, chance[:, :1] * total[:, -1:]).clamp(max=total.shape[1] - 1)[:, 0]
        x, y = picked % likely.shape[3], picked // likely.shape[3]
        centres.append((torch.stack([x, y], dim=1).float() + 0.5) * scale)
        windows.append(torch.exp(low + (high - low) * chance[:, 2]))
    return centres, windows
