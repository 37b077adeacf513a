"""An image as a network sees it: what an explanation is made of and a check is run on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.contract import ImageReference, ModelManifest
from inference.datasets.pixels import read_gray, read_joined_masks, read_rgb
from inference.datasets.sample import Sample
from inference.runtime.geometry import Gray, Map, Placement
from inference.runtime.histopathology import preprocessing as histopathology
from inference.runtime.mammography import preprocessing as mammography
from inference.runtime.study import grey_values, read_still
from inference.runtime.ultrasound import preprocessing as ultrasound

#: The background of an image is the image blurred by this share of its longer side: masses fill up to half of
#: a frame, and a lesser blur would leave a dark place where one was.
_BLUR = 0.25
#: So strong a blur is made at this resolution.
_COARSE_PX = 64


@dataclass(frozen=True, eq=False)
class Canvas:
    """`tensor` uint8, one image as the network takes it (1×1×H×W, or 1×H×W×3 in colour); `picture` H×W, where
    it shows the image and not padding; `placement`, where it lies in the stored image."""

    tensor: NDArray[np.uint8]
    picture: NDArray[np.bool_]
    placement: Placement


#: Decoded pixels (H×W uint8 or uint16; H×W×3 uint8 in colour) → what the network takes.
Preprocess = Callable[[NDArray[Any]], Canvas]


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


def _frame(pixels: NDArray[Any]) -> Canvas:
    canvas, placement = ultrasound.working_canvas(pixels)
    return Canvas(
        canvas[None, None], _laid(np.ones(pixels.shape, np.uint8), placement, canvas.shape), placement
    )


def _film(pixels: NDArray[Any]) -> Canvas:
    canvas, breast, placement = mammography.working_canvas(pixels)
    return Canvas(canvas[None, None], _laid(breast, placement, canvas.shape), placement)


def _field(pixels: NDArray[Any]) -> Canvas:
    """The top left field of `pixels` at 4 µm; what the slide's edge cut away is white."""
    side = histopathology.FIELD_PX
    field = np.full((side, side, 3), 255, np.uint8)
    part = pixels[:side, :side]
    field[: part.shape[0], : part.shape[1]] = part
    picture = np.zeros((side, side), bool)
    picture[: part.shape[0], : part.shape[1]] = True
    height, width = pixels.shape[:2]
    return Canvas(
        field[None], picture, Placement(width, height, (0, 0, width, height), 1, 1, 0, 0, side, side)
    )


PREPROCESS: dict[str, Preprocess] = {"ultrasound": _frame, "mammography": _film, "histopathology": _field}


def subject_of(model: str, sample: Sample, preprocess: Preprocess | None = None) -> Subject:
    """The sample ready for a check of `model`; `preprocess` replaces the model's own.

    Raises:
        OSError: the file is missing or damaged.
    """
    colour = model == "histopathology"
    pixels = read_rgb(sample.path) if colour else read_gray(sample.path)
    canvas = (preprocess or PREPROCESS[model])(pixels)
    lesion = None
    if sample.masks:
        mask = read_joined_masks(sample.masks, *pixels.shape[:2])
        lesion = _laid(mask, canvas.placement, canvas.picture.shape)
    return Subject(
        sample.id, f"{sample.dataset} {sample.group_id}", canvas, sample.path, sample.label, lesion
    )


def subjects_of(model: str, samples: Sequence[Sample], preprocess: Preprocess | None = None) -> list[Subject]:
    """`subject_of` of each."""
    return [subject_of(model, sample, preprocess) for sample in samples]


def canvas_of_file(image: ImageReference, manifest: ModelManifest) -> tuple[Canvas, NDArray[np.uint8]]:
    """A file that the platform reads (DICOM or picture), and its pixels for display (H×W or H×W×3 uint8).

    Raises:
        ImageUnreadable: the reader's own sentence.
        NotApplicable: a whole slide.
    """
    pixels = read_still(image, manifest)
    values: NDArray[Any] = grey_values(pixels) if manifest.name == "mammography" else pixels.gray()
    return PREPROCESS[manifest.name](values), pixels.display()


def _laid(mask: Gray, placement: Placement, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """A mask of the stored image (any value above 0 is inside) on the canvas of that placement.

    A canvas pixel is inside when half of it is; where nothing reaches half, the fullest pixels are, so that no
    small lesion vanishes.
    """
    x0, y0, x1, y1 = placement.crop
    part: Map = (mask[y0:y1, x0:x1] > 0).astype(np.float32)
    if placement.mirrored:
        part = np.ascontiguousarray(part[:, ::-1])
    small = cv2.resize(part, (placement.width, placement.height), interpolation=cv2.INTER_AREA)
    share = np.zeros(shape[:2], np.float32)
    share[
        placement.top : placement.top + placement.height, placement.left : placement.left + placement.width
    ] = small
    return np.asarray((share >= min(0.5, float(share.max()))) & (share > 0))
