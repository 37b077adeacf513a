"""Random changes of training batches that leave labels true; masks move along.

All draw from an explicit generator, so that a run repeats; images lie where it draws, on the CPU or on a GPU. The
blocks of the family `augment` stand at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from inference.blocks.registry import block

#: float images N×C×H×W in 0–255, masks N×1×H×W in 0–1, generator → both, changed
Augment = Callable[[Tensor, Tensor, Generator], tuple[Tensor, Tensor]]


def _uniform(count: int, low: float, high: float, generator: Generator) -> Tensor:
    return low + (high - low) * _chance(generator, count)


def _chance(generator: Generator, *shape: int) -> Tensor:
    """Uniform in 0…1, on the generator's device."""
    return torch.rand(shape, generator=generator, device=generator.device)


def warp(
    images: Tensor, masks: Tensor, generator: Generator, *, turn_degrees: float, zoom: float, shift: float,
    mirror: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """One affine map an image, the same for image and mask. Float N×C×H×W and N×1×H×W; outside is 0."""
    count = len(images)
    angle = _uniform(count, -turn_degrees, turn_degrees, generator) * (math.pi / 180)
    scale = torch.exp(_uniform(count, -zoom, zoom, generator))
    flip = torch.where(_chance(generator, count) < 0.5, -1.0, 1.0) if mirror else torch.ones_like(angle)
    move_x = _uniform(count, -shift, shift, generator)
    move_y = _uniform(count, -shift, shift, generator)
    both = _mapped(torch.cat([images, masks], dim=1), angle, scale, flip, move_x, move_y, images.shape[2:])
    return both[:, :-1], both[:, -1:]


def _mapped(
    images: Tensor, angle: Tensor, scale: Tensor, flip: Tensor, move_x: Tensor, move_y: Tensor,
    size: Sequence[int],
) -> Tensor:  # fmt: skip
    """One affine map an image, with the aspect of the input kept; outside is 0.

    Parameters
    ----------
    images
        float N×C×H×W.
    angle, scale, flip, move_x, move_y
        N each: radians, size of the part that is taken, −1 to mirror, places in −1…1.
    size
        Height and width of the answer.
    """
    aspect = images.shape[2] / images.shape[3]
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    first = torch.stack([cosine * flip, -sine * aspect, move_x], dim=1)
    second = torch.stack([sine * flip / aspect, cosine, move_y], dim=1)
    wanted = [*images.shape[:2], *size]
    grid = F.affine_grid(torch.stack([first, second], dim=1), wanted, align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", align_corners=False)


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
    pair = torch.cat([images, masks], dim=1)
    both = _mapped(pair, angle, scale, flip, place[:, 0], place[:, 1], (side, side))
    return both[:, :-1], both[:, -1:]


def look_elsewhere(
    images: Tensor, masks: Tensor, boxes: Tensor, side: int, generator: Generator
) -> tuple[Tensor, Tensor]:
    """A square of a quarter to half of the frame that shows as little of the box as eight tries find, mirrored half of
    the time. As `look_closer`; where a box is −1, the first try."""
    count, size, tries = len(images), images.shape[-1], 8
    extent = size * _uniform(count, 0.25, 0.5, generator)
    middle = size * (0.2 + 0.6 * _chance(generator, count, tries, 2))
    half = (extent / 2).view(-1, 1, 1)
    low, high = (
        torch.maximum(middle - half, boxes[:, None, :2]),
        torch.minimum(middle + half, boxes[:, None, 2:]),
    )
    shown = (high - low).clamp(min=0).prod(dim=2)
    best = middle[torch.arange(count, device=middle.device), shown.argmin(dim=1)]
    flip = torch.where(_chance(generator, count) < 0.5, -1.0, 1.0)
    place = best / size * 2 - 1
    pair = torch.cat([images, masks], dim=1)
    both = _mapped(
        pair, torch.zeros_like(extent), extent / size, flip, place[:, 0], place[:, 1], (side, side)
    )
    return both[:, :-1], both[:, -1:]


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


def mixed_stains(images: Tensor, generator: Generator, strength: float = 1.0) -> Tensor:
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


@block("augment", "flips")
def flips(vertical: bool = True, turns: bool = True) -> Augment:
    """Mirror images, and quarter turns of square images, half and quarter of the time."""

    def change(images: Tensor, masks: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        both = torch.cat([images, masks], dim=1)
        for axis in (3, 2) if vertical else (3,):
            chosen = _chance(generator, len(both)) < 0.5
            both = torch.where(chosen.view(-1, 1, 1, 1), both.flip(axis), both)
        if turns and both.shape[2] == both.shape[3]:
            quarter = torch.randint(0, 4, (len(both),), generator=generator, device=generator.device)
            both = torch.stack([torch.rot90(x, int(k), (1, 2)) for x, k in zip(both, quarter, strict=True)])
        return both[:, :-1], both[:, -1:]

    return change


@block("augment", "affine")
def affine(degrees: float = 10.0, zoom: float = 0.1, shift: float = 0.05) -> Augment:
    """One turn, zoom and shift (share of the image) an image; outside is 0."""

    def change(images: Tensor, masks: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        draw = _chance(generator, 4, len(images)) * 2 - 1
        angle, scale = draw[0] * math.radians(degrees), torch.exp(draw[1] * zoom)
        moves = draw[2] * shift, draw[3] * shift
        pair = torch.cat([images, masks], dim=1)
        both = _mapped(pair, angle, scale, torch.ones_like(angle), *moves, images.shape[2:])
        return both[:, :-1], both[:, -1:]

    return change


@block("augment", "brightness")
def brightness(strength: float = 0.2) -> Augment:
    """Gain, offset and gamma, the same for all three channels."""

    def change(images: Tensor, masks: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        draw = (_chance(generator, 3, len(images), 1, 1, 1) * 2 - 1) * strength
        values = (images / 255).clamp(0, 1) ** torch.exp(draw[0]) * (1 + draw[1]) + 0.5 * draw[2]
        return values.clamp(0, 1) * 255, masks

    return change


@block("augment", "stains", takes="labels", colour="rgb")
def stains(strength: float = 1.0) -> Augment:
    """Concentrations of haematoxylin and eosin (Tellez 2018). It turns images too: not for outlines."""

    def change(images: Tensor, masks: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        changed = mixed_stains(images.permute(0, 2, 3, 1), generator, strength)
        return changed.permute(0, 3, 1, 2), masks

    return change


@block("augment", "sharpness")
def sharpness(share: float = 0.6, most: float = 1.2) -> Augment:
    """`share` of the images as another lens or focus would show them: half of those blurred by a Gaussian of up to
    `most` pixels, half sharpened by as much of what such a blur takes away."""

    def change(images: Tensor, masks: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        count, channels, height, width = images.shape
        draw = _chance(generator, 3, count)
        steps = torch.arange(-3, 4, device=images.device, dtype=images.dtype)
        bell = torch.exp(-(steps**2) / (2 * (0.3 + (most - 0.3) * draw[0]) ** 2).view(-1, 1))
        bell = (bell / bell.sum(dim=1, keepdim=True)).repeat_interleave(channels, dim=0)
        lined = F.pad(images, (3, 3, 3, 3), mode="reflect").view(1, count * channels, height + 6, width + 6)
        lined = F.conv2d(lined, bell.view(-1, 1, 7, 1), groups=count * channels)
        blurred = F.conv2d(lined, bell.view(-1, 1, 1, 7), groups=count * channels).view_as(images)
        changed = torch.where((draw[1] < 0.5).view(-1, 1, 1, 1), blurred, 2 * images - blurred)
        return torch.where((draw[2] < share).view(-1, 1, 1, 1), changed, images).clamp(0, 255), masks

    return change


@block("augment", "magnified", takes="labels")
def magnified(share: float = 0.5, most: float = 0.25) -> Augment:
    """`share` of the images enlarged or made smaller around their middle, by up to `most`, as by a scanner that is
    wrong about its resolution; beyond the edge lies the mirror image. Not for outlines, which would not move along."""

    def change(images: Tensor, masks: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        draw = _chance(generator, 2, len(images))
        scale = torch.where(draw[0] < share, torch.exp((2 * draw[1] - 1) * most), 1.0)
        turn = torch.zeros(len(images), 2, 3, device=images.device)
        turn[:, 0, 0] = turn[:, 1, 1] = scale
        grid = F.affine_grid(turn, list(images.shape), align_corners=False)
        seen = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
        return torch.where((draw[0] < share).view(-1, 1, 1, 1), seen, images), masks

    return change


@block("augment", "warp")
def warped(degrees: float = 12.0, zoom: float = 0.2, shift: float = 0.08, mirror: bool = True) -> Augment:
    """`affine` of grey images, mirrored half of the time where that leaves them true."""
    return lambda images, masks, generator: warp(
        images, masks, generator, turn_degrees=degrees, zoom=zoom, shift=shift, mirror=mirror
    )


@block("augment", "upside_down")
def upside_down() -> Augment:
    """Half of the batches upside down: a breast so is a breast."""

    def change(images: Tensor, masks: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        if _chance(generator, 1) < 0.5:
            return torch.flip(images, dims=(2,)), torch.flip(masks, dims=(2,))
        return images, masks

    return change


@block("augment", "grey_levels")
def changed_grey_levels(strength: float = 1.0) -> Augment:
    """Gamma, gain, speckle-like and additive noise, now and then a blur: for grey images."""
    return lambda images, masks, generator: (grey_levels(images, generator, strength), masks)


@block("augment", "cut_out")
def something_cut_out(share: float = 0.3) -> Augment:
    """A rectangle set to the image's mean in `share` of the images (DeVries and Taylor 2017)."""
    return lambda images, masks, generator: (cut_out(images, generator, share), masks)
