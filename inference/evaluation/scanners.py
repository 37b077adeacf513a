"""The same tissue as other laboratories would have stained it and other scanners would have seen it, in simulation.

H&E is taken apart into its two dyes in optical density (Ruifrok and Johnston 2001), each is made stronger, weaker or of
another hue, and the picture is put together again; what no dye explains stays as it is. A scanner changes brightness,
white, sharpness and compression, and may be wrong about its resolution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Fields = NDArray[np.uint8]

#: Optical density of haematoxylin, eosin and what is left, a row each (Ruifrok and Johnston 2001).
_DYES = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
_DYES /= np.linalg.norm(_DYES, axis=1, keepdims=True)
#: The same two dyes of another maker.
_OTHER_DYES = np.array([[0.49, 0.77, 0.41], [0.09, 0.95, 0.28], [0.27, 0.57, 0.78]])
_OTHER_DYES /= np.linalg.norm(_OTHER_DYES, axis=1, keepdims=True)


@dataclass(frozen=True)
class Scanner:
    """A laboratory and its scanner: `see` makes N×H×W×3 uint8 of as many; `words` say how they differ."""

    name: str
    words: str
    see: Callable[[Fields], Fields]


def stained(
    haematoxylin: float = 1.0, eosin: float = 1.0, dyes: NDArray[np.float64] = _DYES
) -> Callable[[Fields], Fields]:
    """So many times as much of each dye, of these `dyes`."""

    def see(fields: Fields) -> Fields:
        density = -np.log((fields.astype(np.float64) + 1) / 256)
        amounts = density @ np.linalg.inv(_DYES) * np.array([haematoxylin, eosin, 1.0])
        return _picture(256 * np.exp(-(amounts @ dyes)) - 1)

    return see


def lit(
    gamma: float = 1.0, white: tuple[float, float, float] = (1.0, 1.0, 1.0)
) -> Callable[[Fields], Fields]:
    """Another tone curve, and another white."""
    return lambda fields: _picture(255 * (fields / 255.0) ** gamma * np.array(white))


def soft(sigma: float, quality: int) -> Callable[[Fields], Fields]:
    """Less sharp, and compressed as JPEG of that quality."""

    def one(field: Fields) -> Fields:
        blurred = cv2.GaussianBlur(field, (0, 0), sigma)
        _, coded = cv2.imencode(".jpg", blurred[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        seen = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)
        return seen[..., ::-1]

    return lambda fields: np.stack([one(field) for field in fields])


def scaled(factor: float) -> Callable[[Fields], Fields]:
    """Tissue so many times as large, around the middle; what lies beyond the field's edge is its mirror image."""

    def one(field: Fields) -> Fields:
        height, width = field.shape[:2]
        middle = ((width - 1) / 2, (height - 1) / 2)
        turn = cv2.getRotationMatrix2D(middle, 0.0, factor)
        bent = cv2.warpAffine(
            field, turn, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
        return np.asarray(bent, np.uint8)

    return lambda fields: np.stack([one(field) for field in fields])


def _picture(values: NDArray[np.float64]) -> Fields:
    return np.asarray(np.clip(np.round(values), 0, 255), np.uint8)


SCANNERS = (
    Scanner("pale", "two thirds of both dyes", stained(0.67, 0.67)),
    Scanner("dark", "a third more of both dyes", stained(1.33, 1.33)),
    Scanner("pink", "less haematoxylin, more eosin", stained(0.8, 1.3)),
    Scanner("blue", "more haematoxylin, less eosin", stained(1.3, 0.75)),
    Scanner("other dyes", "dyes of another hue", stained(dyes=_OTHER_DYES)),
    Scanner("bright", "a brighter tone curve and a warmer white", lit(0.8, (1.0, 0.98, 0.94))),
    Scanner("soft", "less sharp, JPEG of quality 50", soft(0.7, 50)),
    Scanner("larger", "5 µm said, 4 µm seen: tissue a quarter larger", scaled(1.25)),
    Scanner("smaller", "3.2 µm said, 4 µm seen: tissue a fifth smaller", scaled(0.8)),
)
