"""Marks on images against masks: FROC, with a hit where a mark's centre lies in the mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.contract import Box


@dataclass(frozen=True)
class Mark:
    """One mark, with the truths (by number, per image) whose mask holds its centre."""

    image: int
    score: float
    hits: frozenset[int]


@dataclass(frozen=True)
class Froc:
    """Lesion sensitivity against false marks an image, from the strictest level to the laxest."""

    false_marks: tuple[float, ...]
    sensitivity: tuple[float, ...]
    levels: tuple[float, ...]

    def at(self, marks_per_image: float) -> tuple[float, float]:
        """Sensitivity and level at the most false marks that are allowed; (0, 1) where none fits."""
        best = (0.0, 1.0)
        for false, found, level in zip(self.false_marks, self.sensitivity, self.levels, strict=True):
            if false <= marks_per_image:
                best = (found, level)
        return best


def components(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """H×W labels of the separate lesions of a mask, 0 outside."""
    _, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    return np.asarray(labels, np.int32)


def mark_of(image: int, score: float, box: Box, lesions: NDArray[np.int32]) -> Mark:
    """The mark's centre looked up in `lesions` (labels in the box's pixels)."""
    x, y = int((box[0] + box[2]) / 2), int((box[1] + box[3]) / 2)
    inside = 0 <= y < lesions.shape[0] and 0 <= x < lesions.shape[1]
    lesion = int(lesions[y, x]) if inside else 0
    return Mark(image, score, frozenset({lesion}) if lesion else frozenset())


def froc(marks: Sequence[Mark], lesions: int, images: int) -> Froc:
    """Over all levels that occur. `lesions` and `images` are the totals.

    Raises
    ------
    ValueError
        No lesion or no image.
    """
    if lesions < 1 or images < 1:
        raise ValueError("FROC needs at least one lesion and one image")
    found: set[tuple[int, int]] = set()
    false = 0
    xs, ys, levels = [], [], []
    ordered = sorted(marks, key=lambda mark: -mark.score)
    for number, mark in enumerate(ordered):
        if mark.hits:
            found |= {(mark.image, lesion) for lesion in mark.hits}
        else:
            false += 1
        if number + 1 == len(ordered) or ordered[number + 1].score < mark.score:
            xs.append(false / images)
            ys.append(len(found) / lesions)
            levels.append(mark.score)
    return Froc(tuple(xs), tuple(ys), tuple(levels))
