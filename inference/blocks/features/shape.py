"""The outline's shape, as radiologists put it: size, orientation, taller than wide, smooth or spiculated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from inference.blocks.features.region import FeatureError, Mask, Pixels, Row, bounds, region
from inference.blocks.preprocess.segmentation import kept_region
from inference.blocks.registry import block


@block("features", "shape")
@dataclass(frozen=True)
class Shape:
    """Of the outline's largest region. Lengths are in pixels; the image's grey values do not matter.

    compactness: 4π·area / perimeter² (1 for a disc, less for anything else). depth_width: box height over
    width (above 1 is "taller than wide"). aspect: longer over shorter axis of the ellipse of equal moments;
    orientation: its longer axis against the horizontal, 0 to 90°, without a side. solidity: area over hull;
    convexity: the hull's perimeter over the outline's. radial_*: spread, roughness, entropy and mean
    crossings of the radius over its largest (Kilday 1993); lobes: maxima of the smoothed radius, rising by 3
    % of it. irregularity: spread of the outline about its ellipse, over the mean radius, which stays near 0
    for smooth ovals and grows with spicules.
    """

    names: ClassVar[tuple[str, ...]] = tuple(
        f"shape_{name}"
        for name in (
            "area", "perimeter", "compactness", "depth_width", "aspect", "orientation", "extent", "solidity",
            "convexity", "radial_spread", "radial_roughness", "radial_entropy", "radial_crossings", "lobes",
            "irregularity",
        )
    )  # fmt: skip

    def __call__(self, image: Pixels, mask: NDArray[Any] | None = None) -> Row:
        """Raises `FeatureError` without an outline."""
        if mask is None:
            raise FeatureError("shape needs an outline")
        return descriptors(kept_region(region(image, mask), "largest"))


def descriptors(outline: Mask) -> Row:
    """`outline` H×W bool of one region → the numbers of `Shape.names`."""
    from scipy.signal import find_peaks
    from skimage.measure import regionprops

    whole = regionprops(outline.astype(np.uint8))[0]
    area = float(whole.area)
    top, left, bottom, right = whole.bbox
    longer, shorter = max(float(whole.axis_major_length), 1.0), max(float(whole.axis_minor_length), 1.0)
    # scikit-image measures against the rows' axis: 0 is vertical.
    slant = 90.0 - abs(np.degrees(float(whole.orientation)))
    contour = _margin(outline)
    perimeter = float(cv2.arcLength(contour.astype(np.float32), True))
    around = float(cv2.arcLength(cv2.convexHull(contour.astype(np.float32)), True))
    row, column = whole.centroid
    radius, smooth = _radii(contour, row, column)
    away = radius / radius.max()
    histogram = np.histogram(away, bins=16, range=(0, 1))[0] / away.size
    filled = histogram[histogram > 0]
    above = away > away.mean()
    turned = np.roll(smooth, -int(smooth.argmin()))
    lobes, _ = find_peaks(np.append(turned, turned[0]), prominence=0.03 * smooth.mean())
    return np.array(
        [
            area,
            perimeter,
            min(4 * np.pi * area / perimeter**2, 1.0),
            (bottom - top) / (right - left),
            longer / shorter,
            slant,
            float(whole.extent),
            float(whole.solidity),
            min(around / perimeter, 1.0),
            away.std(),
            np.abs(away - np.roll(away, 1)).mean(),
            -(filled * np.log2(filled)).sum(),
            np.count_nonzero(above != np.roll(above, 1)),
            len(lobes),
            _irregularity(contour, row, column, float(whole.orientation), longer, shorter),
        ],
        np.float64,
    )


def _margin(outline: Mask) -> Row:
    """The outline as a polygon, n×2 of x, y between pixels: stairs of pixels would read up to 27 % too long,
    so the half-way line of the slightly blurred outline is taken. Of specks that the blur wipes out, the
    square."""
    from skimage.measure import find_contours

    padded = np.pad(ndimage.binary_fill_holes(outline), 4).astype(np.float32)
    lines = find_contours(ndimage.gaussian_filter(padded, 1.0), 0.5)
    if lines:
        line = max(lines, key=len)[:-1]
        return np.asarray(line[:, ::-1] - 4, np.float64)
    rows, columns = bounds(outline)
    x0, x1, y0, y1 = columns.start - 0.5, columns.stop - 0.5, rows.start - 0.5, rows.stop - 0.5
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64)


def _radii(contour: Row, row: float, column: float) -> tuple[Row, Row]:
    """Distance of the margin from the centroid at 256 even steps along it, and the same smoothed over
    1/32."""
    radius = np.maximum(np.hypot(contour[:, 0] - column, contour[:, 1] - row), 0.5)
    sides = np.hypot(*(np.roll(contour, -1, axis=0) - contour).T)
    along = np.concatenate([[0.0], np.cumsum(sides)])
    places = np.linspace(0, along[-1], 256, endpoint=False)
    even = np.interp(places, along, np.append(radius, radius[0]))
    kernel = np.hanning(11)[1:-1] / np.hanning(11)[1:-1].sum()
    smooth = np.convolve(np.concatenate([even[-4:], even, even[:4]]), kernel, mode="valid")
    return even, smooth


def _irregularity(
    contour: Row, row: float, column: float, orientation: float, longer: float, shorter: float
) -> float:
    x, y = contour[:, 0] - column, contour[:, 1] - row
    along = x * np.sin(orientation) + y * np.cos(orientation)
    across = x * np.cos(orientation) - y * np.sin(orientation)
    level = np.hypot(along / (longer / 2), across / (shorter / 2))
    return float(level.std() / max(level.mean(), 1e-9))
