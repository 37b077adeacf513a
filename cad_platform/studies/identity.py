"""What a study's files say of who and which, where it was not used as it was sent: kept with the study, both values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from cad_platform.patients.models import Patient
from cad_platform.patients.person_name import groups_of, same_name
from cad_platform.studies.models import Study
from imaging.description import DicomHeader

Difference = dict[str, str]
"""`file`, `field`, `header` (the value as sent), `used` and, where there is more to say, `note`."""


def sent_otherwise(file: str, header: DicomHeader, used: Mapping[str, str]) -> list[Difference]:
    """What one header says of who and which, where it is malformed. `used`: what stands for each field; the same where
    it was kept all the same, another UID where it is unusable, nothing where nobody knows."""
    return [
        {
            "file": file,
            "field": each.field,
            "header": each.sent,
            "used": each.used if each.used is not None else used.get(each.field, ""),
            "note": each.note,
        }
        for each in header.as_sent
    ]


def birth_date_as_sent(headers: Iterable[DicomHeader]) -> str:
    """What the first header that has one says in place of a date of birth."""
    return next(
        (each.sent for header in headers for each in header.as_sent if each.field == "patient.birth_date"), ""
    )[:64]


def completed_name(name: str, headers: Iterable[DicomHeader]) -> str:
    """The name with the scripts that only other headers give it in."""
    groups = groups_of(name)
    for header in headers:
        other = groups_of(header.patient_name or "")
        if groups.same_as(other):
            groups = groups.completed_by(other)
    return groups.joined() or name


def against(patient: Patient, file: str, header: DicomHeader) -> list[Difference]:
    """Where a header says something else of the patient than is stored, which is what everybody is shown."""
    born = patient.birth_date.isoformat() if patient.birth_date else ""
    said = (
        ("patient.id", header.patient_id, patient.patient_id),
        ("patient.birth_date", header.patient_birth_date, born),
        ("patient.sex", header.patient_sex, patient.sex),
    )
    found = [
        {"file": file, "field": name, "header": sent, "used": used}
        for name, sent, used in said
        if sent and used and sent != used and not (name == "patient.id" and _is_also(patient, sent))
    ]
    name, stored = header.patient_name, patient.full_name
    if name and stored and not same_name(name, stored):
        found.append({"file": file, "field": "patient.name", "header": name, "used": stored})
    return found


def _is_also(patient: Patient, patient_id: str) -> bool:
    """Whether it is the id of a record that was merged into the patient's."""
    return patient.absorbed.filter(patient_id=patient_id).exists()


def standing(study: Study) -> list[Difference]:
    """The study's differences as they stand: what was taken over of the patient since is none any more."""
    patient = study.patient
    kept = []
    for each in study.header_differences:
        if patient is not None and each["field"] in _OF_PATIENT:
            current = _OF_PATIENT[each["field"]](patient)
            same = same_name if each["field"] == "patient.name" else str.__eq__
            if same(each["header"], current) and "note" not in each:
                continue
            if each["header"] != each["used"]:
                each = {**each, "used": current}
        kept.append(each)
    return kept


_OF_PATIENT: dict[str, Callable[[Patient], str]] = {
    "patient.id": lambda patient: patient.patient_id,
    "patient.name": lambda patient: patient.full_name,
    "patient.birth_date": lambda patient: patient.birth_date.isoformat() if patient.birth_date else "",
    "patient.sex": lambda patient: patient.sex,
}


def without_repeats(differences: Iterable[Difference]) -> list[Difference]:
    """Each once: what is said of a whole study, or kept as it was sent, is not said again for every file."""
    seen: set[tuple[str, ...]] = set()
    kept = []
    for each in differences:
        same = each["header"] == each["used"]
        key = (
            each["field"],
            each.get("note", ""),
            "" if same else each["header"],
            "" if same else each["used"],
        )
        if "note" not in each or key not in seen:
            kept.append(each)
        seen.add(key)
    return kept


def changed_fields(differences: Iterable[Difference]) -> list[str]:
    """The fields in which something else is used than a header says."""
    return sorted({each["field"] for each in differences if each["header"] != each["used"]})
