"""Cheap looks at an image before anybody believes what a network says of it.

The ranges come from training images alone (`fit_ranges`) and travel in the manifest's `calibration`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.contract import Flag

#: Smaller images than this hold no lesion worth outlining.
MIN_SIDE_PX = 48
_FEATURES = ("contrast", "entropy", "sharpness")


def appearance(canvas: NDArray[np.uint8]) -> dict[str, float]:
    """`canvas` H×W uint8, padding included. `contrast`: standard deviation of what is not black, 0–1;
    `entropy`: bits of the grey-level histogram; `sharpness`: log ratio of Laplacian and grey-level variance.
    """
    shown = canvas[canvas > 0]
    if shown.size < 64:
        return dict.fromkeys(_FEATURES, 0.0)
    histogram = np.bincount(shown.ravel() // 4, minlength=64) / shown.size
    filled = histogram[histogram > 0]
    variance = float(shown.astype(np.float32).var())
    laplacian = float(cv2.Laplacian(canvas, cv2.CV_32F).var())
    return {
        "contrast": float(np.sqrt(variance)) / 255,
        "entropy": float(-(filled * np.log2(filled)).sum()),
        "sharpness": float(np.log((laplacian + 1e-3) / (variance + 1e-3))),
    }


def colourfulness(pixels: NDArray[np.uint8]) -> float:
    """Mean difference of the largest and the smallest channel, 0–1; 0 for H×W."""
    if pixels.ndim == 2:
        return 0.0
    thinned = pixels[:: max(1, pixels.shape[0] // 512), :: max(1, pixels.shape[1] // 512)].astype(np.int16)
    return float((thinned.max(axis=-1) - thinned.min(axis=-1)).mean()) / 255


def fit_ranges(looks: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """`NAME_low` and `NAME_high` for each statistic: the extremes of the training images, widened by a
    quarter of their spread."""
    ranges = {}
    for name in _FEATURES:
        values = np.array([look[name] for look in looks])
        low, high = (float(v) for v in np.quantile(values, (0.002, 0.998)))
        margin = 0.25 * (high - low)
        ranges[f"{name}_low"], ranges[f"{name}_high"] = low - margin, high + margin
    return ranges


def flags_of(
    seen: Mapping[str, float], distance: float, shorter_side: int, calibration: Mapping[str, float]
) -> list[Flag]:
    """`out_of_distribution` where the novelty distance or a statistic leaves the training images' range,
    `low_quality` where the image is tiny, flat or blurred beyond them."""
    flags = []
    outside = any(
        not calibration.get(f"{name}_low", -np.inf) <= seen[name] <= calibration.get(f"{name}_high", np.inf)
        for name in seen
        if name in _FEATURES
    )
    if outside or distance > calibration["novelty_limit"]:
        flags.append(Flag.OUT_OF_DISTRIBUTION)
    if (
        shorter_side < MIN_SIDE_PX
        or seen.get("contrast", 1.0) < calibration.get("contrast_low", 0.0)
        or seen.get("sharpness", 1.0) < calibration.get("sharpness_low", -np.inf)
    ):
        flags.append(Flag.LOW_QUALITY)
    return flags
