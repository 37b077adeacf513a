"""How the histopathology champion is explained: a section by its own map of fields, a photograph field by field."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.champions.explained import Canvas, Explained, Method, Reading, flat
from inference.contract import ImageReference, ModelManifest, NotApplicable
from inference.runtime.geometry import Map, Placement
from inference.runtime.histopathology.pipeline import um_per_px_of
from inference.runtime.histopathology.preprocessing import (
    FIELD_PX,
    MIN_TISSUE,
    field_origins,
    resample,
    tissue_share,
)
from inference.runtime.study import open_image

#: Attributions of a section are made field by field; beyond so many the map says it all in less time.
MOST_FIELDS = 64


def _field(pixels: NDArray[Any]) -> Canvas:
    """The top left field of `pixels` at 4 µm; what the slide's edge cut away is white."""
    field = np.full((FIELD_PX, FIELD_PX, 3), 255, np.uint8)
    part = pixels[:FIELD_PX, :FIELD_PX]
    field[: part.shape[0], : part.shape[1]] = part
    picture = np.zeros((FIELD_PX, FIELD_PX), bool)
    picture[: part.shape[0], : part.shape[1]] = True
    height, width = pixels.shape[:2]
    return Canvas(
        field[None], picture, Placement(width, height, (0, 0, width, height), 1, 1, 0, 0, FIELD_PX, FIELD_PX)
    )


def _every_field(
    image: ImageReference, manifest: ModelManifest, method: Method
) -> tuple[NDArray[np.uint8], Map]:
    """Every field of a photograph by itself; the values have 4 µm per pixel."""
    opened = open_image(image, manifest)
    um_per_px = um_per_px_of(image, opened.found, manifest)
    shown = opened.read().display()
    rgb = shown if shown.ndim == 3 else np.repeat(shown[:, :, None], 3, axis=2)
    small = resample(np.ascontiguousarray(rgb), um_per_px)
    places = [(y, x) for y in field_origins(small.shape[0]) for x in field_origins(small.shape[1])]
    fields = np.stack([small[y : y + FIELD_PX, x : x + FIELD_PX] for y, x in places])
    kept = np.flatnonzero((tissue_share(fields) >= MIN_TISSUE) | (len(places) == 1))
    if len(kept) == 0:
        raise NotApplicable("not analysed: no stained tissue was found in the image")
    if len(kept) > MOST_FIELDS:
        raise NotApplicable(
            f"not explained: {len(kept)} fields of tissue, at most {MOST_FIELDS} are explained one by one; "
            "the method map shows them all"
        )
    values = np.zeros(small.shape[:2], np.float32)
    for index in kept:
        y, x = places[index]
        values[y : y + FIELD_PX, x : x + FIELD_PX] = method(_field(fields[index]))
    return shown, values


EXPLAINED = Explained(
    preprocess=_field,
    reading=Reading(
        lambda outputs: {"idc": flat(outputs["logit"]), "not_idc": -flat(outputs["logit"])}, None, "idc"
    ),
    colour=True,
    field_by_field=_every_field,
)
