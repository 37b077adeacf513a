"""A synthetic image and its truth, and the random fields that all of them are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Lesion = Literal["none", "benign", "malignant"]
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Phantom:
    """`pixels` is H×W (uint8, uint16) or H×W×3 uint8. `mask` is bool, H×W divided by `mask_downsample`.
    `boxes` are `(x0, y0, x1, y1)` in pixels, far edges exclusive, one for each lesion. `label` is the class a
    reader should come to."""

    pixels: NDArray[Any]
    um_per_px: float
    label: str
    seed: int
    mask: NDArray[np.bool_]
    mask_downsample: int = 1
    boxes: tuple[Box, ...] = ()
    laterality: Literal["L", "R"] | None = None
    view: str | None = None


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, int], scale: float, aspect: float = 1.0
) -> NDArray[np.float32]:
    """Periodic Gaussian noise with features of about `scale` pixels (`aspect` times longer along x), mean 0,
    standard deviation 1."""
    fy = np.fft.fftfreq(shape[0])[:, None]
    fx = np.fft.rfftfreq(shape[1])[None, :]
    radius = (fy * scale) ** 2 + (fx * scale * aspect) ** 2
    return _filtered(rng, shape, np.exp(-2 * np.pi * radius))


def power_law_noise(rng: np.random.Generator, shape: tuple[int, int], exponent: float) -> NDArray[np.float32]:
    """Periodic noise with an amplitude spectrum of 1/f^exponent: tissue seen through a breast has about 1.5
    (Burgess 1999). Mean 0, standard deviation 1."""
    fy = np.fft.fftfreq(shape[0])[:, None] * shape[0]
    fx = np.fft.rfftfreq(shape[1])[None, :] * shape[1]
    radius = np.sqrt(fy**2 + fx**2)
    radius[0, 0] = np.inf
    return _filtered(rng, shape, (1.0 / np.maximum(radius, 1.0)) ** exponent)


def _filtered(
    rng: np.random.Generator, shape: tuple[int, int], gain: NDArray[np.float64]
) -> NDArray[np.float32]:
    white = rng.standard_normal(shape, dtype=np.float32)
    field = np.fft.irfft2(np.fft.rfft2(white) * gain, s=shape).astype(np.float32)
    field -= field.mean()
    return np.asarray(field / max(float(field.std()), 1e-9), dtype=np.float32)


def radial_contour(rng: np.random.Generator, roughness: float, harmonics: int) -> NDArray[np.float64]:
    """720 radii around 1, one every half degree: a blob's outline."""
    angle = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    radii = np.ones_like(angle)
    for order in range(2, harmonics + 2):
        amplitude = roughness / order**0.8 * rng.normal()
        radii += amplitude * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
    return np.maximum(radii, 0.35)


def box_of(mask: NDArray[np.bool_]) -> Box:
    """The smallest box around the mask."""
    ys, xs = np.nonzero(mask)
    return float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1)
