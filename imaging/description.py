"""What a file is, before anybody looks at its pixels: plain, bounded, validated facts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

RULES = 1
"""By which rules files are described. Raised with every change that says something else of a file that is stored
already: the platform then reads those anew."""

Spacing = tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]
"""Micrometres per stored pixel, (x, y)."""


def is_isotropic(spacing: Spacing) -> bool:
    """Whether one number says it: both directions within one per cent."""
    return abs(spacing[0] - spacing[1]) <= 0.01 * min(spacing)


Photometric = Literal["MONOCHROME1", "MONOCHROME2", "RGB"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Window(_Frozen):
    """A value-of-interest window in the units of the modality transform (DICOM PS3.3 C.11.2)."""

    centre: float
    width: float = Field(gt=0)
    function: Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"] = "LINEAR"


class Region(_Frozen):
    """A part of an image with its own calibration (PS3.3 C.8.5.5): stored pixels, far edges exclusive."""

    x0: int
    y0: int
    x1: int
    y1: int
    kind: Literal["2d", "m_mode", "doppler", "other"] = "2d"
    spacing_um: Spacing | None = Field(default=None, description="None where lengths mean nothing here")


class ScaleRemark(_Frozen):
    """Something that a file says of its scale and that is not used, or that leaves the scale open. The words for it are
    the platform's."""

    code: Literal[
        "implausible_spacing",
        "implausible_magnification",
        "correction_unknown",
        "magnification_unknown",
        "frames_differ",
        "region_outside",
    ]
    attribute: str = Field(default="", description="the attribute's keyword")
    value: str = Field(default="", description="as the file has it, in its own unit")


class SideClaim(_Frozen):
    """What one attribute says of the breast's side."""

    source: str = Field(description="the attribute's keyword: ImageLaterality, PatientOrientation, …")
    side: Literal["L", "R", "B"]
    by_convention: bool = Field(
        default=False, description="it follows from how such views are stored, not from geometry or a word"
    )


class ViewClaim(_Frozen):
    """What one attribute says of the view."""

    source: str = Field(description="ViewCodeSequence or ViewPosition")
    view: str


class Concatenation(_Frozen):
    """Which part of an image that was cut into several files this one is (PS3.3 C.7.6.16.2.2.4)."""

    uid: str
    number: int = Field(ge=1, description="In-concatenation Number")
    total: int | None = Field(default=None, ge=1, description="how many parts there are, where it is said")
    offset: int | None = Field(default=None, ge=0, description="frames in the parts before it, where said")
    frames: int = Field(ge=1, description="frames of this part")


class SlidePart(_Frozen):
    """What one file of a whole slide says of itself (PS3.3 C.8.12.4). `imaging.slide_parts` puts them together."""

    role: Literal["volume", "thumbnail", "label", "overview"] = Field(
        description="Image Type value 3; only volumes are levels of a slide"
    )
    tiled: bool = Field(default=True, description="whether its frames say where they lie")
    columns: int = Field(ge=1, description="of the total pixel matrix")
    rows: int = Field(ge=1)
    um_per_px: Spacing | None = None
    resampled: bool = Field(default=False, description="made from a finer level")
    pyramid: str = Field(default="", description="Pyramid UID")
    container: str = Field(default="", description="Container Identifier: the slide's barcode")
    frame_of_reference: str = ""
    focal_planes_um: tuple[float, ...] = Field(
        default=(0.0,), description="heights above the slide's surface"
    )
    optical_paths: tuple[str, ...] = ("",)
    concatenation: Concatenation | None = None


class ImageFacts(_Frozen):
    """What decides how an image hangs, whether it is scored, and how it is measured. Kept with the image as it is."""

    view_modifiers: tuple[str, ...] = Field(
        default=(), description="ACR abbreviations of CID 4015: ID, S, M, …"
    )
    view_claims: tuple[ViewClaim, ...] = Field(
        default=(), description="every attribute that names a view, the most trusted first"
    )
    side_claims: tuple[SideClaim, ...] = Field(
        default=(), description="every attribute that names a side, the most trusted first"
    )
    patient_orientation: tuple[str, ...] = Field(
        default=(), description="where rows and columns lead (0020,0020): ('A', 'R')"
    )
    chest_wall: Literal["left", "right", "top", "bottom"] | None = Field(
        default=None,
        description="the border of the stored pixels where the breast is cut, where it can be seen",
    )
    image_type: tuple[str, ...] = ()
    conversion_type: str = Field(default="", description="of a secondary capture (0008,0064): DF, WSD, …")
    specimen: bool = False
    quality_control: bool = False
    partial_view: bool = False
    partial_view_sections: tuple[str, ...] = Field(default=(), description="Superior, Posterior, …")
    spacing_um: Spacing | None = Field(default=None, description="(x, y); None where one pair cannot be true")
    regions: tuple[Region, ...] = Field(
        default=(), description="with a calibration of their own; of those that overlap the first counts"
    )
    scale_remarks: tuple[ScaleRemark, ...] = Field(
        default=(), description="why there is no scale, or not every scale that the file gives"
    )
    pixel_aspect: float | None = Field(
        default=None, gt=0, description="a pixel's height over its width, where only that is known"
    )
    frame_time_ms: float | None = Field(default=None, gt=0)
    slide_part: SlidePart | None = Field(default=None, description="of a file of a whole slide")
    # Nothing that hangs or is measured: no reason to describe stored files again (`RULES`).
    manufacturer: str = Field(default="", description="of the device (0008,0070), as it is written")
    manufacturer_model: str = Field(default="", description="(0008,1090)")


