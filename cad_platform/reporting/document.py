"""A signed report as a document: plain words in reading order, ready to be typeset. No layout lives here."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from cad_platform import modalities
from cad_platform.accounts.models import Role
from cad_platform.core.punctuation import facts
from cad_platform.patients.models import Sex
from cad_platform.patients.person_name import person_name
from cad_platform.reading.wording import class_words, place_words
from cad_platform.reporting import amendments
from cad_platform.reporting.ai_summary import headings_of, is_reported
from cad_platform.reporting.amendments import Change
from cad_platform.reporting.consistency.wording import stored_sentence
from cad_platform.reporting.content import ReportContent, StudyContent, fields_for, parse, profile_of
from cad_platform.reporting.fields import (
    AssessmentSection,
    ChangeSection,
    DeclaredField,
    FactSection,
    FindingSection,
    Row,
    Section,
)
from cad_platform.reporting.key_images import as_cell
from cad_platform.reporting.kinds.addendum import AddendumContent
from cad_platform.reporting.meanings import meaning_words
from cad_platform.reporting.models import Report, Signature
from cad_platform.reporting.particulars import as_signed
from cad_platform.reporting.record import canonical_record
from cad_platform.reporting.statements import (
    decision_words,
    fainter_words,
    job_statement,
    mark_words,
    rejected_words,
    undecided_words,
)
from cad_platform.reporting.times import moment

Pair = list[str]
#: What a section says, by its kind; one that says none of it is not printed.
_SAYS = ("text", "pairs", "lines", "category", "rows")


def document_of(report: Report, signature: Signature) -> dict[str, Any]:
    """Everything that is printed, as strings in the language in use, and the record that was signed. Times are those of
    the site's clocks."""
    shown = as_signed(report)
    with timezone.override(ZoneInfo(shown["time_zone"])):
        return _composed(report, signature, shown)


def _composed(report: Report, signature: Signature, shown: dict[str, Any]) -> dict[str, Any]:
    content = parse(report.content)
    record = canonical_record(
        report,
        signer=signature.signer,
        printed_name=signature.printed_name,
        role=signature.role,
        meaning=signature.meaning,
        signed_at=signature.signed_at,
    )
    chinese = (get_language() or "").startswith("zh")
    patient, study = patient_pairs(shown["patient"]), study_pairs(shown["study"])
    return {
        "lang": "zh" if chinese else "en",
        "region": "CN" if chinese else "GB",
        "title": _title(report),
        "site": shown["site"],
        "disclaimer": _("Research software. Not a medical device; not for clinical decisions."),
        "page": _("Page {page} of {pages}"),
        "colon": _(": "),
        "head": {"name": patient[0][1] if patient else "—", "facts": [*patient[1:3], study[2]]},
        "patient": patient,
        "study": study,
        "uid": [_("Study Instance UID"), report.study.study_instance_uid],
        "amends": _amends(report),
        "sections": [
            *sections_of(
                content, report.study.modality, headings_of(report.ai_summary), _changes(report, content)
            ),
            *_overrides(report, content.kind),
        ],
        "key_images": _key_images(report, shown.get("key_images", [])),
        "ai": _ai(report.ai_summary),
        "signature": _signature(signature, shown["time_zone"]),
        "hash_label": _("Content hash (SHA-256)"),
        "hash": signature.content_hash,
        "hash_note": _("The hash covers the attached file record.json: the report as it was signed."),
        "record": record.decode(),
    }


def _amends(report: Report) -> str:
    """Which signed report an addendum belongs to; empty for a report."""
    if report.amends is None:
        return ""
    signature = report.amends.signature
    return _("Amends the report signed %(at)s by %(name)s (content hash %(hash)s…)") % {
        "at": moment(signature.signed_at),
        "name": signature.printed_name,
        "hash": report.amends.content_hash[:12],
    }


def _changes(report: Report, content: ReportContent) -> list[Change]:
    if report.amends is None or not isinstance(content, AddendumContent):
        return []
    return amendments.changes(amendments.before(report), content)


def change_rows(found: Iterable[Change]) -> list[dict[str, Any]]:
    """Field, before and after; of a text its words told apart."""
    return [
        {"label": each.label, "before": each.before or "—", "after": each.after or "—", "parts": each.parts}
        for each in found
    ]


def _title(report: Report) -> str:
    title = str(profile_of(report.study.modality).title)
    return _("Addendum to the %(title)s") % {"title": title} if report.amends_id else title


def patient_pairs(patient: dict[str, Any] | None) -> list[Pair]:
    """Name, id, date of birth and sex, in this order."""
    if patient is None:
        return []
    return [
        [_("Patient"), person_name(patient["name"]) or "—"],
        [_("Patient ID"), _identifier(patient)],
        [_("Date of birth"), _born(patient)],
        [_("Sex"), str(Sex(patient["sex"]).label)],
    ]


def _identifier(patient: dict[str, Any]) -> str:
    if not patient["issuer"]:
        return str(patient["patient_id"])
    return _("%(id)s (of %(issuer)s)") % {"id": patient["patient_id"], "issuer": patient["issuer"]}


def _born(patient: dict[str, Any]) -> str:
    if patient["birth_date"] is None and patient["birth_date_sent"]:
        return _("Unknown, sent as “%(sent)s”") % {"sent": patient["birth_date_sent"]}
    return patient["birth_date"] or "—"


def study_pairs(study: dict[str, Any]) -> list[Pair]:
    """What was examined, when, and its accession number, in this order."""
    return [
        [_("Examination"), study["procedure"] or modalities.name_of(study["modality"])],
        [_("Date of examination"), study["study_date"] or "—"],
        [_("Accession number"), study["accession_number"] or "—"],
    ]


