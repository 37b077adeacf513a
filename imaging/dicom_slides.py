"""What a DICOM whole-slide file (VL Whole Slide Microscopy) says of itself: its part in the slide.

A slide is one or several files (`imaging.slide_parts`); nothing here looks for a file's siblings, which in a
content-addressed store would be other people's files.
"""

from __future__ import annotations

from typing import Literal

from pydicom.dataset import Dataset

from imaging import dicom_values
from imaging.description import Concatenation, SlidePart
from imaging.dicom_spacing import scale_of

_SLIDE_STORAGE = "1.2.840.10008.5.1.4.1.1.77.1.6"
_MOST_PLANES = 1_000

Role = Literal["volume", "thumbnail", "label", "overview"]

#: PS3.3 C.8.12.4.1.1, value 3; LOCALIZER and MACRO are what older writers call the overview.
_ROLES: dict[str, Role] = {
    "VOLUME": "volume", "THUMBNAIL": "thumbnail", "LABEL": "label",
    "OVERVIEW": "overview", "LOCALIZER": "overview", "MACRO": "overview",
}  # fmt: skip


def is_whole_slide(header: Dataset) -> bool:
    """Whether the object is a VL Whole Slide Microscopy Image, of whatever role."""
    return dicom_values.text(header, "SOPClassUID") == _SLIDE_STORAGE


def is_tiled(header: Dataset) -> bool:
    """Whether the frames are tiles of one large picture, and say where they lie (PS3.3 C.8.12.4): in rows
    (TILED_FULL), or each by its own position."""
    return (
        is_whole_slide(header)
        and (dicom_values.integer(header, "TotalPixelMatrixColumns") or 0) > 0
        and (dicom_values.integer(header, "TotalPixelMatrixRows") or 0) > 0
        and (is_full(header) or _has_positions(header))
    )


def lacks_positions(header: Dataset) -> bool:
    """Tiles of a slide that do not say where they lie: each can be shown, the slide cannot."""
    return is_whole_slide(header) and not is_tiled(header)


def is_full(header: Dataset) -> bool:
    """Whether every tile is there, row by row; one that is the whole picture needs no place."""
    if (dicom_values.text(header, "DimensionOrganizationType") or "").upper() == "TILED_FULL":
        return True
    frames = dicom_values.integer(header, "NumberOfFrames") or 1
    sides = (("Rows", "TotalPixelMatrixRows"), ("Columns", "TotalPixelMatrixColumns"))
    return (
        frames == 1
        and not _has_positions(header)
        and all(
            (dicom_values.integer(header, tile) or 0) >= (dicom_values.integer(header, whole) or 0) > 0
            for tile, whole in sides
        )
    )


def _has_positions(header: Dataset) -> bool:
    groups = dicom_values.items(header, "PerFrameFunctionalGroupsSequence")[:1]
    return any(dicom_values.items(group, "PlanePositionSlideSequence") for group in groups)


def part_of(header: Dataset, frames: int) -> SlidePart | None:
    """The file's part in its slide; None where it is no whole-slide object.

    Parameters
    ----------
    header
        Its data set.
    frames
        How many frames it has.
    """
    if not is_whole_slide(header):
        return None
    kinds = [value.strip().upper() for value in (dicom_values.text(header, "ImageType") or "").split("\\")]
    columns = dicom_values.integer(header, "TotalPixelMatrixColumns") or 0
    rows = dicom_values.integer(header, "TotalPixelMatrixRows") or 0
    if columns < 1 or rows < 1:
        columns = dicom_values.integer(header, "Columns") or 1
        rows = dicom_values.integer(header, "Rows") or 1
    return SlidePart(
        role=_role(header, kinds),
        tiled=is_tiled(header),
        columns=max(1, columns),
        rows=max(1, rows),
        um_per_px=scale_of(header).spacing_um,
        resampled="RESAMPLED" in kinds,
        pyramid=dicom_values.text(header, "PyramidUID", 64) or "",
        container=dicom_values.text(header, "ContainerIdentifier") or "",
        frame_of_reference=dicom_values.text(header, "FrameOfReferenceUID", 64) or "",
        focal_planes_um=focal_planes_of(header),
        optical_paths=tuple(path_names(header).values()),
        concatenation=_concatenation(header, frames),
    )


