"""The facts of a DICOM header as plain, bounded text. Nothing here raises: a value that cannot be used is
None, and one that the platform should hear of leaves a remark."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID

from imaging import dicom_identity
from imaging.description import DicomHeader
from imaging.dicom_values import integer, items, text


def header_of(
    dataset: Dataset, transfer_syntax: UID, charset: str | None = None
) -> tuple[DicomHeader, list[str]]:
    """The facts of the header, and remarks on what is missing or unusable.

    Side and view are said by `imaging.dicom_facts`.

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


#: Frames whose own functional groups are asked: all of a tomosynthesis or a clip.
_MOST_FRAMES = 1_000


def functional_groups(dataset: Dataset) -> Iterator[Dataset]:
    """The shared functional groups and those of the first frame (PS3.3 C.7.6.16)."""
    yield from items(dataset, "SharedFunctionalGroupsSequence")[:1]
    yield from items(dataset, "PerFrameFunctionalGroupsSequence")[:1]


def groups_with(dataset: Dataset, sequence: str) -> list[Dataset]:
    """The functional groups that have a macro: those of the frames, else the shared ones (PS3.3 C.7.6.16.1)."""
    groups = items(dataset, "PerFrameFunctionalGroupsSequence")[:_MOST_FRAMES]
    if not (groups and items(groups[0], sequence)):
        groups = items(dataset, "SharedFunctionalGroupsSequence")[:1]
    return [group for group in groups if items(group, sequence)]


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
