"""Near-duplicates: the same picture again, also flipped, slightly cropped, or brighter.

Two steps. A perceptual descriptor (64×64, slow changes removed, so that brightness and the common outline of
breasts weigh little) proposes each picture's nearest neighbours over flips and small crops; template matching
of fine detail at 128×128 over scales and shifts confirms them. The confirmed score is a correlation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Gray = NDArray[np.float32]

COARSE_PX = 64
FINE_PX = 128
NEIGHBOURS = 8
#: a neighbour below this is not looked at; set low, since the second step decides
PROPOSE = 0.40
#: correlation of fine detail from which two pictures count as the same; see docs/laboratory.md
CONFIRM = 0.60
_CROPS = ((0.92, 0.5, 0.5), (0.85, 0.5, 0.5), (0.92, 0.0, 0.0), (0.92, 1.0, 0.0), (0.92, 0.0, 1.0), (0.92, 1.0, 1.0))
_SCALES = (0.86, 0.93, 1.0, 1.07, 1.16)


@dataclass(frozen=True)
class Pair:
    """Two pictures (indices into the given list, first < second) and how well their detail agrees (0–1)."""

    first: int
    second: int
    score: float


@dataclass(frozen=True)
class Signature:
    """What is kept of a picture: 20 kB, so that a hundred thousand fit in memory."""

    coarse: Gray
    fine: Gray


def signature(path: Path) -> Signature:
    """Read one picture.

    Raises:
        imaging.errors.ImagingError: it cannot be read.
    """
    from imaging import reader

    gray = reader.read(path).gray()
    return Signature(
        cv2.resize(gray, (COARSE_PX, COARSE_PX), interpolation=cv2.INTER_AREA).astype(np.float32),
        cv2.resize(gray, (FINE_PX, FINE_PX), interpolation=cv2.INTER_AREA).astype(np.float32),
    )


def near_duplicates(signatures: Sequence[Signature]) -> list[Pair]:
    """Every confirmed pair, best first. Memory is quadratic in nothing: neighbours are found in blocks."""
    found: dict[tuple[int, int], float] = {}
    for first, second in sorted(_proposals(signatures)):
        score = agreement(signatures[first].fine, signatures[second].fine)
        if score >= CONFIRM:
            found[first, second] = score
    return [Pair(a, b, score) for (a, b), score in sorted(found.items(), key=lambda item: -item[1])]


def agreement(first: Gray, second: Gray) -> float:
    """Best correlation of the middle of one picture's detail with the other, over flips, shifts and scales."""
    detail = _detail(second, 2.0)
    best = 0.0
    for picture in (first, np.ascontiguousarray(first[:, ::-1])):
        for scale in _SCALES:
            side = round(FINE_PX * scale)
            scaled = _detail(cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA), 2.0)
            margin = max(round(side * 0.16), (side - FINE_PX) // 2 + 4)
            template = scaled[margin : side - margin, margin : side - margin]
            if template.std() < 1e-3:
                continue
            best = max(best, float(cv2.matchTemplate(detail, template, cv2.TM_CCOEFF_NORMED).max()))
    return best


def _proposals(signatures: Sequence[Signature], block: int = 1024) -> set[tuple[int, int]]:
    count = len(signatures)
    base = _normalised([s.coarse for s in signatures])
    variants = [_normalised([np.ascontiguousarray(s.coarse[:, ::-1]) for s in signatures])]
    for crop in _CROPS:
        cropped = [_crop(s.coarse, *crop) for s in signatures]
        variants += [_normalised(cropped), _normalised([np.ascontiguousarray(c[:, ::-1]) for c in cropped])]
    pairs: set[tuple[int, int]] = set()
    for start in range(0, count, block):
        rows = base[start : start + block]
        best = rows @ base.T
        for variant in variants:
            np.maximum(best, rows @ variant.T, out=best)
        best[np.arange(len(rows)), start + np.arange(len(rows))] = -1
        nearest = np.argpartition(-best, min(NEIGHBOURS, count - 1) - 1, axis=1)[:, :NEIGHBOURS]
        for row, columns in enumerate(nearest):
            for column in columns:
                if best[row, column] >= PROPOSE:
                    pairs.add((min(start + row, int(column)), max(start + row, int(column))))
    return pairs


def _detail(picture: Gray, sigma: float) -> Gray:
    return np.asarray(picture - cv2.GaussianBlur(picture, (0, 0), sigma), dtype=np.float32)


def _crop(picture: Gray, share: float, x: float, y: float) -> Gray:
    side = picture.shape[0]
    kept = round(side * share)
    left, top = round((side - kept) * x), round((side - kept) * y)
    return np.asarray(
        cv2.resize(picture[top : top + kept, left : left + kept], (side, side), interpolation=cv2.INTER_LINEAR)
    )


def _normalised(pictures: Sequence[Gray]) -> Gray:
    """N×4096, each row of mean 0 and length 1, slow changes removed."""
    rows = np.stack([_detail(picture, 6.0).ravel() for picture in pictures])
    rows -= rows.mean(axis=1, keepdims=True)
    return np.asarray(rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-6), dtype=np.float32)
