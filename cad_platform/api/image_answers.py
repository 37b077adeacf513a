"""The shapes of the API's answers about one image. The OpenAPI schema is made from them, as from `api.answers`."""

from __future__ import annotations

import uuid
from typing import Literal

from pydantic import Field

from cad_platform.core.answers import Answer, Box
from cad_platform.studies.addresses import ImageUrls


class RegionAnswer(Answer):
    """A part of an image with a calibration of its own (DICOM PS3.3 C.8.5.5)."""

    box: Box = Field(description="[x0, y0, x1, y1] in stored pixels, far edges exclusive")
    kind: Literal["2d", "m_mode", "doppler", "other"]
    pixel_spacing_row_um: float | None = Field(description="null where lengths mean nothing here")
    pixel_spacing_column_um: float | None


class ImageAnswer(Answer):
    """One image. Images are listed in the order in which they hang; those that are kept aside come last."""

    id: uuid.UUID
    file: str = Field(description="The file's name as posted")
    kind: Literal["dicom", "image", "slide"]
    media_type: str
    size: int
    sha256: str
    sop_instance_uid: str
    sop_instance_uid_minted: bool
    series_instance_uid: str
    roles: list[Literal["hung", "scored", "kept_aside"]] = Field(
        description="hung in the viewer's layouts, read by the models, or kept aside (it can still be opened)"
    )
    kept_aside_reason: str = Field(
        description="Why it does not hang, or is not read by the models; empty else"
    )
    laterality: str = Field(description="The side that counts: L, R or empty")
    side_stop: str = Field(description="Why the side is not sure, until a person confirms it; empty else")
    side_confirmed: bool = Field(description="Whether a person said so")
    view: str = Field(description="The plain abbreviation (CC, MLO, …); as sent where it is not understood")
    view_modifiers: list[str] = Field(description="Of DICOM PS3.16 CID 4015: ID, S, M, RL, …")
    patient_orientation: list[str] = Field(description="Where rows and columns lead; empty where not said")
    presentation_intent: str
    rows: int
    columns: int
    frames: int
    pixel_spacing_um: float | None = Field(description="null wherever one number cannot be true")
    pixel_spacing_row_um: float | None = Field(
        description="From one row to the next (down); null where regions differ"
    )
    pixel_spacing_column_um: float | None = Field(
        description="From one column to the next (to the right); null where regions differ"
    )
    pixel_spacing_source: str
    scale_remarks: list[str] = Field(
        description="Sentences: what of the scale was refused or left open, and why"
    )
    regions: list[RegionAnswer] = Field(description="Of those that overlap the first counts")
    frame_time_ms: float | None = Field(description="How long a frame of a clip is shown")
    focal_planes: list[float] = Field(description="Of a slide: heights in µm")
    urls: ImageUrls


class WindowAnswer(Answer):
    """In the units of the modality transform (PS3.3 C.11.1): after `slope` and `intercept`, or `modality_table`."""

    center: float
    width: float


class TableAnswer(Answer):
    """One entry for each stored value from `first`; values outside take the nearest entry."""

    first: int
    table: str = Field(description="Base64: 8-bit greys, or in `modality_table` 16 bits, little endian")


class OfferedWindowAnswer(Answer):
    """A way of showing the frame that its header names: a window, or a VOI table with the greys that it gives."""

    name: str
    center: float | None
    width: float | None
    function: Literal["LINEAR", "LINEAR_EXACT", "SIGMOID", "LUT"]
    display: TableAnswer | None


class SlideLevelAnswer(Answer):
    width: int
    height: int
    downsample: float


class SlideAnswer(Answer):
    width: int
    height: int
    mpp_x: float | None = Field(description="Micrometres per pixel along a row")
    mpp_y: float | None = Field(description="Micrometres per pixel along a column")
    objective_power: float | None
    tile_size: int
    overlap: int
    levels: list[SlideLevelAnswer]
    focal_planes: list[float] = Field(description="µm above the glass; `?plane=N` of a tile chooses one")
    shown_plane: int = Field(description="The one that is shown where none is asked for")
    optical_paths: list[str] = Field(
        description="Names; `?path=N` of a tile chooses one, the first by default"
    )
    remarks: list[str] = Field(
        description="Sentences: parts that have not arrived; a magnification and a scale that contradict each other"
    )


class ImageMetadata(Answer):
    """What a viewer starts from. All that concerns greys is of the frame that was asked for, and null for colour.

    `display` is how the frame is shown at opening, everything that its header says included: a stored value `v` of
    `pixels?frame=N` is the grey `table[clip(v − first, 0, len(table) − 1)]`, and `rendered?frame=N` is that picture.
    """

    id: uuid.UUID
    kind: Literal["dicom", "image", "slide"]
    sop_instance_uid: str
    file_name: str
    rows: int
    columns: int
    frames: int
    samples: int
    bits_allocated: int
    bits_stored: int
    signed: bool
    photometric: str
    slope: float
    intercept: float
    window: WindowAnswer | None
    window_function: Literal["LINEAR", "LINEAR_EXACT", "SIGMOID", "LUT"] | None = Field(
        description="How `display` uses `window`; of a VOI table it is the range that the table maps"
    )
    min: float | None = Field(description="After the modality transform, padding left out")
    max: float | None
    display: TableAnswer | None
    frames_alike: bool = Field(description="Whether `display` is that of every frame")
    windows: list[OfferedWindowAnswer]
    modality_table: TableAnswer | None = Field(description="In the place of slope and intercept")
    padding: tuple[int, int] | None = Field(description="Stored values that are no picture, both included")
    lossy: bool
    pixel_spacing_um: float | None
    pixel_spacing_source: str
    laterality: str = Field(description="The side that counts: L, R or empty")
    side_unconfirmed: bool = Field(
        description="Something contradicts it, and no person has confirmed it; `side_stop` of the study's answer says "
        "what"
    )
    view: str
    body_part: str
    slide: SlideAnswer | None
    urls: ImageUrls
