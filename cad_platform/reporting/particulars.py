"""Whose report it is, of which examination and where it was signed, as it is printed. Frozen with the signature: a
later correction of the patient changes no signed report and can be told."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.utils.translation import get_language

from cad_platform.reporting.models import Report
from cad_platform.studies.models import Study


def particulars_of(study: Study) -> dict[str, Any]:
    """Patient, examination, site, time zone and language as they are now, as plain JSON."""
    site, patient = study.site, study.patient
    return {
        "language": get_language() or "en",
        "site": site.name,
        "time_zone": str(site.zone),
        "patient": None  # a constraint keeps this from happening to a complete study
        if patient is None
        else {
            "name": patient.full_name,
            "patient_id": patient.patient_id,
            "issuer": patient.other_issuer(site),
            "birth_date": _iso(patient.birth_date),
            "birth_date_sent": patient.birth_date_sent,
            "sex": patient.sex,
        },
        "study": {
            "modality": study.modality,
            "procedure": study.procedure,
            "study_date": _iso(study.study_date),
            "accession_number": study.accession_number,
        },
    }


def as_signed(report: Report) -> dict[str, Any]:
    """Those that a report was signed with; of a draft, and of reports signed before 2.3, those of now."""
    return dict(report.particulars) or particulars_of(report.study)


def _iso(value: date | None) -> str | None:
    return value.isoformat() if value else None
