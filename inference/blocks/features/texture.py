"""Texture inside an outline: co-occurrence (GLCM), local binary patterns, gradients (HOG), Gabor, PFTAS."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.blocks.features.region import Mask, Pixels, Row, bounds, luma, region
from inference.blocks.registry import block

#: Haralick 1973, in his order; the fourteenth is left out as unstable, as everywhere.
HARALICK = (
    "energy", "contrast", "correlation", "variance", "homogeneity", "sum_average", "sum_variance",
    "sum_entropy", "entropy", "difference_variance", "difference_entropy", "information_1", "information_2",
)  # fmt: skip
_ANGLES = ((0, 1), (-1, 1), (-1, 0), (-1, -1))


def cooccurrence(levels: NDArray[np.integer[Any]], inside: Mask, step: tuple[int, int], number: int) -> Row:
    """Share of each pair of grey levels among neighbours `step` (rows, columns) apart, both inside;
    symmetric.

    `levels` H×W of 0…`number`−1 → `number`×`number`; all zero where there is no pair.
    """
    down, across = step
    height, width = levels.shape
    if abs(down) >= height or abs(across) >= width:
        return np.zeros((number, number))
    first = slice(max(0, -down), height - max(0, down)), slice(max(0, -across), width - max(0, across))
    second = slice(max(0, down), height + min(0, down)), slice(max(0, across), width + min(0, across))
    both = inside[first] & inside[second]
    pairs = levels[first][both].astype(np.int64) * number + levels[second][both]
    counts = np.bincount(pairs, minlength=number * number).reshape(number, number).astype(np.float64)
    counts += counts.T
    return np.asarray(counts / max(counts.sum(), 1.0), np.float64)


def haralick(matrix: Row) -> Row:
    """The 13 features of one co-occurrence matrix (n×n, sum 1), in the order of `HARALICK`; logs to base 2.

    A matrix of one grey level has no correlation by definition; 1 is given, as elsewhere. Homogeneity is
    Haralick's inverse difference moment.
    """
    number = len(matrix)
    values = np.arange(number, dtype=np.float64)
    across = matrix.sum(axis=0)
    mean = float(values @ across)
    variance = float((values - mean) ** 2 @ across)
    i, j = np.meshgrid(values, values, indexing="ij")
    sums: Row = np.bincount((i + j).astype(int).ravel(), matrix.ravel(), minlength=2 * number - 1).astype(
        np.float64
    )
    differences: Row = np.bincount(
        np.abs(i - j).astype(int).ravel(), matrix.ravel(), minlength=number
    ).astype(np.float64)
    steps, totals = np.arange(number), np.arange(2 * number - 1)
    correlation = ((i * j * matrix).sum() - mean**2) / variance if variance > 1e-12 else 1.0
    average = float(totals @ sums)
    joint, alone = _entropy(matrix), _entropy(across)
    # By symmetry both margins are alike, so that HXY1 and HXY2 are both twice the margin's entropy.
    independent = 2 * alone
    return np.array(
        [
            (matrix**2).sum(),
            steps**2 @ differences,
            correlation,
            variance,
            (matrix / (1 + (i - j) ** 2)).sum(),
            average,
            (totals - average) ** 2 @ sums,
            _entropy(sums),
            joint,
            differences @ (steps - steps @ differences) ** 2,
            _entropy(differences),
            (joint - independent) / alone if alone > 0 else 0.0,
            np.sqrt(max(0.0, 1 - np.exp(-2 * (independent - joint)))),
        ],
        np.float64,
    )


def _entropy(shares: Row) -> float:
    positive = shares[shares > 0]
    return float(-(positive * np.log2(positive)).sum())


@block("features", "glcm")
@dataclass(frozen=True)
class Glcm:
    """Haralick's features of co-occurrence matrices, as mean and range over the four directions, by distance.

    Grey values are brought to `levels` steps of the whole range 0–255, so that contrast is not normalised
    away.
    """

    distances: tuple[int, ...] = (1, 3)
    levels: int = 32
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        names = [
            f"glcm_{name}_{distance}_{of}"
            for distance in self.distances
            for of in ("mean", "range")
            for name in HARALICK
        ]
        object.__setattr__(self, "names", tuple(names))

    def __call__(self, image: Pixels, mask: NDArray[Any] | None = None) -> Row:
        inside = region(image, mask)
        box = bounds(inside)
        steps = (luma(image)[box].astype(np.int64) * self.levels) // 256
        rows = []
        for distance in self.distances:
            offsets = [(down * distance, across * distance) for down, across in _ANGLES]
            each = np.stack(
                [haralick(cooccurrence(steps, inside[box], offset, self.levels)) for offset in offsets]
            )
            rows += [each.mean(axis=0), np.ptp(each, axis=0)]
        return np.concatenate(rows)


@block("features", "lbp")
@dataclass(frozen=True)
class Lbp:
    """Histogram of uniform, rotation-invariant local binary patterns (Ojala 2002) inside the outline.

    For each radius r, 8·r neighbours and 8·r + 2 bins that add up to 1.
    """

    radii: tuple[int, ...] = (1, 2)
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        names = [f"lbp_{radius}_{bin_}" for radius in self.radii for bin_ in range(8 * radius + 2)]
        object.__setattr__(self, "names", tuple(names))

    def __call__(self, image: Pixels, mask: NDArray[Any] | None = None) -> Row:
        from skimage.feature import local_binary_pattern

        inside, gray = region(image, mask), luma(image)
        rows = []
        for radius in self.radii:
            # scikit-image takes what lies beyond the image for black, and a border for a texture.
            wide = np.pad(gray, radius, mode="edge")
            patterns = local_binary_pattern(wide, 8 * radius, radius, method="uniform")
            codes = patterns[radius:-radius, radius:-radius][inside].astype(int)
            rows.append(np.bincount(codes, minlength=8 * radius + 2) / codes.size)
        return np.concatenate(rows).astype(np.float64)


@block("features", "hog")
@dataclass(frozen=True)
class Hog:
    """Histograms of oriented gradients (Dalal and Triggs 2005) of the outline's box, brought to `size`²
    pixels."""

    size: int = 64
    cell: int = 16
    orientations: int = 9
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        blocks = self.size // self.cell - 1
        if blocks < 1:
            raise ValueError(f"hog: {self.size} px hold no two cells of {self.cell} px")
        number = blocks**2 * 4 * self.orientations
        object.__setattr__(self, "names", tuple(f"hog_{index}" for index in range(number)))

    def __call__(self, image: Pixels, mask: NDArray[Any] | None = None) -> Row:
        from skimage.feature import hog

        crop = luma(image)[bounds(region(image, mask))]
        square = cv2.resize(crop, (self.size, self.size), interpolation=cv2.INTER_AREA)
        return np.asarray(
            hog(square, self.orientations, (self.cell, self.cell), (2, 2), feature_vector=True), np.float64
        )


@block("features", "gabor")
@dataclass(frozen=True)
class Gabor:
    """Mean and spread of Gabor magnitudes inside the outline, by wavelength in pixels.

    Over the directions, the mean and the range of each are given, so that a turned image reads alike.
    """

    wavelengths: tuple[float, ...] = (4.0, 8.0, 16.0)
    directions: int = 6
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        names = [
            f"gabor_{wavelength:g}_{what}_{of}"
            for wavelength in self.wavelengths
            for of in ("mean", "range")
            for what in ("magnitude", "spread")
        ]
        object.__setattr__(self, "names", tuple(names))

    def __call__(self, image: Pixels, mask: NDArray[Any] | None = None) -> Row:
        from skimage.filters import gabor_kernel

        inside = region(image, mask)
        gray = luma(image).astype(np.float32) / 255
        rows = []
        for wavelength in self.wavelengths:
            each = []
            for turn in range(self.directions):
                kernel = gabor_kernel(1 / wavelength, theta=np.pi * turn / self.directions, bandwidth=1)
                # The real part is not free of a constant: brightness is another feature's business.
                even = np.ascontiguousarray(kernel.real - kernel.real.mean(), np.float32)
                odd = np.ascontiguousarray(kernel.imag, np.float32)
                responses = [
                    cv2.filter2D(gray, cv2.CV_32F, part, borderType=cv2.BORDER_REFLECT)
                    for part in (even, odd)
                ]
                magnitude = np.hypot(*responses)[inside]
                each.append((magnitude.mean(), magnitude.std()))
            table = np.asarray(each, np.float64)
            rows += [table.mean(axis=0), np.ptp(table, axis=0)]
        return np.concatenate(rows)


@block("features", "pftas")
@dataclass(frozen=True)
class Pftas:
    """Parameter-free threshold adjacency statistics (Coelho 2010), 54 a channel: 162 for RGB.

    Taken from the outline's box, channel by channel: `mahotas.features.pftas` takes H×W×3 for a volume, and
    gives 162 numbers for that too. A channel of one value has no threshold and gives zeros.
    """

    channels_of: int = 3
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        number = 54 * self.channels_of
        object.__setattr__(self, "names", tuple(f"pftas_{i // 54}_{i % 54}" for i in range(number)))

    def __call__(self, image: Pixels, mask: NDArray[Any] | None = None) -> Row:
        from mahotas.features import pftas

        crop = image[bounds(region(image, mask))]
        if self.channels_of == 1:
            planes = [luma(crop)]
        else:
            colour = crop if crop.ndim == 3 else np.repeat(crop[..., None], self.channels_of, axis=2)
            planes = [np.ascontiguousarray(colour[..., channel]) for channel in range(self.channels_of)]
        rows = [np.zeros(54) if plane.min() == plane.max() else pftas(plane) for plane in planes]
        return np.nan_to_num(np.concatenate(rows).astype(np.float64))
