"""Grey values inside an outline, and against its surroundings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.blocks.features.region import Pixels, Row, luma, region
from inference.blocks.registry import block

_PERCENTILES = (5, 25, 50, 75, 95)


@block("features", "intensity")
@dataclass(frozen=True)
class Intensity:
    """Moments, percentiles and entropy of the grey values inside, in 0–255.

    surround: mean inside minus mean of a ring outside, a quarter of the region's radius wide (0 without an
    outline). below: mean of the ring's part under the region minus the rest of the ring, which is acoustic
    enhancement or shadow in an ultrasound image.
    """

    names: ClassVar[tuple[str, ...]] = (
        *(f"intensity_{name}" for name in ("mean", "spread", "skewness", "kurtosis", "entropy")),
        *(f"intensity_p{percentile}" for percentile in _PERCENTILES),
        "intensity_surround",
        "intensity_below",
    )

    def __call__(self, image: Pixels, mask: NDArray[Any] | None = None) -> Row:
        gray, inside = luma(image), region(image, mask)
        values = gray[inside].astype(np.float64)
        mean, spread = values.mean(), values.std()
        standard = (values - mean) / spread if spread > 1e-9 else np.zeros(1)
        shares = np.bincount(gray[inside] // 4, minlength=64) / values.size
        filled = shares[shares > 0]
        ring = self._ring(inside)
        surround = below = 0.0
        if ring.any():
            surround = mean - float(gray[ring].mean())
            under = ring & (np.arange(ring.shape[0])[:, None] > np.flatnonzero(inside.any(axis=1))[-1])
            beside = ring & ~under
            if under.any() and beside.any():
                below = float(gray[under].mean()) - float(gray[beside].mean())
        return np.array(
            [
                mean,
                spread,
                (standard**3).mean(),
                (standard**4).mean() if spread > 1e-9 else 0.0,
                -(filled * np.log2(filled)).sum(),
                *np.percentile(values, _PERCENTILES),
                surround,
                below,
            ],
            np.float64,
        )

    @staticmethod
    def _ring(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
        if inside.all():
            return np.zeros_like(inside)
        width = max(2.0, 0.25 * np.sqrt(inside.sum() / np.pi))
        distance = ndimage.distance_transform_edt(~inside)
        return np.asarray((distance > 0) & (distance <= width))
