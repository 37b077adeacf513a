"""BUSI trees with planted duplicates, and the list of what was planted: the truth that the audit is tried on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from inference.datasets.generated import pictures

Change = Literal["copy", "left-right", "upside down", "half a turn", "crop", "brightness", "all"]
Place = Literal["same class", "other class", "other split"]
CHANGES: tuple[Change, ...] = (
    "copy",
    "left-right",
    "upside down",
    "half a turn",
    "crop",
    "brightness",
    "all",
)
PLACES: tuple[Place, ...] = ("same class", "other class", "other split")
_SIZE = (200, 160)
Gray = NDArray[np.uint8]


@dataclass(frozen=True)
class Planted:
    """`duplicate` shows what `original` shows; both are names as the audit writes them."""

    original: str
    duplicate: str
    change: Change
    place: Place


def busi(root: Path, *, each: int = 2, seed: int = 0) -> list[Planted]:
    """Write a BUSI tree where every change stands in every place `each` times, among as many images that have
    no duplicate. `crop` cuts up to 5 % off each side, `brightness` multiplies by 0.8 to 1.25."""
    rng = np.random.default_rng(seed)
    rows = ["image,class,group,split"]
    planted: list[Planted] = []
    numbers = {"benign": 0, "malignant": 0}

    def add(label: str, pixels: Gray, mask: Gray, group: str, split: str) -> str:
        numbers[label] += 1
        name = f"{label} ({numbers[label]})"
        folder = root / "Dataset_BUSI_with_GT" / label
        pictures.save(folder / f"{name}.png", pixels)
        pictures.save(folder / f"{name}_mask.png", mask)
        rows.append(f"{name}.png,{label},{group},{split}")
        return f"Dataset_BUSI_with_GT/{label}/{name}.png"

    wanted = [(change, place) for change in CHANGES for place in PLACES for _ in range(each)]
    for number, (change, place) in enumerate(wanted):
        label, other = ("benign", "malignant") if number % 2 else ("malignant", "benign")
        pixels, mask = _picture(rng)
        original = add(label, pixels, mask, f"g{number}", "train")
        add(other, *_picture(rng), f"alone-{number}", "train" if number % 3 else "val")
        changed, changed_mask = _changed(pixels, mask, change, rng)
        apart = place == "other split"
        duplicate = add(
            other if place == "other class" else label,
            changed,
            changed_mask,
            f"g{number}-again" if apart else f"g{number}",
            "val" if apart else "train",
        )
        planted.append(Planted(original, duplicate, change, place))
    pictures.text(root / "split.csv", "\n".join(rows) + "\n")
    return planted


def _picture(rng: np.random.Generator) -> tuple[Gray, Gray]:
    """A field that darkens with depth, as ultrasound does, with speckle, layers and one lesion; its mask."""
    width, height = _SIZE
    depth = np.linspace(1.2, 0.6, height)[:, None]
    coarse = np.kron(rng.normal(90, 22, (height // 8, width // 8)), np.ones((8, 8)))
    layers = 15 * np.sin(np.linspace(0, rng.uniform(6, 20), height) + rng.uniform(0, 6))[:, None]
    disc = (rng.uniform(50, 150), rng.uniform(40, 120), rng.uniform(10, 25))
    marked = pictures.inside(width, height, disc)
    field = (coarse + layers) * depth * rng.gamma(12, 1 / 12, (height, width))
    field[marked] *= 0.4
    return np.clip(field, 0, 255).astype(np.uint8), np.where(marked, 255, 0).astype(np.uint8)


def _changed(pixels: Gray, mask: Gray, change: Change, rng: np.random.Generator) -> tuple[Gray, Gray]:
    steps = {"left-right": (1, -1), "upside down": (-1, 1), "half a turn": (-1, -1)}
    down, across = steps.get(change, (1, 1))
    if change == "all":
        down, across = ((1, -1), (-1, 1), (-1, -1))[rng.integers(3)]
    pixels, mask = pixels[::down, ::across], mask[::down, ::across]
    if change in {"crop", "all"}:
        height, width = pixels.shape
        top, bottom = (round(height * share) for share in rng.uniform(0.02, 0.05, 2))
        left, right = (round(width * share) for share in rng.uniform(0.02, 0.05, 2))
        cut = np.s_[top : height - bottom, left : width - right]
        pixels, mask = pixels[cut], mask[cut]
    if change in {"brightness", "all"}:
        factor = rng.choice([0.8, 0.9, 1.1, 1.25])
        pixels = np.clip(pixels * factor, 0, 255).astype(np.uint8)
    return np.ascontiguousarray(pixels), np.ascontiguousarray(mask)
