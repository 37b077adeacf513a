"""What decides how an image hangs, whether it is scored and how it is measured: the facts of one header.

Every attribute that names a side is kept with its source, the most trusted first, so that whoever sorts the study sees
contradictions; nothing here chooses between them but for the first that speaks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from pydicom.dataset import Dataset

from imaging import orientation
from imaging.description import ImageFacts, SideClaim, ViewClaim
from imaging.dicom_header import functional_groups, groups_with
from imaging.dicom_spacing import Scale, scale_of
from imaging.dicom_values import code_value, integer, items, number, numbers, text
from imaging.dicom_views import MODIFIER_CODES, SPECIMEN_CODES, VIEW_CODES, SpelledView, in_order, spelled

Side = Literal["L", "R", "B"]

_SIDES: dict[str, Side] = {
    "L": "L", "LEFT": "L", "R": "R", "RIGHT": "R", "B": "B", "BOTH": "B", "BILATERAL": "B",
}  # fmt: skip
# CID 244 "Laterality" and the breasts of CID 4013's hierarchy, SNOMED CT and SNOMED RT.
_SIDE_CODES: dict[str, Side] = {
    "7771000": "L", "G-A101": "L", "24028007": "R", "G-A100": "R", "51440002": "B", "G-A102": "B",
    "80248007": "L", "T-04030": "L", "73056007": "R", "T-04020": "R", "63762007": "B", "T-04080": "B",
}  # fmt: skip
#: Codes of the body part that are tissue taken out.
_SPECIMEN_BODY_PARTS = frozenset({"SPECIMEN", "BREAST SPECIMEN"})
#: What people call it where they describe a series.
_SPECIMEN_WORDS = re.compile(r"\bSPECIMENS?\b|\bPRÄPARAT|标本")
_TEXT = 64


@dataclass(frozen=True)
class HeaderFacts:
    """What a header says of its image.

    Attributes
    ----------
    laterality
        By the first attribute that names a side; None where none does.
    view
        The plain abbreviation; as it was sent where it is not understood; None where nothing is said.
    facts
        Everything else.
    remarks
        Contradictions within the header, and what could not be used.
    """

    laterality: Side | None
    view: str | None
    facts: ImageFacts
    scale: Scale
    remarks: tuple[str, ...]


def facts_of(dataset: Dataset) -> HeaderFacts:
    """Read the facts of one image's header. Nothing raises: what cannot be used is left out."""
    scale = scale_of(dataset)
    views = _views(dataset)
    position = text(dataset, "ViewPosition", _TEXT)
    written = spelled(position) if position else None
    claims = _view_claims(views, written)
    view = claims[0].view if claims else (position[:16].upper() if position else None)
    if not claims and written is not None and (written.modifiers or written.specimen):
        view = None  # understood, and it names no projection: "CLEAVAGE", "SPECIMEN"
    modifiers = {name for view_code in views for name in view_code.modifiers}
    if written is not None:
        modifiers |= set(written.modifiers)
    directions = orientation.directions(
        text(dataset, "PatientOrientation", _TEXT) or _frame_orientation(dataset)
    )
    sides = tuple(dict.fromkeys(_side_claims(dataset, written, view or "", directions)))
    image_type = _image_type(dataset)
    facts = ImageFacts(
        view_modifiers=in_order(modifiers),
        view_claims=tuple(claims),
        side_claims=sides,
        patient_orientation=directions,
        image_type=image_type,
        conversion_type=(text(dataset, "ConversionType", 16) or "").upper(),
        specimen=_is_specimen(dataset, views, written, image_type),
        quality_control=_is_quality_control(dataset, image_type),
        partial_view=(text(dataset, "PartialView") or "").upper() == "YES" or "MOSAIC" in modifiers,
        partial_view_sections=tuple(
            meaning
            for item in items(dataset, "PartialViewCodeSequence")[:8]
            if (meaning := text(item, "CodeMeaning", _TEXT))
        ),
        spacing_um=scale.spacing_um,
        regions=scale.regions,
        scale_remarks=scale.remarks,
        pixel_aspect=scale.pixel_aspect,
        frame_time_ms=_frame_time(dataset),
        manufacturer=text(dataset, "Manufacturer", _TEXT) or "",
        manufacturer_model=text(dataset, "ManufacturerModelName", _TEXT) or "",
    )
    remarks = (*_contradictions(claims, sides), *_unfitting(directions, view or ""))
    return HeaderFacts(sides[0].side if sides else None, view, facts, scale, remarks)


