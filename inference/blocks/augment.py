"""Augmentation of whole batches as tensors, with explicit random generators so that a run repeats. Images lie where
the generator draws, on the CPU or on a GPU."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional as F


def _uniform(count: int, low: float, high: float, generator: Generator) -> Tensor:
    return low + (high - low) * _chance(generator, count)


def _chance(generator: Generator, *shape: int) -> Tensor:
    """Uniform in 0…1, on the generator's device."""
    return torch.rand(shape, generator=generator, device=generator.device)


def warp(
    images: Tensor, masks: Tensor, generator: Generator, *, turn_degrees: float, zoom: float, shift: float,
    mirror: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """One affine map an image, the same for image and mask. Both float N×1×H×W; outside is 0."""
    count, _, height, width = images.shape
    angle = _uniform(count, -turn_degrees, turn_degrees, generator) * (math.pi / 180)
    scale = torch.exp(_uniform(count, -zoom, zoom, generator))
    flip = torch.where(_chance(generator, count) < 0.5, -1.0, 1.0) if mirror else torch.ones_like(angle)
    cosine, sine, aspect = torch.cos(angle) * scale, torch.sin(angle) * scale, height / width
    move_x = _uniform(count, -shift, shift, generator)
    move_y = _uniform(count, -shift, shift, generator)
    first = torch.stack([cosine * flip, -sine * aspect, move_x], dim=1)
    second = torch.stack([sine * flip / aspect, cosine, move_y], dim=1)
    grid = F.affine_grid(torch.stack([first, second], dim=1), list(images.shape), align_corners=False)
    both = F.grid_sample(torch.cat([images, masks], dim=1), grid, mode="bilinear", align_corners=False)
    return both[:, :1], both[:, 1:]


def look_closer(
    images: Tensor, masks: Tensor, boxes: Tensor, side: int, generator: Generator
) -> tuple[Tensor, Tensor]:
    """A square around each box, 1.25 to 2.2 times its longer side, turned, moved and mirrored a little.

    `images`, `masks` float N×1×S×S, `boxes` N×4 in their pixels; where a box is −1, any square of a quarter to
    three quarters of the frame. Returns float N×1×side×side each; outside the frame is 0.
    """
    count, size = len(images), images.shape[-1]
    known = boxes[:, 0] >= 0
    longer = torch.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
    extent = torch.where(
        known,
        torch.clamp(longer * _uniform(count, 1.25, 2.2, generator), 0.2 * size, 1.2 * size),
        size * _uniform(count, 0.25, 0.75, generator),
    )
    middle = torch.where(
        known[:, None],
        (boxes[:, :2] + boxes[:, 2:]) / 2 + (_chance(generator, count, 2) - 0.5) * 0.2 * longer[:, None],
        size * (0.3 + 0.4 * _chance(generator, count, 2)),
    )
    angle = _uniform(count, -12, 12, generator) * (math.pi / 180)
    flip = torch.where(_chance(generator, count) < 0.5, -1.0, 1.0)
    scale, place = extent / size, middle / size * 2 - 1
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    first = torch.stack([cosine * flip, -sine, place[:, 0]], dim=1)
    second = torch.stack([sine * flip, cosine, place[:, 1]], dim=1)
    grid = F.affine_grid(torch.stack([first, second], dim=1), [count, 2, side, side], align_corners=False)
    both = F.grid_sample(torch.cat([images, masks], dim=1), grid, mode="bilinear", align_corners=False)
    return both[:, :1], both[:, 1:]


def cut_out(images: Tensor, generator: Generator, share: float = 0.3) -> Tensor:
    """A rectangle of up to a quarter of each side set to the image's mean, in `share` of the images (DeVries and
    Taylor 2017). Float N×C×H×W."""
    count, _, height, width = images.shape
    rows = torch.arange(height, device=images.device).view(1, 1, -1, 1)
    columns = torch.arange(width, device=images.device).view(1, 1, 1, -1)
    draw = _chance(generator, 5, count, 1, 1, 1)
    tall, wide = (0.08 + 0.17 * draw[0]) * height, (0.08 + 0.17 * draw[1]) * width
    top, left = draw[2] * (height - tall), draw[3] * (width - wide)
    inside = (rows >= top) & (rows < top + tall) & (columns >= left) & (columns < left + wide)
    return torch.where(inside & (draw[4] < share), images.mean(dim=(1, 2, 3), keepdim=True), images)


def grey_levels(images: Tensor, generator: Generator, strength: float = 1.0) -> Tensor:
    """Gamma, gain, speckle-like and additive noise, now and then a blur. Float N×1×H×W in 0–255."""
    count = images.shape[0]
    shape = (count, 1, 1, 1)
    gamma = torch.exp(_uniform(count, -0.35, 0.35, generator) * strength).view(shape)
    gain = _uniform(count, 1 - 0.2 * strength, 1 + 0.2 * strength, generator).view(shape)
    x = (images / 255.0).clamp(0, 1) ** gamma * gain
    noise = torch.randn(images.shape, generator=generator, device=generator.device) * _uniform(
        count, 0, 0.06 * strength, generator
    ).view(shape)
    x = x * (1 + noise) + 0.25 * noise * (x > 0)
    blurred = F.avg_pool2d(x, 3, stride=1, padding=1)
    chosen = (_chance(generator, count) < 0.25 * strength).view(shape)
    return (torch.where(chosen, blurred, x) * 255.0).clamp(0, 255)


#: Haematoxylin, eosin and residual directions in optical density (Ruifrok and Johnston 2001), rows.
_STAINS = torch.tensor([[0.650, 0.704, 0.286], [0.072, 0.990, 0.105], [0.268, 0.570, 0.776]])
_UNMIXED = torch.linalg.inv(_STAINS)


def stains(images: Tensor, generator: Generator, strength: float = 1.0) -> Tensor:
    """Turns by right angles and mirrors, then stain concentrations scaled and shifted one by one (Tellez
    2018), then brightness. Float N×H×W×3 in 0–255, H = W."""
    count = images.shape[0]
    turn = int(torch.randint(0, 4, (1,), generator=generator, device=generator.device))
    x = torch.rot90(images, turn, dims=(1, 2))
    flips = _chance(generator, count) < 0.5
    x = torch.where(flips.view(-1, 1, 1, 1), torch.flip(x, dims=(2,)), x)
    density = -torch.log10((x + 1) / 256)
    stain = density @ _UNMIXED.to(images.device)
    scale = 1 + _uniform(count * 3, -0.2, 0.2, generator).view(count, 1, 1, 3) * strength
    shift = _uniform(count * 3, -0.04, 0.04, generator).view(count, 1, 1, 3) * strength
    x = 256 * 10 ** -((stain * scale + shift) @ _STAINS.to(images.device)) - 1
    gain = _uniform(count, 1 - 0.1 * strength, 1 + 0.1 * strength, generator).view(count, 1, 1, 1)
    augmented: Tensor = (x * gain).clamp(0, 255)
    return augmented
