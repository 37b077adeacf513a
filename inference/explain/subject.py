"""An image as a network sees it: what an explanation is made of and a check is run on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.champions.explained import Canvas, Explained, laid
from inference.champions.registry import explained_as
from inference.contract import ImageReference, ModelManifest
from inference.datasets.pixels import read_gray, read_joined_masks, read_rgb
from inference.datasets.sample import Sample
from inference.runtime.geometry import Map
from inference.runtime.study import grey_values, read_still

#: The background of an image is the image blurred by this share of its longer side: masses fill up to half of
#: a frame, and a lesser blur would leave a dark place where one was.
_BLUR = 0.25
#: So strong a blur is made at this resolution.
_COARSE_PX = 64


@dataclass(frozen=True, eq=False)
class Subject:
    """One image of a check. `label` is the class that the set gives it; `lesion` H×W on the canvas, None where
    the set has no mask."""

    image: str
    group: str
    canvas: Canvas
    path: Path
    label: str
    lesion: NDArray[np.bool_] | None = None


def blurred(canvas: Canvas) -> NDArray[np.uint8]:
    """What stands where a part of the image is taken away: `canvas.tensor` blurred beyond recognition inside its
    picture; same shape. Black would be no absence: a mass in ultrasound is black. Padding does not bleed in."""
    height, width = canvas.picture.shape
    shrink = min(1.0, _COARSE_PX / max(height, width))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    sigma = _BLUR * max(size)

    def coarse(plane: Map) -> Map:
        small = cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.GaussianBlur(small, (0, 0), sigma), np.float32)

    inside = canvas.picture.astype(np.float32)
    weight = np.maximum(coarse(inside), 1e-6)
    planes = planes_of(canvas.tensor)
    smooth = np.empty_like(planes)
    for channel in range(planes.shape[2]):
        mean = coarse(planes[:, :, channel].astype(np.float32) * inside) / weight
        full = cv2.resize(mean, (width, height), interpolation=cv2.INTER_LINEAR)
        smooth[:, :, channel] = np.where(
            canvas.picture, np.clip(np.rint(full), 0, 255), planes[:, :, channel]
        )
    return tensor_of(smooth)


def planes_of(tensor: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The tensor of one image as H×W×channels."""
    image = tensor[0] if tensor.shape[-1] == 3 else tensor[0].transpose(1, 2, 0)
    return np.asarray(image, np.uint8)


def tensor_of(planes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """H×W×channels as the tensor of one image: colour keeps its channels last."""
    return np.ascontiguousarray(planes[None] if planes.shape[2] == 3 else planes.transpose(2, 0, 1)[None])


def subject_of(explained: Explained, sample: Sample) -> Subject:
    """The sample ready for a check of a model that is `explained` so.

    Raises
    ------
    OSError
        The file is missing or damaged.
    """
    pixels = read_rgb(sample.path) if explained.colour else read_gray(sample.path)
    canvas = explained.preprocess(pixels)
    lesion = None
    if sample.masks:
        mask = read_joined_masks(sample.masks, *pixels.shape[:2])
        lesion = laid(mask, canvas.placement, canvas.picture.shape)
    return Subject(
        sample.id, f"{sample.dataset} {sample.group_id}", canvas, sample.path, sample.label, lesion
    )


def subjects_of(explained: Explained, samples: Sequence[Sample]) -> list[Subject]:
    """`subject_of` of each."""
    return [subject_of(explained, sample) for sample in samples]


def canvas_of_file(image: ImageReference, manifest: ModelManifest) -> tuple[Canvas, NDArray[np.uint8]]:
    """A file that the platform reads (DICOM or picture), and its pixels for display (H×W or H×W×3 uint8).

    Raises
    ------
    ImageUnreadable
        The reader's own sentence.
    NotApplicable
        A whole slide.
    """
    pixels = read_still(image, manifest)
    own = explained_as(manifest)
    values: NDArray[Any] = grey_values(pixels) if own.stored_depth else pixels.gray()
    return own.preprocess(values), pixels.display()
