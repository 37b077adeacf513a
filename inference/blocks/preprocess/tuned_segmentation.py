"""Segmentation whose threshold and morphology a metaheuristic tunes on the training fold's outlines ([51]).

Sha, Hu and Rouyendegh (2020) tune a network's segmentation with the grasshopper optimiser; here the same
optimiser tunes a threshold segmentation, which a recipe has to declare.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.blocks.learned import NotFitted, groups_seen
from inference.blocks.overlap import dice
from inference.blocks.preprocess.segmentation import Keep, Side, kept_region
from inference.blocks.registry import block
from inference.blocks.swarm import Agents, Iterations, Method, maximise

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Settings:
    """What is tuned. Lengths are shares of the image's shorter side."""

    smoothing: float
    #: The threshold between the darkest (0) and the brightest (1) grey value of the smoothed image.
    level: float
    opening: float
    closing: float

    @classmethod
    def at(cls, point: NDArray[np.float64]) -> Settings:
        smoothing, level, opening, closing = (float(value) for value in point)
        return cls(smoothing * 0.04, 0.05 + 0.9 * level, opening * 0.10, closing * 0.10)


def segmented(image: Pixels, settings: Settings, side: Side, keep: Keep) -> Mask:
    """Smooth, threshold, open, close, fill holes, keep a region: `image` H×W uint8 → bool H×W.

    An opening that would leave nothing is not made."""
    shorter = min(image.shape)
    smooth = ndimage.gaussian_filter(image.astype(np.float32), settings.smoothing * shorter)
    if side == "dark":
        smooth = 255 - smooth
    low, high = float(smooth.min()), float(smooth.max())
    mask = (smooth > low + settings.level * (high - low)).astype(np.uint8)
    for operation, share in ((cv2.MORPH_OPEN, settings.opening), (cv2.MORPH_CLOSE, settings.closing)):
        edge = 2 * round(share * shorter / 2) + 1
        if edge > 1:
            disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (edge, edge))
            changed = np.asarray(cv2.morphologyEx(mask, operation, disc), np.uint8)
            mask = changed if changed.any() else mask
    return kept_region(np.asarray(ndimage.binary_fill_holes(mask), bool), keep)


@block("segment", "tuned")
@dataclass
class TunedSegmentation:
    """Learns `settings` in `fit`, for the highest mean Dice over at most `images` images of the training
    fold.

    The search works on images of `working_px` on their shorter side. `dice` is the training fold's own
    figure, which flatters.
    """

    method: Method = "grasshopper"
    side: Side = "bright"
    keep: Keep = "central"
    agents: Agents = 12
    iterations: Iterations = 15
    images: int = 60
    working_px: int = 96
    seed: int = 0
    settings: Settings | None = field(default=None, init=False)
    dice: float | None = field(default=None, init=False)
    fitted_on: frozenset[str] | None = field(default=None, init=False)

    def fit(
        self, images: Sequence[Pixels], masks: Sequence[NDArray[Any]], groups: Sequence[Any] | None = None
    ) -> Self:
        """`masks` are the truth's outlines, 0 outside. Images without an outline are left out.

        Raises
        ------
        ValueError
            No image has an outline, or the numbers differ.
        """
        if len(images) != len(masks):
            raise ValueError(f"tuned: {len(images)} images do not go with {len(masks)} outlines")
        rng = np.random.default_rng(self.seed)
        outlined = [i for i, mask in enumerate(masks) if np.any(mask)]
        if not outlined:
            raise ValueError("tuned: no image of the training fold has an outline")
        chosen = rng.permutation(outlined)[: self.images]
        pairs = [self._small(images[i], masks[i]) for i in chosen]

        def mean_dice(point: NDArray[np.float64]) -> float:
            settings = Settings.at(point)
            return float(
                np.mean(
                    [dice(segmented(image, settings, self.side, self.keep), truth) for image, truth in pairs]
                )
            )

        point, self.dice = maximise(
            self.method, mean_dice, 4, agents=self.agents, iterations=self.iterations, rng=rng
        )
        self.settings = Settings.at(point)
        self.fitted_on = groups_seen(groups)
        return self

    def plain(self) -> dict[str, Any]:
        """See `inference.blocks.learned.Plain`."""
        if self.settings is None:
            raise NotFitted("tuned segmentation has not been fitted to outlines")
        return asdict(self.settings)

    def take(self, learned: dict[str, Any], /) -> Self:
        """See `inference.blocks.learned.Plain`."""
        self.settings = Settings(**{name: float(value) for name, value in learned.items()})
        return self

    def __call__(self, image: Pixels) -> Mask:
        if self.settings is None:
            raise NotFitted("tuned segmentation has not been fitted to outlines")
        return segmented(image, self.settings, self.side, self.keep)

    def _small(self, image: Pixels, mask: NDArray[Any]) -> tuple[Pixels, Mask]:
        shrink = min(1.0, self.working_px / min(image.shape))
        size = (max(1, round(image.shape[1] * shrink)), max(1, round(image.shape[0] * shrink)))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        truth = cv2.resize((mask > 0).astype(np.float32), size, interpolation=cv2.INTER_AREA)
        return np.asarray(small, np.uint8), np.asarray(truth > 0.5)
