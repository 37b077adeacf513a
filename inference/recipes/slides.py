"""Fields of whole slides: which places of a slide a recipe learns from, and how one looks from afar and from near.

A slide's pixels are read where they are needed, at the resolution that is asked for, from the level of its pyramid that
is just fine enough (`imaging.slides`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from imaging.errors import ImagingError
from imaging.slides import Slide, open_slide
from inference.blocks.preprocess.stain import tissue_mask
from inference.contract import Point
from inference.datasets.sample import DatasetError, Manifest, Outline, Sample

if TYPE_CHECKING:
    from inference.recipes.schema import Pyramid, Task

#: A field is looked for where so much of its nearest square is tissue; of a positive one so much is outlined.
_TISSUE, _INSIDE = 0.5, 0.5
#: Squares of the overview, of which each is asked for tissue and outlines, are so many pixels wide.
_CELL = 4


def levels(
    path: Path, place: Point, pyramid: Pyramid, side: int, colour: Literal["gray", "rgb"]
) -> NDArray[np.uint8]:
    """The squares around a place, from afar to near, one under another: (levels · side)×side, ×3 in colour. White where
    the slide ends.

    Raises
    ------
    DatasetError
        It is no slide, does not say its scale, or cannot be read.
    """
    try:
        with open_slide(path) as slide:
            nearest = _nearest(slide, pyramid)
            squares = [_square(slide, place, nearest * width, side) for width in pyramid.levels]
    except ImagingError as error:
        raise DatasetError(f"{path.name}: {error}") from None
    strip = np.concatenate(squares)
    return strip if colour == "rgb" else np.asarray(cv2.cvtColor(strip, cv2.COLOR_RGB2GRAY), np.uint8)


def _nearest(slide: Slide, pyramid: Pyramid) -> float:
    """Pixels of level 0 a pixel of the nearest square."""
    assert pyramid.um_per_px is not None
    return slide.downsample_for(pyramid.um_per_px)


def _square(slide: Slide, place: Point, downsample: float, side: int) -> NDArray[np.uint8]:
    half = side * downsample / 2
    x0, y0, x1, y1 = place[0] - half, place[1] - half, place[0] + half, place[1] + half
    inside = (max(0.0, x0), max(0.0, y0), min(float(slide.columns), x1), min(float(slide.rows), y1))
    out = np.full((side, side, 3), 255, np.uint8)
    left, top = round((inside[0] - x0) / downsample), round((inside[1] - y0) / downsample)
    part = slide.read_scaled(downsample, inside)[: side - top, : side - left]
    out[top : top + part.shape[0], left : left + part.shape[1]] = part
    return out


def fields_of(
    manifest: Manifest, pyramid: Pyramid, task: Task, side: int, seed: int
) -> tuple[Manifest, list[str]]:
    """The set with fields in the place of its slides, and what was left out. A slide of which is known that it is
    positive, but not where, has no fields.

    Parameters
    ----------
    side
        Of a field's nearest square, in pixels at the pyramid's resolution.

    Raises
    ------
    DatasetError
        A slide cannot be read, or there is no field of one of the two classes.
    """
    others = [name for name in task.classes if name != task.positive]
    if len(others) != 1:
        raise DatasetError(f"{manifest.dataset}: fields of slides have two classes, not {len(task.classes)}")
    made: list[Sample] = []
    unknown = 0
    for number, slide in enumerate(manifest.samples):
        if slide.label_binary is None or (slide.label_binary and not slide.outlines):
            unknown += 1
            continue
        generator = np.random.default_rng((seed, number))
        made += _fields(slide, pyramid, side, (others[0], task.positive), generator)
    counts = Counter(sample.label for sample in made)
    if missing := sorted(set(task.classes) - set(counts)):
        raise DatasetError(f"{manifest.dataset}: its slides have no field of class {missing[0]}")
    declared = [f"{len(made)} fields of {len(manifest.samples) - unknown} slides"]
    if unknown:
        declared.append(f"{unknown} slides of which nobody says where their tumour is were left out")
    return replace(manifest, samples=tuple(made)), declared


def _fields(
    sample: Sample, pyramid: Pyramid, side: int, classes: tuple[str, str], generator: np.random.Generator
) -> list[Sample]:
    """Of one slide, drawn by chance; half of them of each class where it has both."""
    try:
        with open_slide(sample.path) as slide:
            width = side * _nearest(slide, pyramid)  # of a field, in pixels of level 0
            seen = slide.read_scaled(width / _CELL)
            outlined = _drawn(sample.outlines, seen.shape[:2], width / _CELL)
    except ImagingError as error:
        raise DatasetError(f"{sample.path.name}: {error}") from None
    tissue, tumour = _shares(tissue_mask(seen)), _shares(outlined)
    there = tissue >= _TISSUE
    wanted = {classes[0]: there & (tumour == 0)}
    if sample.label_binary:
        wanted[classes[1]] = there & (tumour >= _INSIDE)
    found = []
    classes_there = sum(bool(cells.any()) for cells in wanted.values())
    for label, cells in wanted.items():
        rows, columns = np.nonzero(cells)
        most = pyramid.fields // max(classes_there, 1)
        for i in sorted(generator.permutation(len(rows))[:most]):
            place = ((columns[i] + 0.5) * width, (rows[i] + 0.5) * width)
            found.append(
                replace(
                    sample,
                    id=f"{sample.id} x{place[0]:.0f} y{place[1]:.0f}",
                    label=label,
                    label_binary=label == classes[1],
                    outlines=(),
                    masks=(),
                    place=place,
                )
            )
    return found


def _shares(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The share of each whole field that the mask of the overview covers."""
    rows, columns = mask.shape[0] // _CELL, mask.shape[1] // _CELL
    cells = mask[: rows * _CELL, : columns * _CELL].reshape(rows, _CELL, columns, _CELL)
    return np.asarray(cells.mean(axis=(1, 3)), np.float64)


def _drawn(outlines: Sequence[Outline], shape: tuple[int, int], downsample: float) -> NDArray[np.bool_]:
    """Outlines at the overview's resolution, holes cut out."""
    drawn = np.zeros(shape, np.uint8)
    for outline in outlines:
        if len(outline.points) >= 3:
            corners = np.round(np.array(outline.points) / downsample - 0.5).astype(np.int32)
            cv2.fillPoly(drawn, [corners], 0 if outline.hole else 1)
    return drawn > 0