def _role(header: Dataset, kinds: list[str]) -> Role:
    """Value 3, or where a writer put it elsewhere any other; without one, a picture of the label is an overview."""
    for kind in (*kinds[2:3], *kinds):
        if kind in _ROLES:
            return _ROLES[kind]
    labelled = (dicom_values.text(header, "SpecimenLabelInImage") or "").upper() == "YES"
    return "overview" if labelled else "volume"


def _concatenation(header: Dataset, frames: int) -> Concatenation | None:
    uid = dicom_values.text(header, "ConcatenationUID", 64)
    number = dicom_values.integer(header, "InConcatenationNumber")
    if not uid or number is None or number < 1:
        return None
    total = dicom_values.integer(header, "InConcatenationTotalNumber")
    offset = dicom_values.integer(header, "ConcatenationFrameOffsetNumber")
    return Concatenation(
        uid=uid,
        number=number,
        total=total if total and total >= number else None,
        offset=offset if offset is not None and offset >= 0 else None,
        frames=max(1, frames),
    )


def path_names(header: Dataset) -> dict[str, str]:
    """Optical path identifiers, in order, and the names that a reader knows them by; one at least."""
    found: dict[str, str] = {}
    for number, path in enumerate(dicom_values.items(header, "OpticalPathSequence")[:_MOST_PLANES], start=1):
        identifier = dicom_values.text(path, "OpticalPathIdentifier", 16) or str(number)
        name = dicom_values.text(path, "OpticalPathDescription", 64) or identifier
        found.setdefault(identifier, name if name not in found.values() else f"{name} ({identifier})")
    return found or {"": ""}


def focal_planes_of(header: Dataset) -> tuple[float, ...]:
    """Heights of the focal planes above the slide's surface, in µm, from low to high.

    Of TILED_FULL they are counted upwards from the origin (PS3.3 C.7.6.17.3); else every frame gives its own.
    """
    if not is_full(header):
        groups = dicom_values.items(header, "PerFrameFunctionalGroupsSequence")
        heights = {height_of(group) for group in groups}
        heights.discard(None)
        if heights:
            return tuple(sorted(height for height in heights if height is not None))[:_MOST_PLANES]
    base = next(
        (
            height
            for origin in dicom_values.items(header, "TotalPixelMatrixOriginSequence")[:1]
            if (height := dicom_values.number(origin, "ZOffsetInSlideCoordinateSystem")) is not None
        ),
        None,
    )
    step = None
    for group in dicom_values.items(header, "SharedFunctionalGroupsSequence")[:1]:
        base = shared if (shared := height_of(group)) is not None else base
        for measures in dicom_values.items(group, "PixelMeasuresSequence")[:1]:
            step = dicom_values.number(measures, "SpacingBetweenSlices")
    if base is None:
        first = dicom_values.items(header, "PerFrameFunctionalGroupsSequence")[:1]
        base = next((height for group in first if (height := height_of(group)) is not None), 0.0)
    count = max(1, dicom_values.integer(header, "TotalPixelMatrixFocalPlanes") or 1)
    # Spacing Between Slices is in mm; planes that do not say how far apart they are get a micrometre each.
    distance = 1.0 if not step else abs(step) * 1000
    return tuple(round(base + number * distance, 3) for number in range(min(count, _MOST_PLANES)))


def height_of(group: Dataset) -> float | None:
    """The focal plane of a functional group, in µm (Z Offset in Slide Coordinate System)."""
    for place in dicom_values.items(group, "PlanePositionSlideSequence")[:1]:
        height = dicom_values.number(place, "ZOffsetInSlideCoordinateSystem")
        return None if height is None else round(height, 3)
    return None


def path_of(group: Dataset) -> str | None:
    """The optical path's identifier in a functional group."""
    for path in dicom_values.items(group, "OpticalPathIdentificationSequence")[:1]:
        return dicom_values.text(path, "OpticalPathIdentifier", 16)
    return None


def objective_power(header: Dataset) -> float | None:
    """The objective's magnification, where one is stated."""
    for path in dicom_values.items(header, "OpticalPathSequence"):
        power = dicom_values.number(path, "ObjectiveLensPower")
        if power and power > 0:
            return power
    return None
