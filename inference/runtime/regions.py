"""From a probability map to places: connected regions with outline, box and shape."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.contract import Box, Point
from inference.runtime.geometry import Map
from inference.runtime.scale import Scale


@dataclass(frozen=True, eq=False)
class Region:
    """One connected region of a map, in the map's own pixels. `inside` covers its box only: a map of noise has
    thousands of regions."""

    box: tuple[int, int, int, int]
    area: int
    peak: float
    mean: float
    inside: NDArray[np.bool_]

    def of(self, values: Map) -> Map:
        """The values of a map of the same size in this region, N."""
        return np.asarray(self._part(values)[self.inside], np.float32)

    def paint(self, values: Map, value: float = 1.0) -> None:
        """Set the region in a map of the same size."""
        self._part(values)[self.inside] = value

    def outline(self) -> tuple[Point, ...]:
        """See `outline_of`."""
        x0, y0 = self.box[:2]
        return tuple((x + x0, y + y0) for x, y in outline_of(self.inside))

    def _part(self, values: Map) -> Map:
        x0, y0, x1, y1 = self.box
        return values[y0:y1, x0:x1]


def regions_above(values: Map, level: float, smallest: int, least_side: int = 1) -> list[Region]:
    """Regions (8-connected) of `values` H×W at or above `level` with at least `smallest` pixels and `least_side` in
    each direction, largest peak first."""
    above = (values >= level).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(above, connectivity=8)
    found = []
    for label in range(1, count):
        x, y, width, height, area = (int(value) for value in stats[label])
        if area < smallest or min(width, height) < least_side:
            continue
        inside = labels[y : y + height, x : x + width] == label
        part = values[y : y + height, x : x + width][inside]
        found.append(
            Region((x, y, x + width, y + height), area, float(part.max()), float(part.mean()), inside)
        )
    return sorted(found, key=lambda region: -region.peak)


def outline_of(mask: NDArray[np.bool_], most_points: int = 64) -> tuple[Point, ...]:
    """The outer contour of the largest part of `mask`, thinned to at most `most_points` corners; pixel
    centres shifted to pixel coordinates. Empty for an empty mask."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return ()
    contour = max(contours, key=cv2.contourArea)
    tolerance = 0.5
    thinned = cv2.approxPolyDP(contour, tolerance, True)
    while len(thinned) > most_points:
        tolerance *= 1.5
        thinned = cv2.approxPolyDP(contour, tolerance, True)
    return tuple((float(x) + 0.5, float(y) + 0.5) for x, y in thinned[:, 0])


def shape_descriptors(polygon: tuple[Point, ...], scale: Scale) -> dict[str, float]:
    """What a report says of a mass, from its outline in stored pixels.

    `margin_irregularity` 1 − area / convex area, 0 is smooth; where height can be compared with width also
    `aspect_ratio` height over width (above 1: taller than wide), `orientation_degrees` of the long axis to the skin,
    0–90 (0 is parallel), and `roundness` 4π·area / perimeter²; where the scale is known also `area_mm2` and
    `longest_mm`. All of lengths on the patient: pixels need not be square. Empty below three corners.
    """
    if len(polygon) < 3:
        return {}
    points = np.asarray(polygon, np.float32)
    (x0, y0), (x1, y1) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    box = (x0, y0, max(x1, x0 + 1), max(y1, y0 + 1))
    spacing = scale.at(box)
    # so that both directions count in widths of a pixel
    points[:, 1] *= spacing[1] / spacing[0] if spacing is not None else scale.pixel_aspect
    area = float(cv2.contourArea(points))
    hull = float(cv2.contourArea(cv2.convexHull(points)))
    perimeter = float(cv2.arcLength(points, True))
    if area <= 0 or hull <= 0 or perimeter <= 0:
        return {}
    described = {"margin_irregularity": max(0.0, 1 - area / hull)}
    (_, _), (side_a, side_b), angle = cv2.minAreaRect(points)
    if scale.shape_is_known(box):
        width, height = (float(v) for v in points.max(axis=0) - points.min(axis=0))
        tilt = abs(angle if side_a >= side_b else angle + 90) % 180
        described = {
            "aspect_ratio": height / max(width, 1.0),
            "orientation_degrees": 180 - tilt if tilt > 90 else tilt,
            **described,
            "roundness": min(1.0, 4 * math.pi * area / perimeter**2),
        }
    if spacing is not None:
        described["area_mm2"] = area * (spacing[0] / 1000) ** 2
        described["longest_mm"] = max(side_a, side_b) * spacing[0] / 1000
    return {name: round(value, 4) for name, value in described.items()}


def clipped_box(box: Box, width: int, height: int) -> Box | None:
    """`box` inside the image, at least one pixel in each direction; None where nothing is left."""
    x0, y0 = max(0.0, min(box[0], width - 1.0)), max(0.0, min(box[1], height - 1.0))
    x1, y1 = min(float(width), max(box[2], x0 + 1)), min(float(height), max(box[3], y0 + 1))
    if x1 <= x0 or y1 <= y0:
        return None
    return round(x0, 2), round(y0, 2), round(x1, 2), round(y1, 2)


def png_of(values: Map | NDArray[np.bool_]) -> bytes:
    """H×W in 0–1, or of truths, as an 8-bit PNG, 0–255."""
    truths = values.dtype == np.bool_
    levels = (
        values.astype(np.uint8) * 255 if truths else np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    )
    # OpenCV's own settings take half the time of any level that one names, for files of the same size
    written, buffer = cv2.imencode(".png", levels)
    if not written:
        raise ValueError(f"a map of {values.shape} cannot be written as PNG")
    return bytes(buffer)
