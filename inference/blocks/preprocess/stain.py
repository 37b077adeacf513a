"""H&E tissue: where it is, and bringing its stain to that of reference images (Reinhard, Macenko)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.blocks.learned import NotFitted, groups_seen
from inference.blocks.registry import block

Rgb = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

#: Tissue below this many pixels says nothing about a stain.
_MIN_PIXELS = 50
_SAMPLE = 20_000


def tissue_mask(rgb: Rgb) -> Mask:
    """`rgb` H×W×3 uint8 → bool H×W: an optical density above 0.15 in one channel, and not grey (pen,
    dust)."""
    darkest, brightest = rgb.min(axis=-1).astype(np.int16), rgb.max(axis=-1).astype(np.int16)
    return np.asarray((darkest < 255 * 10**-0.15) & (brightest - darkest > 12))


@block("preprocess", "tissue_mask", colour="rgb")
@dataclass(frozen=True)
class TissueMask:
    """White outside the tissue; specks and holes smaller than `opening` pixels across go too."""

    opening: int = 5

    def __call__(self, image: Rgb) -> Rgb:
        tissue = tissue_mask(image).astype(np.uint8)
        if self.opening > 1:
            disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (self.opening, self.opening))
            tissue = np.asarray(cv2.morphologyEx(tissue, cv2.MORPH_CLOSE, disc), np.uint8)
            tissue = np.asarray(cv2.morphologyEx(tissue, cv2.MORPH_OPEN, disc), np.uint8)
        return np.where(tissue[..., None] > 0, image, 255).astype(np.uint8)


@dataclass
class _OfReferences:
    """What both stain references learn: two tables."""

    fitted_on: frozenset[str] | None = field(default=None, init=False)
    _target: tuple[Floats, Floats] | None = field(default=None, init=False, repr=False)

    def plain(self) -> dict[str, Any]:
        """See `inference.blocks.learned.Plain`."""
        if self._target is None:
            raise NotFitted("a stain reference has not been fitted")
        return {"target": [table.tolist() for table in self._target]}

    def take(self, learned: dict[str, Any], /) -> Self:
        """See `inference.blocks.learned.Plain`."""
        first, second = (np.asarray(table, np.float64) for table in learned["target"])
        self._target = (first, second)
        return self


@block("preprocess", "reinhard", colour="rgb")
@dataclass
class Reinhard(_OfReferences):
    """Mean and spread of each CIELAB channel over the tissue, brought to the references' (Reinhard 2001).

    Learns from the images of the training fold. Only tissue changes; an image without tissue stays as it is.
    """

    def fit(self, images: Sequence[Rgb], groups: Sequence[Any] | None = None) -> Self:
        """Raises `ValueError` where no image holds tissue."""
        means, spreads = [], []
        for image in images:  # one by one: there may be more than the memory holds
            if (tissue := tissue_mask(image)).sum() >= _MIN_PIXELS:
                piece = _lab(image)[tissue]
                means.append(piece.mean(axis=0))
                spreads.append(piece.std(axis=0))
        if not means:
            raise ValueError("Reinhard: no reference image holds tissue")
        # Each image counts once, whatever its size.
        self._target = (np.mean(means, axis=0), np.mean(spreads, axis=0))
        self.fitted_on = groups_seen(groups)
        return self

    def __call__(self, image: Rgb) -> Rgb:
        if self._target is None:
            raise NotFitted("reinhard has not been fitted to reference images")
        tissue = tissue_mask(image)
        if tissue.sum() < _MIN_PIXELS:
            return image.copy()
        lab = _lab(image)
        inside = lab[tissue]
        means, spreads = self._target
        lab[tissue] = (inside - inside.mean(axis=0)) * (
            spreads / np.maximum(inside.std(axis=0), 1e-3)
        ) + means
        moved = np.clip(cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_LAB2RGB), 0, 1)
        return np.where(tissue[..., None], np.round(moved * 255), image).astype(np.uint8)


def _lab(image: Rgb) -> Floats:
    return np.asarray(cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), np.float64)


@block("preprocess", "macenko", colour="rgb")
@dataclass
class Macenko(_OfReferences):
    """Haematoxylin and eosin apart in optical density, and put together in the references' colours (Macenko
    2009).

    The stains are the extreme directions (`angle` percentiles) of the plane that best holds the optical
    densities of the tissue's pixels whose mean density is above `beta` (the paper asks it of every channel,
    which loses pale eosin). Strengths are brought to the references' 99th percentile. Learns from the images
    of the training fold. White stays white; an image without tissue, or of one colour only, stays as it is.
    """

    beta: float = 0.15
    angle: float = 1.0

    def fit(self, images: Sequence[Rgb], groups: Sequence[Any] | None = None) -> Self:
        """Raises `ValueError` where no image holds tissue of two stains."""
        samples = [self._stained(image) for image in images]
        share = max(_MIN_PIXELS, _SAMPLE * 10 // max(1, len(images)))
        kept = [sample[:: max(1, len(sample) // share)] for sample in samples if len(sample) >= _MIN_PIXELS]
        stains = self._stains(np.concatenate(kept)) if kept else None
        if stains is None:
            raise ValueError("Macenko: no reference image holds tissue of two stains")
        strengths = [np.percentile(_amounts(sample, stains), 99, axis=1) for sample in kept]
        self._target, self.fitted_on = (stains, np.mean(strengths, axis=0)), groups_seen(groups)
        return self

    def __call__(self, image: Rgb) -> Rgb:
        if self._target is None:
            raise NotFitted("macenko has not been fitted to reference images")
        sample = self._stained(image)
        stains = self._stains(sample) if len(sample) >= _MIN_PIXELS else None
        if stains is None:
            return image.copy()
        strongest = np.percentile(_amounts(sample, stains), 99, axis=1)
        colours, strengths = self._target
        amounts = _amounts(_density(image).reshape(-1, 3), stains)
        amounts *= (strengths / np.maximum(strongest, 1e-3))[:, None]
        light = 256 * np.exp(-(colours @ amounts)).T - 1
        return np.clip(np.round(light), 0, 255).reshape(image.shape).astype(np.uint8)

    def _stained(self, image: Rgb) -> Floats:
        """Optical densities n×3 of the tissue (natural logarithm)."""
        density = _density(image)[tissue_mask(image)]
        kept = density[density.mean(axis=1) > self.beta]
        return np.asarray(kept[:: max(1, len(kept) // _SAMPLE)], np.float64)

    def _stains(self, density: Floats) -> Floats | None:
        """3×2 unit columns, haematoxylin first; None where the tissue has one colour."""
        _, vectors = np.linalg.eigh(np.cov(density.T))
        plane = vectors[:, [2, 1]] * np.where(vectors[:, [2, 1]].sum(axis=0) < 0, -1, 1)
        angles = np.arctan2(*(density @ plane).T[::-1])
        low, high = np.percentile(angles, (self.angle, 100 - self.angle))
        if not np.isfinite(high - low) or high - low < 0.02:
            return None
        pair = np.abs(plane @ np.array([[np.cos(low), np.cos(high)], [np.sin(low), np.sin(high)]]))
        # Haematoxylin takes more red light away than eosin does.
        return np.asarray(pair[:, np.argsort(-pair[0])], np.float64)


def _density(image: Rgb) -> Floats:
    return np.asarray(-np.log((image.astype(np.float64) + 1) / 256), np.float64)


def _amounts(density: Floats, stains: Floats) -> Floats:
    """2×n amounts of the stains, none below 0."""
    return np.clip(np.linalg.lstsq(stains, density.T, rcond=None)[0], 0, None)
