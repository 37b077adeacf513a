"""What somebody who has a case open must be told: that images still arrive, that the study was changed since the page
was opened, or after its report was signed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from cad_platform import modalities
from cad_platform.patients.models import Sex
from cad_platform.reading.case_state import changed_after_signing
from cad_platform.reading.selectors import CaseRecord
from cad_platform.studies.file_words import note_words
from cad_platform.studies.models import Study, StudyCorrection

#: What a post or a correction may change, in words. Those that say who the patient is, or which side and view an image
#: shows, come first.
_WHO_AND_WHICH: dict[str, Promise] = {
    "patient.id": _("Patient id"),
    "patient.issuer": _("Issuer of the patient id"),
    "patient.name": _("Patient name"),
    "patient.birth_date": _("Date of birth"),
    "patient.sex": _("Sex"),
    "laterality": _("Side"),
    "view": _("View"),
}
_FIELDS: dict[str, Promise] = {
    **_WHO_AND_WHICH,
    "pixel_spacing_um": _("µm per pixel"),
    "accession_number": _("Accession number"),
    "procedure": _("Procedure"),
    "priority": _("Priority"),
    "modality": _("Modality"),
    "kind": _("Kind of image"),
    "roles": _("Use of the image"),
}


@dataclass(frozen=True)
class CaseNews:
    """Attributes
    ----------
    is_arriving
        More of the study may come; it is analysed afterwards.
    was_changed
        The images on the open page are not the study's, or not named as they are now.
    images_after_signing, corrected_after_signing
        What the signed report does not know.
    """

    is_arriving: bool
    was_changed: bool
    images_after_signing: bool
    corrected_after_signing: bool


def opened_with(case: CaseRecord) -> str:
    """Which version of the study a page shows, and how many images of it."""
    return f"{case.study.version}.{len(case.images)}"


def news(case: CaseRecord, opened: str) -> CaseNews:
    """`opened`: what `opened_with` said when the page was opened; empty where that is not known."""
    changed = changed_after_signing(case.study)
    return CaseNews(
        is_arriving=case.study.state == Study.State.RECEIVING and case.study.withdrawn_at is None,
        was_changed=bool(opened) and opened != opened_with(case),
        images_after_signing="images" in changed,
        corrected_after_signing="correction" in changed,
    )


@dataclass(frozen=True)
class ChangeRow:
    """One value that was put right, or that a header says otherwise than it is used."""

    words: str
    file: str
    old: str
    new: str
    note: str = ""


@dataclass(frozen=True)
class CorrectionRow:
    """A correction, or a return after a withdrawal."""

    kind: str
    version: int
    reason: str
    at: datetime
    by: str
    changes: list[ChangeRow]


def _value(field: str, value: str) -> str:
    """A code in words, a dash for nothing; all else as it is."""
    words: str | Promise | None = None
    if field == "patient.sex" and value in Sex.values:
        words = Sex(value).label
    elif field == "priority" and value in Study.Priority.values:
        words = Study.Priority(value).label
    elif field == "modality" and modalities.is_registered(value):
        words = modalities.name_of(value)
    elif field == "laterality":
        words = {"L": _("left"), "R": _("right")}.get(value)
    return str(words or value or "—")


def who_and_which(study: Study) -> list[ChangeRow]:
    """The contradictions between post and headers that concern who the patient is, or which side and view."""
    return [
        ChangeRow(
            str(_WHO_AND_WHICH[each["field"]]),
            each["file"],
            _value(each["field"], each["header"]),
            _value(each["field"], each["used"]),
            note_words(each["note"]) if each.get("note") else "",
        )
        for each in study.header_differences
        if each["field"] in _WHO_AND_WHICH
    ]


def correction_rows(corrections: Iterable[StudyCorrection]) -> list[CorrectionRow]:
    """Each with what it changed, in words."""
    return [
        CorrectionRow(
            kind=str(each.get_kind_display()),
            version=each.version,
            reason=each.reason,
            at=each.at,
            by=each.by.printed_name if each.by else "",
            changes=[
                ChangeRow(
                    str(_FIELDS.get(change["field"], change["field"])),
                    change["file"],
                    _value(change["field"], change["old"]),
                    _value(change["field"], change["new"]),
                )
                for change in each.changes
            ],
        )
        for each in corrections
    ]