class AsSent(_Frozen):
    """A value that says who or which, as the header has it, where it is not used, used otherwise, or not written as
    the standard asks."""

    field: str = Field(description="as the API names it: patient.birth_date, study_instance_uid, …")
    sent: str = Field(description="bytes that could not be read are escaped: \\xcd\\xf5")
    used: str | None = Field(default=None, description="None where it could not be used")
    note: str


class DicomHeader(_Frozen):
    """What the platform needs of a DICOM header. Text has no control characters and is at most 256
    characters; dates are ISO (YYYY-MM-DD); a missing or unusable value is None and, where it matters, named
    in `Description.remarks`."""

    patient_id: str | None = None
    patient_name: str | None = Field(
        default=None, description="DICOM person name: components joined by ^, groups by ="
    )
    patient_id_issuer: str | None = None
    patient_birth_date: str | None = None
    patient_sex: Literal["F", "M", "O"] | None = None
    accession_number: str | None = None
    study_instance_uid: str | None = None
    series_instance_uid: str | None = None
    sop_instance_uid: str | None = None
    sop_class_uid: str | None = None
    transfer_syntax_uid: str | None = None
    modality: str | None = None
    laterality: Literal["L", "R", "B"] | None = None
    view_position: str | None = Field(default=None, description="CC, MLO, ML, LM, LMO, SIO, XCCL, …")
    body_part: str | None = None
    presentation_intent: Literal["FOR PRESENTATION", "FOR PROCESSING"] | None = None
    study_date: str | None = None
    study_time: str | None = Field(default=None, description="HH:MM:SS")
    study_description: str | None = None
    series_description: str | None = None
    series_number: int | None = None
    instance_number: int | None = None
    manufacturer: str | None = None
    manufacturer_model: str | None = None
    institution: str | None = None
    burned_in_annotation: bool | None = None
    container_identifier: str | None = Field(default=None, description="slide barcode")
    as_sent: tuple[AsSent, ...] = ()


class SlideLevel(_Frozen):
    """One level of the pyramid. `downsample` is relative to level 0."""

    columns: int
    rows: int
    downsample: float


class SlideGeometry(_Frozen):
    """The pyramid of a whole slide, in one file or in several."""

    vendor: str
    levels: tuple[SlideLevel, ...]
    mpp: Spacing | None = Field(default=None, description="µm per pixel at level 0, (x, y)")
    objective_power: float | None = None
    dzi_levels: int = Field(description="number of DeepZoom levels, 1×1 to full size")
    focal_planes_um: tuple[float, ...] = Field(default=(0.0,), description="from the glass upwards")
    optical_paths: tuple[str, ...] = Field(default=("",), description="their names; the first is shown")
    missing: tuple[str, ...] = Field(default=(), description="sentences: what of the slide is not there")


class Description(_Frozen):
    """What a file is. `rows` and `columns` are those of one frame; level 0 for slides."""

    kind: Literal["dicom", "image", "slide"]
    media_type: str = Field(description="application/dicom, image/png, image/jpeg, image/tiff, …")
    rows: int
    columns: int
    frames: int = 1
    samples: Literal[1, 3]
    bits_stored: int
    photometric: Photometric = Field(description="of the pixels as `read` gives them")
    encoded_photometric: str = Field(description="as the file has it: PALETTE COLOR, YBR_FULL_422, …")
    pixel_spacing_um: Spacing | None = None
    pixel_spacing_source: str | None = Field(
        default=None, description="the attribute or tag it was taken from"
    )
    header: DicomHeader | None = None
    facts: ImageFacts = ImageFacts()
    slide: SlideGeometry | None = None
    remarks: tuple[str, ...] = Field(default=(), description="oddities that did not stop the reading")


class ObjectDescription(_Frozen):
    """A file that shows no picture: what its header says, pixels or not."""

    media_type: str = Field(description="application/dicom, application/pdf")
    header: DicomHeader | None = None
    has_matrix: bool = Field(default=False, description="the header promises rows and columns of pixels")