# --- view ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _CodedView:
    """One item of a View Code Sequence."""

    source: str
    view: str
    modifiers: tuple[str, ...]
    specimen: bool
    side: Side | None = None


def _views(dataset: Dataset) -> list[_CodedView]:
    """The coded views of the header and of its functional groups (tomosynthesis, PS3.3 C.8.21.3)."""
    found = [_coded(item) for item in items(dataset, "ViewCodeSequence")[:4]]
    for group in functional_groups(dataset):
        found += [_coded(item) for item in items(group, "ViewCodeSequence")[:4]]
        for anatomy in items(group, "BreastXRayPositioningSequence") + items(group, "FrameAnatomySequence"):
            found += [_coded(item) for item in items(anatomy, "ViewCodeSequence")[:4]]
    return found


def _coded(item: Dataset) -> _CodedView:
    """A code that is known, else what its meaning says in words."""
    code = code_value(item)
    modifiers: set[str] = set()
    for modifier in items(item, "ViewModifierCodeSequence")[:8]:
        known = MODIFIER_CODES.get(code_value(modifier))
        said = spelled(text(modifier, "CodeMeaning", _TEXT) or "") if known is None else None
        modifiers |= {known} if known else set(said.modifiers) if said else set()
    if code in VIEW_CODES or code in SPECIMEN_CODES:
        return _CodedView(
            "ViewCodeSequence", VIEW_CODES.get(code, ""), in_order(modifiers), code in SPECIMEN_CODES
        )
    said = spelled(text(item, "CodeMeaning", _TEXT) or "")
    if said is None:
        return _CodedView("ViewCodeSequence", "", in_order(modifiers), False)
    return _CodedView(
        "ViewCodeSequence", said.view, in_order(modifiers | set(said.modifiers)), said.specimen, said.side
    )


def _view_claims(views: list[_CodedView], written: SpelledView | None) -> list[ViewClaim]:
    """View Code Sequence is the mammography objects' own; View Position is what older devices fill."""
    claims = [ViewClaim(source=coded.source, view=coded.view) for coded in views if coded.view]
    if written is not None and written.view:
        claims.append(ViewClaim(source="ViewPosition", view=written.view))
    return list(dict.fromkeys(claims))


# --- side ----------------------------------------------------------------------------------------------


def _side_claims(
    dataset: Dataset, written: SpelledView | None, view: str, directions: tuple[str, ...]
) -> Iterator[SideClaim]:
    for source, side in _stated_sides(dataset):
        yield SideClaim(source=source, side=side)
    if written is not None and written.side:
        yield SideClaim(source="ViewPosition", side=written.side)
    for coded in _views(dataset):
        if coded.side:
            yield SideClaim(source="ViewCodeSequence", side=coded.side)
    oriented = orientation.side_of(directions, view)
    if oriented is not None:
        side, certain = oriented
        yield SideClaim(source="PatientOrientation", side=side, by_convention=not certain)


def _stated_sides(dataset: Dataset) -> Iterator[tuple[str, Side]]:
    """The attributes that exist to name a side, the most trusted first (PS3.3 10.5, C.7.6.16.2.8, C.8.11.2)."""
    anatomies = [
        anatomy
        for group in groups_with(dataset, "FrameAnatomySequence")
        for anatomy in items(group, "FrameAnatomySequence")[:1]
    ]
    for source, places in (
        ("ImageLaterality", [dataset]),
        ("FrameLaterality", [dataset, *anatomies]),
        ("Laterality", [dataset]),
    ):
        for side in dict.fromkeys(_SIDES.get((text(place, source) or "").upper()) for place in places):
            if side:
                yield source, side
    for place in (dataset, *anatomies):
        for region in items(place, "AnatomicRegionSequence")[:4]:
            for code in (region, *items(region, "AnatomicRegionModifierSequence")[:4]):
                if side := _coded_side(code):
                    yield "AnatomicRegionSequence", side


def _coded_side(code: Dataset) -> Side | None:
    """By a code that is known, else by a meaning that begins with the side: "Left", "Right breast"."""
    if known := _SIDE_CODES.get(code_value(code)):
        return known
    return _SIDES.get((text(code, "CodeMeaning", _TEXT) or "").upper().split(" ")[0])


def _frame_orientation(dataset: Dataset) -> str:
    """Patient Orientation in Frame (PS3.3 C.7.6.16.2.15 and the breast projection objects)."""
    for group in functional_groups(dataset):
        for sequence in ("PatientOrientationInFrameSequence", "FrameAnatomySequence"):
            for item in items(group, sequence):
                if found := text(item, "PatientOrientation", _TEXT):
                    return found
    return ""


