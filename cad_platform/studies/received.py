"""What a post has become when everything in it agrees: a study, its images, and what is kept aside. Not stored yet."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date

from cad_platform import modalities
from cad_platform.core.errors import FieldError
from cad_platform.patients.services import Demographics
from cad_platform.studies.describing import PostedFile
from cad_platform.studies.post import ImagePart, StudyPost
from imaging.description import Description, DicomHeader, ImageFacts, is_isotropic
from imaging.errors import ImagingError


@dataclass(frozen=True)
class ReceivedImage:
    """One file with what it is and what it is called from now on."""

    file: PostedFile
    place: int
    """In the post, from 0."""
    part: ImagePart
    """What the study part says of it."""
    description: Description
    modality: str
    sop_instance_uid: str
    minted: bool
    series_instance_uid: str
    laterality: str
    view: str
    pixel_spacing_um: float | None
    pixel_spacing_source: str
    facts: ImageFacts

    @property
    def header(self) -> DicomHeader:
        return self.description.header or DicomHeader()


@dataclass(frozen=True)
class ReceivedObject:
    """One file that is no image here, and what it is called; `reason` is a word for programs."""

    file: PostedFile
    place: int
    media_type: str
    header: DicomHeader
    what: str
    reason: str


@dataclass(frozen=True)
class ReceivedStudy:
    """A post in which everything agrees: its images, what is kept aside, and the files that cannot be taken."""

    post: StudyPost
    files: tuple[PostedFile, ...]
    patient_id: str
    demographics: Demographics
    accession_number: str
    procedure: str
    priority: str
    study_instance_uid: str
    uid_given: bool
    study_date: date | None
    images: tuple[ReceivedImage, ...]
    objects: tuple[ReceivedObject, ...]
    refused: dict[int, ImagingError]
    """By place: damaged, unknown, or of another study."""
    differences: tuple[dict[str, str], ...]
    not_as_posted: tuple[FieldError, ...] = ()
    """Where no file is of the modality that the post says: wrong, unless it adds to a study that has such images."""

    @property
    def begins_with_objects(self) -> bool:
        """Whether it may be the beginning of a study whose images are still to come: objects that are no images, and
        name the study themselves. Images of another modality begin nothing."""
        return self.uid_given and any(each.reason == "no_image" for each in self.objects)

    @property
    def modalities(self) -> list[str]:
        """Of its images, in the order of lists."""
        return modalities.in_order({image.modality for image in self.images})


def mint_uid() -> str:
    """A new UID under 2.25 (DICOM PS3.5 B.2)."""
    return f"2.25.{uuid.uuid4().int}"


def one_number(facts: ImageFacts) -> float | None:
    """µm per stored pixel where one number is true of the whole picture: not where pixels are higher than wide, nor
    where regions differ."""
    spacing = facts.spacing_um
    return sum(spacing) / 2 if spacing and is_isotropic(spacing) else None
