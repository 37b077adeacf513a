"""Classic segmentation of a grey image: thresholds, region growing, watershed, active contour.

No block answers with nothing: an image in which nothing stands out is one region, so that its features are
those of the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.blocks.registry import block
from inference.blocks.swarm import Agents, Iterations, Method, maximise

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Side = Literal["bright", "dark"]
Keep = Literal["all", "largest", "central"]


def kept_region(mask: Mask, keep: Keep) -> Mask:
    """The whole mask, its largest region, or the region that is large and near the image's centre; everything
    where the mask is empty."""
    if not mask.any():
        return np.ones(mask.shape, bool)
    if keep == "all":
        return mask
    regions, count = ndimage.label(mask)
    if count < 2:
        return mask
    weights = np.ones(mask.shape)
    if keep == "central":
        rows, columns = np.ogrid[: mask.shape[0], : mask.shape[1]]
        away_y, away_x = rows / mask.shape[0] - 0.5, columns / mask.shape[1] - 0.5
        weights = np.exp(-(away_y**2 + away_x**2) / 0.08)
    sizes = ndimage.sum_labels(weights, regions, np.arange(1, count + 1))
    return np.asarray(regions == 1 + int(np.argmax(sizes)))


@block("segment", "otsu")
@dataclass(frozen=True)
class Otsu:
    """Above (or below) Otsu's threshold."""

    side: Side = "bright"
    keep: Keep = "all"

    def __call__(self, image: Pixels) -> Mask:
        level, _ = cv2.threshold(np.ascontiguousarray(image), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
        return kept_region(image > level if self.side == "bright" else image <= level, self.keep)


@block("segment", "multi_otsu")
@dataclass(frozen=True)
class MultiOtsu:
    """The brightest (or darkest) of `classes` grey levels by Otsu's multilevel thresholds."""

    classes: int = 3
    side: Side = "bright"
    keep: Keep = "all"

    def __call__(self, image: Pixels) -> Mask:
        from skimage.filters import threshold_multiotsu

        if np.unique(image).size < self.classes:
            return np.ones(image.shape, bool)
        levels = threshold_multiotsu(image, self.classes)
        bright = self.side == "bright"
        return kept_region(image > levels[-1] if bright else image <= levels[0], self.keep)


@block("segment", "kapur")
@dataclass(frozen=True)
class Kapur:
    """The brightest (or darkest) of the levels between `thresholds` thresholds of maximal entropy (Kapur
    1985), found exactly; or by a swarm of `agents` in so many `iterations`, as [53] does by shell game optimisation,
    which comes near it."""

    thresholds: int = 2
    side: Side = "bright"
    keep: Keep = "all"
    method: Method | Literal["exact"] = "exact"
    agents: Agents = 12
    iterations: Iterations = 15

    def __call__(self, image: Pixels) -> Mask:
        if self.method == "exact":
            levels = kapur_thresholds(image, self.thresholds)
        else:
            levels = self._searched(image, self.method)
        if not levels:
            return np.ones(image.shape, bool)
        bright = self.side == "bright"
        return kept_region(image > levels[-1] if bright else image <= levels[0], self.keep)

    def _searched(self, image: Pixels, method: Method) -> tuple[int, ...]:
        entropy = _entropies(image)
        if np.count_nonzero(np.bincount(image.ravel())) <= self.thresholds:
            return ()

        def at(point: NDArray[np.float64]) -> tuple[int, ...]:
            return tuple(sorted(int(value) for value in np.clip(point * 255, 0, 254)))

        def worth(point: NDArray[np.float64]) -> float:
            edges = [0, *(level + 1 for level in at(point)), 256]
            # an empty class has no entropy: such thresholds are worse than any others
            return max(float(sum(entropy[a, b] for a, b in pairwise(edges))), -1e6)

        # the same image gives the same thresholds, alone and among others
        best, _ = maximise(method, worth, self.thresholds, agents=self.agents, iterations=self.iterations,
                           rng=np.random.default_rng(0))  # fmt: skip
        return at(best)


def kapur_thresholds(image: Pixels, number: int) -> tuple[int, ...]:
    """`number` ascending thresholds t (a class is t₁ < grey ≤ t₂) whose classes' entropies add up to the
    most.

    The sum is over classes, so dynamic programming finds the optimum that metaheuristics ([53]'s shell game
    optimiser) search for. Empty where the image has too few grey values.
    """
    if np.count_nonzero(np.bincount(image.ravel())) <= number:
        return ()
    entropy = _entropies(image)
    best, cuts = entropy[0], []
    for _ in range(number):
        joined = best[:, None] + entropy
        cuts.append(joined.argmax(axis=0))
        best = joined.max(axis=0)
    levels, end = [], 256
    for cut in reversed(cuts):
        end = int(cut[end])
        levels.append(end - 1)
    return tuple(reversed(levels))


def _entropies(image: Pixels) -> NDArray[np.float64]:
    """257×257: the entropy of the grey values a ≤ grey < b, minus infinity where there are none."""
    counts = np.bincount(image.ravel(), minlength=256).astype(np.float64)
    share = counts / counts.sum()
    mass = np.concatenate([[0.0], np.cumsum(share)])
    surprise = np.concatenate([[0.0], np.cumsum(share * np.log(np.where(share > 0, share, 1)))])
    weight = mass[None, :] - mass[:, None]  # of the grey values a ≤ grey < b
    safe = np.where(weight > 1e-12, weight, 1)
    entropy = np.log(safe) - (surprise[None, :] - surprise[:, None]) / safe
    return np.where(weight > 1e-12, entropy, -np.inf)


@block("segment", "region_growing")
@dataclass(frozen=True)
class RegionGrowing:
    """All pixels joined to the seed that differ from it by at most `tolerance` grey levels after smoothing.

    The seed is the centre, or the brightest or darkest place of the smoothed image.
    """

    seed_at: Literal["centre", "brightest", "darkest"] = "centre"
    tolerance: float = 25.0
    sigma: float = 2.0

    def __call__(self, image: Pixels) -> Mask:
        from skimage.segmentation import flood

        smooth = ndimage.gaussian_filter(image.astype(np.float32), self.sigma)
        place = (image.shape[0] // 2, image.shape[1] // 2)
        if self.seed_at != "centre":
            index = smooth.argmax() if self.seed_at == "brightest" else smooth.argmin()
            row, column = np.unravel_index(int(index), image.shape)
            place = (int(row), int(column))
        grown = np.asarray(flood(smooth, place, tolerance=self.tolerance), bool)
        return np.asarray(ndimage.binary_fill_holes(grown), bool)


@block("segment", "watershed")
@dataclass(frozen=True)
class Watershed:
    """The basin of a marker in the gradient's relief (Beucher): the marker is the brightest (or darkest)
    `share` of the pixels, the surroundings' marker the opposite half."""

    side: Side = "bright"
    share: float = 0.05
    sigma: float = 2.0
    keep: Keep = "largest"

    def __call__(self, image: Pixels) -> Mask:
        from skimage.segmentation import watershed

        smooth = ndimage.gaussian_filter(image.astype(np.float32), self.sigma)
        if self.side == "dark":
            smooth = 255 - smooth
        top, middle = np.percentile(smooth, (100 * (1 - self.share), 50))
        if top <= middle:
            return np.ones(image.shape, bool)
        markers = np.zeros(image.shape, np.int32)
        markers[smooth <= middle] = 1
        markers[kept_region(smooth >= top, self.keep)] = 2
        relief = np.hypot(ndimage.sobel(smooth, 0), ndimage.sobel(smooth, 1))
        return np.asarray(watershed(relief, markers) == 2)


@block("segment", "active_contour")
@dataclass(frozen=True)
class ActiveContour:
    """Morphological Chan–Vese (Márquez-Neila 2014) from a disc at the centre, on the smoothed image.

    Of the two regions it ends with, the bright (or dark) one is meant.
    """

    side: Side = "bright"
    iterations: int = 60
    sigma: float = 2.0
    keep: Keep = "central"

    def __call__(self, image: Pixels) -> Mask:
        from skimage.segmentation import disk_level_set, morphological_chan_vese

        smooth = ndimage.gaussian_filter(image.astype(np.float32), self.sigma)
        start = disk_level_set(image.shape, radius=min(image.shape) / 3)
        inside = np.asarray(
            morphological_chan_vese(smooth, self.iterations, init_level_set=start, smoothing=2), bool
        )
        if not inside.any() or inside.all():
            return np.ones(image.shape, bool)
        if (smooth[inside].mean() > smooth[~inside].mean()) != (self.side == "bright"):
            inside = ~inside
        return kept_region(inside, self.keep)
