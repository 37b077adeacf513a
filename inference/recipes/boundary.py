"""The border between training and held-out images of a fold: no group, no patient, no file and no look-alike
crosses it.

Look-alikes are found on the pixels that the recipe sees: coarse thumbnails in all eight orientations propose a
few partners for every held-out image, and fine detail, normalised by local contrast (so that brightness and
the common outline of breasts do not count), in small crops of either, confirms them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.datasets.sample import LeakError, Sample, assert_disjoint
from inference.recipes.pictures import Picture

#: Correlation of details from which two images count as copies; see docs/laboratory.md for how it was chosen.
ALIKE = 0.8
_COARSE, _FINE, _PARTNERS = 16, 64, 5
_COARSE_FLOOR = 0.8
#: Crops (top, bottom, left, right margins as shares) under which a copy is still found.
_CROPS = (
    (0.0,) * 4, (0.025,) * 4, (0.05,) * 4,
    (0.0, 0.05, 0.0, 0.05), (0.0, 0.05, 0.05, 0.0), (0.05, 0.0, 0.0, 0.05), (0.05, 0.0, 0.05, 0.0),
)  # fmt: skip
_BLACK = 12
_LEAST_SHOWN = 0.1
Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


def digest(path: Path) -> str:
    """sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def guard(
    train: Sequence[Sample],
    held_out: Sequence[Sample],
    digests: dict[Path, str],
    pictures: dict[Path, Picture] | None = None,
) -> None:
    """
    Raises:
        LeakError: a group, a patient, identical bytes, or (with `pictures`) a look-alike stands on both sides.
    """
    assert_disjoint({"train": train, "held out": held_out})
    owners = {digests[sample.path]: sample for sample in train}
    for sample in held_out:
        twin = owners.get(digests[sample.path])
        if twin is not None:
            raise LeakError(
                f"{sample.path.name} (held out) and {twin.path.name} (train) are the same bytes "
                f"under groups {sample.group_id} and {twin.group_id}"
            )
    if pictures is not None:
        ours = [pictures[sample.path].image for sample in held_out]
        theirs = [pictures[sample.path].image for sample in train]
        for i, j, value in look_alikes(ours, theirs):
            raise LeakError(
                f"{held_out[i].path.name} (held out) and {train[j].path.name} (train) look like copies "
                f"(correlation {value:.2f}); data.near_duplicates: join makes such images one group"
            )


def joined(samples: Sequence[Sample], pictures: dict[Path, Picture]) -> tuple[tuple[Sample, ...], int]:
    """The samples with look-alikes of different groups under one group name, and how many pairs there were."""
    images = [pictures[sample.path].image for sample in samples]
    parent: dict[str, str] = {sample.group_id: sample.group_id for sample in samples}

    def root(group: str) -> str:
        while parent[group] != group:
            group = parent[group]
        return group

    pairs = 0
    for i, j, _ in look_alikes(images, images):
        one, other = root(samples[i].group_id), root(samples[j].group_id)
        if one != other:
            parent[max(one, other)] = min(one, other)
            pairs += 1
    return tuple(replace(sample, group_id=root(sample.group_id)) for sample in samples), pairs


def look_alikes(
    ours: Sequence[NDArray[np.uint8]], theirs: Sequence[NDArray[np.uint8]]
) -> list[tuple[int, int, float]]:
    """Pairs (index in `ours`, index in `theirs`, correlation of details) that are copies of one another.

    With `ours is theirs` each pair comes once and nothing is paired with itself."""
    same = ours is theirs
    if not ours or not theirs:
        return []
    mine = np.stack([_thumbnail(image) for image in ours])
    turned = [
        np.stack([_flat(view) for view in (_turned(_small(image, _COARSE), turn) for image in theirs)])
        for turn in range(8)
    ]
    nearness = np.stack([mine @ view.T for view in turned])  # turns × ours × theirs
    best = nearness.max(axis=0)
    if same:
        best[np.tril_indices(len(ours))] = -1
    found = []
    for i in range(len(ours)):
        partners = np.argsort(-best[i])[:_PARTNERS]
        for j in (int(partner) for partner in partners if best[i, partner] >= _COARSE_FLOOR):
            turns = [turn for turn in range(8) if nearness[turn, i, j] >= _COARSE_FLOOR]
            value = max(_alike(ours[i], _turned(theirs[j], turn)) for turn in turns)
            if value >= ALIKE:
                found.append((i, j, value))
    return found


def _alike(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """The best correlation of details over small crops of either."""
    whole_one, whole_other = _detail(one), _detail(other)
    values = [_correlation(whole_one, _detail(_cropped(other, crop))) for crop in _CROPS]
    values += [_correlation(_detail(_cropped(one, crop)), whole_other) for crop in _CROPS[1:]]
    return max(values)


def _correlation(one: tuple[Floats, Mask], other: tuple[Floats, Mask]) -> float:
    """Of details where both images show something: not over the black around a breast, nor along its outline."""
    shown = one[1] & other[1]
    if shown.sum() < _LEAST_SHOWN * shown.size:
        shown = np.ones_like(shown)
    return float(_flat(one[0][shown]) @ _flat(other[0][shown]))


def _gray(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8) if image.ndim == 3 else image


def _small(image: NDArray[np.uint8], side: int) -> Floats:
    return np.asarray(cv2.resize(_gray(image), (side, side), interpolation=cv2.INTER_AREA), np.float32)


def _flat(values: Floats) -> Floats:
    """As a vector of length 1 around its mean; all zero where there is nothing to see."""
    centred = values.ravel() - values.mean()
    length = float(np.linalg.norm(centred))
    return centred / length if length > 1e-3 else centred * 0


def _thumbnail(image: NDArray[np.uint8]) -> Floats:
    return _flat(_small(image, _COARSE))


def _detail(image: NDArray[np.uint8]) -> tuple[Floats, Mask]:
    """Fine structure over its local strength, and where the image is not black, away from that border."""
    values = _small(image, _FINE)
    fine = values - cv2.GaussianBlur(values, (0, 0), 3)
    strength = np.sqrt(cv2.GaussianBlur(fine * fine, (0, 0), 3) + 4.0)
    shown = cv2.erode((values > _BLACK).astype(np.uint8), np.ones((7, 7), np.uint8), borderValue=1)
    return np.asarray(fine / strength, np.float32), shown > 0


def _turned(image: NDArray[np.generic], turn: int) -> NDArray[np.generic]:
    """One of the eight orientations of an image."""
    view = np.rot90(image, turn % 4)
    return np.ascontiguousarray(view[:, ::-1] if turn >= 4 else view)


def _cropped(image: NDArray[np.uint8], crop: tuple[float, ...]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    top, bottom, left, right = crop
    return image[
        round(top * height) : height - round(bottom * height),
        round(left * width) : width - round(right * width),
    ]
