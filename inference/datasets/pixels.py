"""Training reads its pictures with the reader that the platform uses, so that both see the same pixels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image


def read_gray(path: Path) -> NDArray[np.uint8]:
    """H×W uint8; colour becomes luma."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L"), np.uint8)


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """H×W×3 uint8."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"), np.uint8)


def read_joined_masks(paths: tuple[Path, ...], height: int, width: int) -> NDArray[np.uint8]:
    """Several outlines as one: H×W uint8, 0 or 255. A mask of another size is brought to the image's."""
    joined = np.zeros((height, width), np.uint8)
    for path in paths:
        mask = read_gray(path)
        if mask.shape != joined.shape:
            mask = np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)
        joined |= np.where(mask > 127, 255, 0).astype(np.uint8)
    return joined
