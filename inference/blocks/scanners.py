"""Random changes that make a grey ultrasound frame look as another scanner, or another export of it, would show it.

As `inference.blocks.augment`, whose family of blocks these belong to: all draw from an explicit generator, and labels
and outlines stay true.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from inference.blocks.augment import Augment
from inference.blocks.registry import block


def _chance(generator: Generator, *shape: int) -> Tensor:
    return torch.rand(shape, generator=generator, device=generator.device)


def _within(low: float, high: float, generator: Generator, *shape: int) -> Tensor:
    return low + (high - low) * _chance(generator, *shape)


def _chosen(images: Tensor, share: float, generator: Generator) -> Tensor:
    """N×1×1×1, true for `share` of the images."""
    return (_chance(generator, len(images)) < share).view(-1, 1, 1, 1)


def gain_over_depth(images: Tensor, generator: Generator, strength: float) -> Tensor:
    """A smooth gain from top to bottom, as a time-gain compensation that was set otherwise. Float N×1×H×W in 0–1."""
    count, height = len(images), images.shape[2]
    knots = torch.exp(_within(-0.35 * strength, 0.35 * strength, generator, count, 1, 5))
    curve = F.interpolate(knots, size=height, mode="linear", align_corners=True)
    return images * curve.view(count, 1, height, 1)


def dynamic_range(images: Tensor, generator: Generator, strength: float) -> Tensor:
    """Another log compression: greys are decibels, so that another range stretches them about another reject level, and
    another map bends them. Float N×1×H×W in 0–1."""
    shape = (len(images), 1, 1, 1)
    stretch = torch.exp(_within(-0.35 * strength, 0.35 * strength, generator, *shape))
    reject = _within(-0.08 * strength, 0.08 * strength, generator, *shape)
    bend = torch.exp(_within(-0.4 * strength, 0.4 * strength, generator, *shape))
    seen = (images > 0.004).float()  # outside the sector nothing is heard, whatever the range
    return (((images - 0.25) * stretch + 0.25 + reject).clamp(0, 1) ** bend) * seen


def speckle(images: Tensor, generator: Generator, strength: float) -> Tensor:
    """Multiplicative noise with a grain of one to three pixels. Float N×1×H×W in 0–1."""
    count, _, height, width = images.shape
    fine = torch.randn(images.shape, generator=generator, device=generator.device)
    coarse = torch.randn(
        (count, 1, max(2, height // 3), max(2, width // 2)), generator=generator, device=generator.device
    )
    coarse = F.interpolate(coarse, size=(height, width), mode="bilinear", align_corners=False)
    level = _within(0, 0.12 * strength, generator, count, 1, 1, 1)
    share = _chance(generator, count, 1, 1, 1)
    return images * (1 + level * (share * fine + (1 - share) * 1.6 * coarse))


def resolution(images: Tensor, generator: Generator, share: float) -> Tensor:
    """`share` of the images blurred along a line, as a wider beam sees them, or sharpened. Float N×1×H×W in 0–1."""
    across = F.avg_pool2d(images, (1, 5), stride=1, padding=(0, 2))
    both = F.avg_pool2d(images, 3, stride=1, padding=1)
    kind = torch.randint(0, 3, (len(images), 1, 1, 1), generator=generator, device=generator.device)
    much = _within(0.4, 1.0, generator, len(images), 1, 1, 1)
    changed = torch.where(kind == 0, across, torch.where(kind == 1, both, 2 * images - both))
    return torch.where(_chosen(images, share, generator), images + much * (changed - images), images)


@block("augment", "scanner")
def scanner(strength: float = 1.0, blurred: float = 0.35) -> Augment:
    """Gain over depth, dynamic range, speckle, and in `blurred` of the images another resolution: for grey frames."""

    def change(images: Tensor, masks: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        x = (images / 255).clamp(0, 1)
        for part in (gain_over_depth, dynamic_range, speckle):
            x = part(x, generator, strength)
        return resolution(x, generator, blurred).clamp(0, 1) * 255, masks

    return change


@block("augment", "other_style")
def other_style(share: float = 0.5, band: float = 0.04, most: float = 0.8) -> Augment:
    """In `share` of the images the amplitudes of the lowest frequencies (`band` of the spectrum's side) move up to
    `most` of the way towards another image's of the batch, phases stay (Yang and Soatto 2020; Xu 2021): brightness,
    contrast and slow gradients are then another scanner's, and what is where is not."""

    def change(images: Tensor, masks: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        count, _, height, width = images.shape
        other = torch.randperm(count, generator=generator, device=generator.device)
        much = _within(0, most, generator, count, 1, 1, 1) * _chosen(images, share, generator)
        spectrum = torch.fft.rfft2(images.float())
        rows, columns = max(1, round(band * height)), max(1, round(band * width))
        part = torch.cat([spectrum[:, :, : rows + 1], spectrum[:, :, -rows:]], dim=2)[..., : columns + 1]
        ours, theirs = part.abs(), part.abs()[other]
        moved = torch.polar(ours + much * (theirs - ours), part.angle())
        spectrum[:, :, : rows + 1, : columns + 1] = moved[:, :, : rows + 1]
        spectrum[:, :, -rows:, : columns + 1] = moved[:, :, rows + 1 :]
        seen = (images > 1).float()
        return torch.fft.irfft2(spectrum, s=(height, width)).clamp(0, 255) * seen, masks

    return change


@block("augment", "compressed")
def compressed(share: float = 0.5, worst: int = 25, best: int = 95) -> Augment:
    """`share` of the images through JPEG at a quality of `worst` to `best`: how a collection was packed must tell
    nothing. Grey images, or red, green, blue."""

    def change(images: Tensor, masks: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        draw = _chance(generator, 2, len(images)).cpu()
        pictures = images.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        out = images.clone()
        for number in torch.nonzero(draw[0] < share)[:, 0].tolist():
            quality = round(worst + (best - worst) * float(draw[1, number]))
            # OpenCV's colours are the other way round
            said, coded = cv2.imencode(
                ".jpg", pictures[number, :, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality]
            )
            assert said
            again = np.asarray(cv2.imdecode(coded, cv2.IMREAD_UNCHANGED), np.float32)
            again = again.reshape(pictures.shape[1:])[:, :, ::-1].copy()
            out[number] = torch.from_numpy(again).permute(2, 0, 1).to(out)
        return out, masks

    return change


@block("augment", "burned_in")
def burned_in(share: float = 0.3) -> Augment:
    """In `share` of the images what machines draw over a frame: crosses and dotted lines of callipers, near the lesion
    as often as anywhere, and a line of text: where they stand must tell nothing."""

    def change(images: Tensor, masks: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        side = images.shape[2]
        draw = _chance(generator, len(images), 10).cpu()
        out = images.clone()
        for number in torch.nonzero(draw[:, 0] < share)[:, 0].tolist():
            picture = images[number, 0].round().clamp(0, 255).to(torch.uint8).cpu().numpy()
            _drawn_over(picture, masks[number, 0].cpu().numpy(), draw[number].tolist(), side)
            out[number, 0] = torch.from_numpy(picture).to(out)
        return out, masks

    return change


def _drawn_over(picture: np.ndarray, mask: np.ndarray, draw: list[float], side: int) -> None:
    """Callipers and words on `picture` H×W uint8, in place, by numbers in 0–1."""
    _, near, x0, y0, x1, y1, style, grey, words, where = draw
    places = np.array([[x0, y0], [x1, y1]]) * side
    rows, columns = np.nonzero(mask > 0.5)
    if near < 0.5 and len(rows):
        middle = np.array([columns.mean(), rows.mean()])
        reach = np.array([np.ptp(columns), np.ptp(rows)]) / 2
        turn = 2 * math.pi * x0
        arm = reach * np.array([math.cos(turn), math.sin(turn)])
        places = np.stack([middle - arm, middle + arm])
    colour, half = round(120 + 135 * grey), max(2, side // 60)
    ends = [(round(x), round(y)) for x, y in places.tolist()]
    for x, y in ends:
        cv2.line(picture, (x - half, y), (x + half, y), colour, 1)
        cv2.line(picture, (x, y - half), (x, y + half), colour, 1)
    if style < 0.5:
        steps = max(2, round(float(np.linalg.norm(places[1] - places[0])) / 4))
        for step in range(steps):
            x, y = places[0] + (places[1] - places[0]) * step / steps
            cv2.circle(picture, (round(x), round(y)), 0, colour, -1)
    if words < 0.4:
        text = f"{10 * x1:.1f} mm" if words < 0.2 else "LT BREAST"
        at = (round(where * 0.7 * side), round((0.05 + 0.92 * y1) * side))
        cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, side / 700, colour, 1, cv2.LINE_AA)


@block("augment", "elsewhere_pasted")
def elsewhere_pasted(share: float = 0.15) -> Augment:
    """`share` of the lesions, with the tissue around them, in a frame of the batch that shows none, where there is one
    (copy-paste, Ghiasi 2021): what surrounds a lesion in one collection must not stand for it. The pasted part is
    brought
    to the other frame's brightness there."""

    def change(images: Tensor, masks: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        drawn = masks.flatten(1).amax(dim=1) > 0.5
        grounds = torch.nonzero(~drawn)[:, 0]
        draw = _chance(generator, 2, len(images))
        if not len(grounds):
            return images, masks
        other = images[grounds[(draw[1] * len(grounds)).long().clamp(max=len(grounds) - 1)]]
        # at an eighth of the resolution, where wide windows cost nothing
        coarse = F.max_pool2d(F.avg_pool2d(masks, 8), 3, stride=1, padding=1)
        spread = F.avg_pool2d((coarse > 0).float(), 3, stride=1, padding=1, count_include_pad=False)
        size = (images.shape[2], images.shape[3])
        soft = F.interpolate(spread, size=size, mode="bilinear", align_corners=False)
        near = (soft > 0.5).float()
        ring = (near - masks).clamp(0, 1)
        total = ring.sum(dim=(1, 2, 3), keepdim=True).clamp(min=1)
        own = (images * ring).sum(dim=(1, 2, 3), keepdim=True) / total
        there = (other * ring).sum(dim=(1, 2, 3), keepdim=True) / total
        gain = ((there + 8) / (own + 8)).clamp(0.5, 2)
        pasted = (soft * images * gain + (1 - soft) * other).clamp(0, 255)
        chosen = ((draw[0] < share) & drawn).view(-1, 1, 1, 1)
        return torch.where(chosen, pasted, images), masks

    return change