def sections_of(
    content: ReportContent,
    modality: str,
    headings: Mapping[uuid.UUID | None, str] | None = None,
    changed: Iterable[Change] = (),
) -> list[dict[str, Any]]:
    """What a content prints, section by section in the order of its document; without what says nothing. `headings` of
    finding lines in the language in use, by the finding; else the record's own is printed. `changed` by an addendum."""
    fields = fields_for(content, modality)
    composed = [
        _change_section(section, changed)
        if isinstance(section, ChangeSection)
        else _section(section, content, [item for item in fields if item.section is section], headings or {})
        for section in type(content).DOCUMENT
    ]
    return [section for section in composed if any(section.get(key) for key in _SAYS)]


def _change_section(section: Section, changed: Iterable[Change]) -> dict[str, Any]:
    return {
        "kind": "changes",
        "title": str(section.title),
        "columns": ["", _("Before"), _("Now")],
        "rows": change_rows(changed),
    }


def _section(
    section: Section,
    content: ReportContent,
    fields: list[DeclaredField],
    headings: Mapping[uuid.UUID | None, str],
) -> dict[str, Any]:
    words = {item.name: item.declaration.words(getattr(content, item.name)) for item in fields}
    title = str(section.title)
    if isinstance(section, FindingSection):
        lines = content.findings if isinstance(content, StudyContent) else []
        said = [
            [headings.get(line.finding, line.heading), line.text.strip()]
            for line in lines
            if line.heading or line.text.strip()
        ]
        return {"kind": "lines", "title": title, "lines": said}
    if isinstance(section, FactSection):
        return {"kind": "pairs", "title": title, "pairs": _rows(content, fields, words)}
    if isinstance(section, AssessmentSection):
        exam = next((item.name for item in fields if item.row is None), "")
        return {
            "kind": "assessment",
            "title": title,
            "category": str(getattr(content, exam, "")),
            "label": words.get(exam, ""),
            "breasts": _rows(content, fields, words),
        }
    return {"kind": "text", "title": title, "text": "\n".join(filter(None, words.values()))}


def _rows(content: ReportContent, fields: list[DeclaredField], words: dict[str, str]) -> list[Pair]:
    """Name and value of each row that says something; fields of the same row are joined."""
    rows: dict[Row, list[str]] = {}
    for item in fields:
        if item.row is not None:
            rows.setdefault(item.row, []).append(words[item.name])
    pairs = [
        [str(row.title), row.words(content) if row.words else facts(filter(None, values))]
        for row, values in rows.items()
    ]
    return [pair for pair in pairs if pair[1]]


def _key_images(report: Report, entries: list[dict[str, Any]]) -> dict[str, Any]:
    """The cut-outs of the findings with their captions; where one could not be drawn, that it could not."""
    captions = headings_of(report.ai_summary)
    findings = sum(is_reported(finding) for finding in report.ai_summary.get("findings", []))
    left_out = findings - len(entries) if entries else 0
    return {
        "title": _("Key images"),
        "cells": [
            as_cell(entry) | {"caption": captions.get(uuid.UUID(entry["finding"]), "") + _frame(entry)}
            for entry in entries
        ],
        "problem": _("The image could not be drawn when the report was signed."),
        "note": _("Key images of the first %(count)d findings; %(left_out)d more stand in the images.")
        % {"count": len(entries), "left_out": left_out}
        if left_out > 0
        else "",
        "alternative": _(
            "Cut out of the image around the finding, and the whole view, with the place of the mark"
        ),
    }


def _frame(entry: dict[str, Any]) -> str:
    return " · " + _("frame %(number)d") % {"number": entry["frame"] + 1} if entry["frame"] else ""


def _overrides(report: Report, kind: str) -> list[dict[str, Any]]:
    """The contradictions that it was signed under, each with the signer's reason."""
    lines = [
        [stored_sentence(each, kind), _("Signed nonetheless: %(reason)s") % {"reason": each["reason"]}]
        for each in report.overrides
    ]
    title = _("Contradictions that the signer answers for")
    return [{"kind": "lines", "title": title, "lines": lines}] if lines else []


def _ai(summary: dict[str, Any]) -> dict[str, Any]:
    """What the models said, what readers made of each mark that became a finding, and in short what became none."""
    rows = [
        [
            str(finding["number"]),
            place_words(finding["image"]["name"]),
            class_words((finding["decision"] or {}).get("label") or finding["label"]),
            mark_words(finding),
            decision_words(finding),
        ]
        for finding in summary.get("findings", [])
        if is_reported(finding)
    ]
    notes = [*rejected_words(summary), undecided_words(summary), fainter_words(summary)]
    return {
        "title": _("What the AI said"),
        "jobs": [job_statement(job) for job in summary.get("jobs", [])],
        "none": _("No model analysed this study."),
        "columns": [_("No."), _("Image"), _("Finding"), _("AI says"), _("Decision of the reader")],
        "rows": rows,
        "notes": [note for note in notes if note],
        "table_title": _("Marks and decisions"),
    }


def _signature(signature: Signature, zone: str) -> dict[str, str]:
    return {
        "title": _("Signed electronically"),
        "name": signature.printed_name,
        "role": str(Role(signature.role).label),
        "professional_id": signature.signer.professional_id,
        "at": moment(signature.signed_at),
        "zone": zone,
        "meaning": meaning_words(signature.meaning),
    }