# --- what kind of image --------------------------------------------------------------------------------


def _image_type(dataset: Dataset) -> tuple[str, ...]:
    values = (text(dataset, "ImageType") or "").upper().split("\\")
    return tuple(value.strip()[:16] for value in values)[:8] if any(values) else ()


def _is_specimen(
    dataset: Dataset, views: list[_CodedView], written: SpelledView | None, image_type: tuple[str, ...]
) -> bool:
    """Tissue that was taken out: a radiograph of it, or a slide, which is one by its nature."""
    body_part = (text(dataset, "BodyPartExamined", 32) or "").upper()
    regions = [code_value(region) for region in items(dataset, "AnatomicRegionSequence")[:4]]
    return (
        any(coded.specimen for coded in views)
        or (written is not None and written.specimen)
        or body_part in _SPECIMEN_BODY_PARTS
        or "SPECIMEN" in image_type
        or any(region in SPECIMEN_CODES for region in regions)
        or bool(items(dataset, "SpecimenDescriptionSequence") or items(dataset, "SpecimenSequence"))
        or any(
            _SPECIMEN_WORDS.search((text(dataset, keyword, _TEXT) or "").upper())
            for keyword in ("SeriesDescription", "ProtocolName")
        )
    )


def _is_quality_control(dataset: Dataset, image_type: tuple[str, ...]) -> bool:
    """An image of a phantom or of nothing, made to test the machine (PS3.3 C.8.11.7, C.7.6.1, CP on calibration)."""
    if "QC" in image_type or "PHANTOM" in ((text(dataset, "BodyPartExamined", 32) or "").upper()).split():
        return True
    return any(
        (text(dataset, keyword) or "").upper() == "YES"
        for keyword in ("QualityControlImage", "CalibrationImage", "QualityControlSubject")
    )


# --- time ----------------------------------------------------------------------------------------------


def _frame_time(dataset: Dataset) -> float | None:
    """Milliseconds for which a frame is shown (PS3.3 C.7.6.5): as recommended for display, else as it was acquired."""
    recommended, rate = number(dataset, "RecommendedDisplayFrameRate"), number(dataset, "CineRate")
    vector = numbers(dataset, "FrameTimeVector")[1:]
    candidates = (
        1000 / recommended if recommended and recommended > 0 else None,
        number(dataset, "FrameTime"),
        sum(vector) / len(vector) if vector else None,
        1000 / rate if rate and rate > 0 else None,
        _frame_interval(dataset),
        number(dataset, "ActualFrameDuration"),
    )
    return next((found for found in candidates if found is not None and 1 <= found <= 60_000), None)


def _frame_interval(dataset: Dataset) -> float | None:
    """The mean time from one frame's acquisition to the next's, in ms (enhanced objects, PS3.3 C.7.6.16.2.2)."""
    if (integer(dataset, "NumberOfFrames") or 1) < 2:
        return None
    contents = [
        content
        for group in items(dataset, "PerFrameFunctionalGroupsSequence")[:200]
        for content in items(group, "FrameContentSequence")[:1]
    ]
    moments = [_seconds(text(content, "FrameAcquisitionDateTime") or "") for content in contents]
    steps = [
        (after - before) * 1000
        for before, after in pairwise(moments)
        if before is not None and after is not None and after > before
    ]
    if steps:
        return sum(steps) / len(steps)
    durations = [
        found for content in contents if (found := number(content, "FrameAcquisitionDuration")) is not None
    ]
    return sum(durations) / len(durations) if durations else None


def _seconds(moment: str) -> float | None:
    """Seconds of the day of a DICOM date and time."""
    clock = moment[8:].split("+")[0].split("-")[0]
    try:
        return int(clock[:2]) * 3600 + int(clock[2:4]) * 60 + float(clock[4:])
    except ValueError:
        return None


# --- contradictions ------------------------------------------------------------------------------------


def _contradictions(views: list[ViewClaim], sides: tuple[SideClaim, ...]) -> Iterator[str]:
    """A sentence for each attribute that says otherwise than the first."""
    for claim in views[1:]:
        if claim.view != views[0].view:
            yield f"{claim.source} says {claim.view}, {views[0].source} {views[0].view}."
    for side in sides[1:]:
        if side.side != sides[0].side:
            yield f"{side.source} says {side.side}, {sides[0].source} {sides[0].side}."


def _unfitting(directions: tuple[str, ...], view: str) -> Iterator[str]:
    if not orientation.fits_view(directions, view):
        yield f"PatientOrientation says {chr(92).join(directions)}, which no {view} view has."
