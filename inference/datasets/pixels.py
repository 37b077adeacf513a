"""Training reads its pictures with the reader that the platform uses, so that both see the same pixels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, features

AVIF = ".avif"


def is_avif(path: Path) -> bool:
    """By its first bytes (ISO/IEC 23000-22: a file type box with the brand `avif`)."""
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError:
        return False
    return head[4:] == b"ftypavif"


def why_no_avif() -> str:
    """What is missing to read AVIF; empty where it is read."""
    if features.check("avif"):
        return ""
    return f"Pillow {PIL.__version__} was built without it; its wheels have it from 11.3 on"


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
