"""Heat on the image, for eyes: a grey picture with colour where the map speaks."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.runtime.geometry import Map
from inference.runtime.regions import png_of

#: The longer side of an overlay at most.
LONGEST = 2048
_STRONGEST = 0.6


def overlay(picture: NDArray[np.uint8], heat: Map) -> NDArray[np.uint8]:
    """`picture` H×W or H×W×3 (RGB) with `heat` h×w in 0–1 over it: H×W×3 RGB. The hotter, the less of the
    picture shows through, never less than four tenths."""
    rgb = np.repeat(picture[:, :, None], 3, axis=2) if picture.ndim == 2 else picture
    height, width = rgb.shape[:2]
    full = np.clip(cv2.resize(heat, (width, height), interpolation=cv2.INTER_LINEAR), 0, 1)
    levels = np.rint(full * 255).astype(np.uint8)
    colour = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    share = (_STRONGEST * np.sqrt(full))[:, :, None]
    return np.asarray(np.rint(rgb * (1 - share) + colour * share), np.uint8)


def write(folder: Path, stem: str, picture: NDArray[np.uint8], heat: Map) -> tuple[Path, Path]:
    """`<stem>.overlay.png` (8-bit RGB, at most `LONGEST` pixels long) and `<stem>.heat.png` (8-bit grey, 0–255
    for 0–1, in the map's own size)."""
    shrink = min(1.0, LONGEST / max(picture.shape[:2]))
    if shrink < 1:
        size = (max(1, round(picture.shape[1] * shrink)), max(1, round(picture.shape[0] * shrink)))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    shown, raw = folder / f"{stem}.overlay.png", folder / f"{stem}.heat.png"
    if not cv2.imwrite(str(shown), cv2.cvtColor(overlay(picture, heat), cv2.COLOR_RGB2BGR)):
        raise OSError(f"{shown.name} could not be written")
    raw.write_bytes(png_of(heat))
    return shown, raw
