"""Made-up pictures: noise around a level, with a disc where a lesion is wanted."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Disc = tuple[float, float, float]  # x, y, radius


def gray(path: Path, width: int, height: int, disc: Disc | None = None) -> NDArray[np.uint8]:
    """An 8-bit picture that depends on the file's name only; written in the format of its ending."""
    noise = np.random.default_rng(zlib.crc32(path.name.encode()))
    low = noise.normal(90, 20, (height // 8 + 1, width // 8 + 1))
    values = np.kron(low, np.ones((8, 8)))[:height, :width] + noise.normal(0, 8, (height, width))
    if disc:
        values[inside(width, height, disc)] += 70
    pixels = np.clip(values, 1, 254).astype(np.uint8)
    save(path, pixels)
    return pixels


def colour(path: Path, width: int, height: int) -> None:
    """An RGB picture in the tints of haematoxylin and eosin."""
    plane = gray(path, width, height).astype(np.float32) / 255
    tint = np.array([0.85, 0.45, 0.75], dtype=np.float32)
    save(path, (255 * (1 - plane[..., None] * (1 - tint))).astype(np.uint8))


def mask(path: Path, width: int, height: int, disc: Disc | None) -> None:
    """255 inside the disc, 0 elsewhere; all black without one."""
    marked = inside(width, height, disc) if disc else np.zeros((height, width), dtype=bool)
    save(path, np.where(marked, 255, 0).astype(np.uint8))


def inside(width: int, height: int, disc: Disc) -> NDArray[np.bool_]:
    y, x = np.ogrid[:height, :width]
    return np.asarray((x - disc[0]) ** 2 + (y - disc[1]) ** 2 <= disc[2] ** 2)


def save(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
