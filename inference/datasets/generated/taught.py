"""Made-up pictures that show their class, for proofs that a method learns.

The trees beside this file have every trap of their set's grammar, and nothing to learn: a disc in noise, whatever the label.
Here the positive class has a larger, rougher, stronger lesion in coarser tissue with more nuclei, so that outlines,
texture, grey values and networks can all see it. The same seed gives the same pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.datasets.generated import pictures
from inference.datasets.sample import HISTOPATHOLOGY, MAMMOGRAPHY, ULTRASOUND, Sample

#: How sure a class's look is of itself, from woman to woman and from image to image.
_BETWEEN, _WITHIN = 0.15, 0.2
_HAEMATOXYLIN, _EOSIN = np.array([0.36, 0.22, 0.55]), np.array([0.93, 0.68, 0.80])


def taught(
    root: Path, classes: Sequence[str], positive: str, size: tuple[int, int], *,
    colour: bool, dark: bool, dataset: str, groups: int, each: int, seed: int,
) -> tuple[Sample, ...]:  # fmt: skip
    """Write `groups` women with `each` images and outlines into `root`, the classes in turn.

    Parameters
    ----------
    size
        Height and width of the pictures.
    colour
        In the tints of haematoxylin and eosin; else grey.
    dark
        Whether a lesion is darker than what is around it.
    dataset
        Whose place the pictures take.
    """
    others = [name for name in classes if name != positive]
    looks = {name: 0.4 * number / max(1, len(others) - 1) for number, name in enumerate(others)}
    looks[positive] = 1.0
    discipline = HISTOPATHOLOGY if colour else ULTRASOUND if dark else MAMMOGRAPHY
    generator = np.random.default_rng(seed)
    made = []
    for group in range(groups):
        label = classes[group % len(classes)]
        woman = looks[label] + generator.normal(0, _BETWEEN)
        for number in range(each):
            look = float(np.clip(woman + generator.normal(0, _WITHIN), -0.2, 1.3))
            grey, outline = _picture(size, look, dark or colour, generator)
            name = f"{group:03d}-{number}.png"
            pictures.save(root / "images" / name, _stained(grey) if colour else grey)
            pictures.save(root / "masks" / name, np.where(outline, 255, 0).astype(np.uint8))
            made.append(
                Sample(
                    id=name,
                    dataset=dataset,
                    discipline=discipline,
                    path=root / "images" / name,
                    group_id=f"woman-{group}",
                    patient_id=f"woman-{group}",
                    label=label,
                    label_binary=label == positive,
                    masks=(root / "masks" / name,),
                )
            )
    return tuple(made)


def _picture(
    size: tuple[int, int], look: float, dark: bool, generator: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    height, width = size
    side = min(height, width)
    y, x = np.mgrid[:height, :width]
    middle = np.array([height, width]) / 2 + generator.uniform(-0.06, 0.06, 2) * side
    angle = np.arctan2(y - middle[0], x - middle[1])
    waves = sum(np.sin(order * angle + generator.uniform(0, 2 * np.pi)) for order in (5, 8))
    radius = side * (0.17 + 0.1 * look + generator.uniform(-0.03, 0.03)) * (1 + 0.12 * look * waves)
    outline = (y - middle[0]) ** 2 + (x - middle[1]) ** 2 <= radius**2
    grain = generator.normal(0, 9 + 14 * max(look, 0), size)
    block = max(2, side // 12)
    low = generator.normal(0, 10, (height // block + 1, width // block + 1))
    tissue = np.kron(low, np.ones((block, block)))[:height, :width] + grain
    sign = -1 if dark else 1
    # gain and light differ from image to image, whatever the label
    gain, light = generator.uniform(0.8, 1.2), generator.uniform(-15, 15)
    values = (165 if dark else 85) + light + gain * (tissue + sign * (55 + 25 * look) * outline)
    for _ in range(int(height * width * (0.003 + 0.008 * max(look, 0)))):  # nuclei, or grains of calcium
        spot = generator.integers(0, (height, width))
        values[spot[0] : spot[0] + 2, spot[1] : spot[1] + 2] += sign * 45
    return np.clip(values, 1, 254).astype(np.uint8), np.asarray(outline)


def _stained(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Dark is haematoxylin, light eosin."""
    share = grey.astype(np.float64)[..., None] / 255
    return np.asarray(255 * (_HAEMATOXYLIN + share * (_EOSIN - _HAEMATOXYLIN)), np.uint8)
