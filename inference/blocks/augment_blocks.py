"""Random changes of training batches that leave labels true; masks move along. Blocks of the family `augment`.

Each is called with float images N×3×H×W in 0–255, masks N×1×H×W in 0–1 and a generator, and returns both."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from inference.blocks import augment
from inference.blocks.registry import block

Augment = Callable[[Tensor, Tensor, Generator], tuple[Tensor, Tensor]]


@block("augment", "flips")
def flips(vertical: bool = True, turns: bool = True) -> Augment:
    """Mirror images, and quarter turns of square images, half and quarter of the time."""

    def change(images: Tensor, masks: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        both = torch.cat([images, masks], dim=1)
        for axis in (3, 2) if vertical else (3,):
            chosen = torch.rand(len(both), generator=generator) < 0.5
            both = torch.where(chosen.view(-1, 1, 1, 1), both.flip(axis), both)
        if turns and both.shape[2] == both.shape[3]:
            quarter = torch.randint(0, 4, (len(both),), generator=generator)
            both = torch.stack([torch.rot90(x, int(k), (1, 2)) for x, k in zip(both, quarter, strict=True)])
        return both[:, :3], both[:, 3:]

    return change


@block("augment", "affine")
def affine(degrees: float = 10.0, zoom: float = 0.1, shift: float = 0.05) -> Augment:
    """One turn, zoom and shift (share of the image) an image; outside is 0."""

    def change(images: Tensor, masks: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        draw = torch.rand((4, len(images)), generator=generator) * 2 - 1
        angle, scale = draw[0] * math.radians(degrees), torch.exp(draw[1] * zoom)
        aspect = images.shape[2] / images.shape[3]
        cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
        rows = (torch.stack([cosine, -sine * aspect, draw[2] * shift], dim=1),
                torch.stack([sine / aspect, cosine, draw[3] * shift], dim=1))  # fmt: skip
        both = torch.cat([images, masks], dim=1)
        grid = F.affine_grid(torch.stack(rows, dim=1), list(both.shape), align_corners=False)
        both = F.grid_sample(both, grid, mode="bilinear", align_corners=False)
        return both[:, :3], both[:, 3:]

    return change


@block("augment", "brightness")
def brightness(strength: float = 0.2) -> Augment:
    """Gain, offset and gamma, the same for all three channels."""

    def change(images: Tensor, masks: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        draw = (torch.rand((3, len(images), 1, 1, 1), generator=generator) * 2 - 1) * strength
        values = (images / 255).clamp(0, 1) ** torch.exp(draw[0]) * (1 + draw[1]) + 0.5 * draw[2]
        return values.clamp(0, 1) * 255, masks

    return change


@block("augment", "stains")
def stains(strength: float = 1.0) -> Augment:
    """Concentrations of haematoxylin and eosin (Tellez 2018). It turns images too: not for outlines."""

    def change(images: Tensor, masks: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        changed = augment.stains(images.permute(0, 2, 3, 1), generator, strength)
        return changed.permute(0, 3, 1, 2), masks

    return change
