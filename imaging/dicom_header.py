"""The facts of a DICOM header as plain, bounded text. Nothing here raises: a value that cannot be used is
None, and one that the platform should hear of leaves a remark."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any, Literal

from pydicom.dataset import Dataset
from pydicom.uid import UID

from imaging import dicom_identity
from imaging.description import DicomHeader, Spacing, Window
from imaging.dicom_values import integer, items, number, numbers, text

# DICOM PS3.16 CID 4014, SNOMED CT and the older SNOMED-RT codes.
_VIEWS = {
    "399162004": "CC", "R-10242": "CC",
    "399368009": "MLO", "R-10226": "MLO",
    "399260004": "ML", "R-10224": "ML",
    "399352003": "LM", "R-10228": "LM",
    "399099002": "LMO", "R-10230": "LMO",
    "399196006": "FB", "R-10244": "FB",
    "399188001": "SIO", "R-102D0": "SIO",
    "441555000": "ISO", "R-40AAA": "ISO",
    "399192008": "XCCL", "Y-X1771": "XCCL",
    "399101009": "XCCM", "Y-X1772": "XCCM",
}  # fmt: skip
_SIDES: dict[str, Literal["L", "R", "B"]] = {
    "L": "L", "LEFT": "L", "R": "R", "RIGHT": "R", "B": "B", "BOTH": "B",
    "80248007": "L", "73056007": "R", "63762007": "B",
}  # fmt: skip


def header_of(
    dataset: Dataset, transfer_syntax: UID, charset: str | None = None
) -> tuple[DicomHeader, list[str]]:
    """The facts of the header, and remarks on what is missing or unusable.

    Side and view come from where the object at hand keeps them: Image Laterality, Laterality, functional groups or
    anatomic region modifiers (PS3.3 10.5, C.7.6.16.2.8); View Code Sequence (CID 4014), else View Position.

    `charset` is the site's default character set, for a header that names none.
    """
    who = dicom_identity.Identity(dataset, charset)
    header = DicomHeader(
        patient_id=who.identifier("PatientID", "patient.id"),
        patient_id_issuer=who.issuer(),
        patient_name=who.person_name(),
        patient_birth_date=who.birth_date(),
        patient_sex=_one_of(dataset, "PatientSex", ("F", "M", "O")),
        accession_number=who.identifier("AccessionNumber", "accession_number"),
        study_instance_uid=who.uid("StudyInstanceUID", "study_instance_uid"),
        series_instance_uid=who.uid("SeriesInstanceUID", "series_instance_uid"),
        sop_instance_uid=who.uid("SOPInstanceUID", "sop_instance_uid"),
        sop_class_uid=who.uid("SOPClassUID", "sop_class_uid"),
        transfer_syntax_uid=str(transfer_syntax),
        modality=text(dataset, "Modality", 16),
        laterality=_laterality(dataset),
        view_position=_view(dataset),
        body_part=text(dataset, "BodyPartExamined", 32),
        presentation_intent=_one_of(
            dataset, "PresentationIntentType", ("FOR PRESENTATION", "FOR PROCESSING")
        ),
        study_date=who.study_date(),
        study_time=_time(dataset, "StudyTime"),
        study_description=text(dataset, "StudyDescription"),
        series_description=text(dataset, "SeriesDescription"),
        series_number=integer(dataset, "SeriesNumber"),
        instance_number=integer(dataset, "InstanceNumber"),
        manufacturer=text(dataset, "Manufacturer"),
        manufacturer_model=text(dataset, "ManufacturerModelName"),
        institution=text(dataset, "InstitutionName"),
        burned_in_annotation={"YES": True, "NO": False}.get(text(dataset, "BurnedInAnnotation") or ""),
        container_identifier=text(dataset, "ContainerIdentifier"),
        as_sent=tuple(who.as_sent),
    )
    return header, who.remarks


def window_of(dataset: Dataset) -> Window | None:
    """The first window (PS3.3 C.11.2), moved from rescaled units (C.11.1) to stored ones; None without a usable one."""
    centre, width = number(dataset, "WindowCenter"), number(dataset, "WindowWidth")
    for group in functional_groups(dataset):
        if centre is not None and width is not None:
            break
        for voi in items(group, "FrameVOILUTSequence"):
            centre, width = number(voi, "WindowCenter"), number(voi, "WindowWidth")
    if centre is None or width is None or not 0 < width < 1e9 or abs(centre) > 1e9:
        return None
    slope, intercept = number(dataset, "RescaleSlope") or 1.0, number(dataset, "RescaleIntercept") or 0.0
    function: Any = _one_of(dataset, "VOILUTFunction", ("LINEAR", "LINEAR_EXACT", "SIGMOID")) or "LINEAR"
    return Window(centre=(centre - intercept) / slope, width=width / abs(slope), function=function)


def spacing_of(dataset: Dataset) -> tuple[Spacing | None, str | None]:
    """Micrometres per stored pixel (x, y) and the attribute that says so.

    Calibrated spacing comes first, then the spacing at the imager (PS3.3 10.7; divided by the magnification where
    that is known), ultrasound regions (C.8.5.5), and for slides the functional groups (C.7.6.16.2.1) or the imaged
    volume (C.8.12.4). (None, None) where the file does not say.
    """
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        magnification = 1.0
        if keyword == "ImagerPixelSpacing":
            magnification = number(dataset, "EstimatedRadiographicMagnificationFactor") or 1.0
        found = _millimetres(numbers(dataset, keyword), magnification)
        if found:
            return found, keyword
    for group in functional_groups(dataset):
        for measures in items(group, "PixelMeasuresSequence"):
            found = _millimetres(numbers(measures, "PixelSpacing"))
            if found:
                return found, "PixelMeasuresSequence"
    found = _ultrasound_spacing(dataset)
    if found:
        return found, "SequenceOfUltrasoundRegions"
    width, height = number(dataset, "ImagedVolumeWidth"), number(dataset, "ImagedVolumeHeight")
    columns, rows = integer(dataset, "TotalPixelMatrixColumns"), integer(dataset, "TotalPixelMatrixRows")
    if width and height and columns and rows:
        found = _millimetres([height / rows, width / columns])
        # A slide's pixels are square; a volume that says otherwise was not measured.
        if found and 0.9 < found[0] / found[1] < 1.1:
            return found, "ImagedVolumeWidth"
    return None, None


def functional_groups(dataset: Dataset) -> Iterator[Dataset]:
    """The shared functional groups and those of the first frame (PS3.3 C.7.6.16)."""
    yield from items(dataset, "SharedFunctionalGroupsSequence")[:1]
    yield from items(dataset, "PerFrameFunctionalGroupsSequence")[:1]


def _millimetres(values: list[float], magnification: float = 1.0) -> Spacing | None:
    """(row spacing, column spacing) in mm to (x, y) in µm, None where no image could have it."""
    if len(values) != 2 or magnification <= 0:
        return None
    y, x = (value * 1000 / magnification for value in values)
    return (x, y) if 0.01 <= x <= 10_000 and 0.01 <= y <= 10_000 else None


def _ultrasound_spacing(dataset: Dataset) -> Spacing | None:
    best: tuple[float, Spacing] | None = None
    for region in items(dataset, "SequenceOfUltrasoundRegions"):
        # Both axes in centimetres (PS3.3 C.8.5.5.1.15): the two-dimensional picture, not a Doppler trace.
        if integer(region, "PhysicalUnitsXDirection") != 3 or integer(region, "PhysicalUnitsYDirection") != 3:
            continue
        dx, dy = number(region, "PhysicalDeltaX"), number(region, "PhysicalDeltaY")
        found = _millimetres([abs(dy) * 10, abs(dx) * 10]) if dx and dy else None
        corners = [
            number(region, f"RegionLocation{name}") or 0.0 for name in ("MinX0", "MaxX1", "MinY0", "MaxY1")
        ]
        area = (corners[1] - corners[0]) * (corners[3] - corners[2])
        if found and (best is None or area > best[0]):
            best = area, found
    return best[1] if best else None


def _one_of(dataset: Dataset, keyword: str, allowed: tuple[str, ...]) -> Any:
    value = (text(dataset, keyword) or "").upper()
    return value if value in allowed else None


def _time(dataset: Dataset, keyword: str) -> str | None:
    digits = (text(dataset, keyword) or "").replace(":", "")[:6].split(".")[0].ljust(6, "0")
    try:
        return (
            datetime.datetime.strptime(digits, "%H%M%S").time().isoformat()
            if text(dataset, keyword)
            else None
        )
    except ValueError:
        return None


def _laterality(dataset: Dataset) -> Literal["L", "R", "B"] | None:
    for keyword in ("ImageLaterality", "Laterality", "FrameLaterality"):
        side = _SIDES.get((text(dataset, keyword) or "").upper())
        if side:
            return side
    for group in functional_groups(dataset):
        for anatomy in items(group, "FrameAnatomySequence"):
            side = _SIDES.get((text(anatomy, "FrameLaterality") or "").upper())
            if side:
                return side
    for region in items(dataset, "AnatomicRegionSequence"):
        for modifier in items(region, "AnatomicRegionModifierSequence"):
            side = _SIDES.get(text(modifier, "CodeValue") or "")
            if side:
                return side
    return None


def _view(dataset: Dataset) -> str | None:
    """View Code Sequence is the mammography objects' own; View Position is what older devices fill."""
    for code in items(dataset, "ViewCodeSequence"):
        view = _VIEWS.get(text(code, "CodeValue") or "")
        if view:
            return view
    position = text(dataset, "ViewPosition", 16)
    return position.upper() if position else None
