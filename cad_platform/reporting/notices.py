"""What is said on top of a signed report of what happened to it since: on the screen, and on every page of the copies
that are fetched from then on."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from django.utils import timezone
from django.utils.translation import gettext as _

from cad_platform.core.punctuation import clauses
from cad_platform.patients.person_name import person_name
from cad_platform.reporting.amendments import Amendment, amendments_of
from cad_platform.reporting.models import Report
from cad_platform.reporting.particulars import as_signed, particulars_of
from cad_platform.reporting.times import moment


def notices_of(report: Report) -> list[str]:
    """Every sentence about a report, the newest amendment first, in the language in use."""
    said = [amended_words(each) for each in reversed(amendments_of(report))]
    corrected = corrected_words(report)
    return [*said, corrected] if corrected else said


def amended_words(amendment: Amendment) -> str:
    """ "Amended on 2026-… by Dr A: BI-RADS 4C → 2"."""
    with timezone.override(ZoneInfo(as_signed(amendment.addendum)["time_zone"])):
        return _("Amended on %(at)s by %(name)s: %(what)s") % {
            "at": moment(amendment.at),
            "name": amendment.by,
            "what": amendment.words,
        }


def corrected_words(report: Report) -> str:
    """What is known otherwise of the patient than the report says; empty where nothing is, and for reports signed
    before 2.3, which do not say whom they were signed for."""
    signed: dict[str, Any] = (report.particulars or {}).get("patient") or {}
    known: dict[str, Any] = particulars_of(report.study)["patient"] or {}
    if not signed or signed == known:
        return ""
    names = {
        "name": _("Patient"),
        "patient_id": _("Patient ID"),
        "issuer": _("Issuer of the patient ID"),
        "birth_date": _("Date of birth"),
        "sex": _("Sex"),
    }
    changed = [
        _("%(field)s: %(before)s → %(after)s")
        % {"field": words, "before": _said(field, signed), "after": _said(field, known)}
        for field, words in names.items()
        if signed.get(field) != known.get(field)
    ]
    if not changed:
        return ""
    return _("The patient's details were corrected after signing: %(what)s") % {"what": clauses(changed)}


def _said(field: str, patient: dict[str, Any]) -> str:
    value = str(patient.get(field) or "")
    return (person_name(value) if field == "name" else value) or "—"
