"""A signed report as a document: plain words in reading order, ready to be typeset. No layout lives here."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from cad_platform import modalities
from cad_platform.accounts.models import Role
from cad_platform.core.templatetags.interface import person_name
from cad_platform.patients.models import Sex
from cad_platform.reading.wording import class_words
from cad_platform.reporting import content as contents
from cad_platform.reporting import vocabulary as words
from cad_platform.reporting.models import Report, Signature
from cad_platform.reporting.record import canonical_record
from cad_platform.reporting.statements import decision_words, job_statement

Pair = list[str]


def document_of(report: Report, signature: Signature) -> dict[str, Any]:
    """Everything that is printed, as strings in the language in use, and the record that was signed."""
    content = contents.parse(report.content)
    record = canonical_record(
        report,
        signer=signature.signer,
        printed_name=signature.printed_name,
        role=signature.role,
        meaning=signature.meaning,
        signed_at=signature.signed_at,
    )
    chinese = (get_language() or "").startswith("zh")
    return {
        "lang": "zh" if chinese else "en",
        "region": "CN" if chinese else "GB",
        "title": _title(report),
        "site": report.study.site.name,
        "disclaimer": _("Research software. Not a medical device; not for clinical decisions."),
        "page": _("Page"),
        "patient": _patient(report),
        "study": _study(report),
        "uid": [_("Study Instance UID"), report.study.study_instance_uid],
        "sections": _sections(content, report.study.modality),
        "ai": _ai(report.ai_summary),
        "signature": _signature(signature),
        "hash_label": _("Content hash (SHA-256)"),
        "hash": signature.content_hash,
        "hash_note": _("The hash covers the attached file record.json: the report as it was signed."),
        "record": record.decode(),
    }


def _title(report: Report) -> str:
    titles = {
        "MG": _("Mammography report"),
        "US": _("Breast ultrasound report"),
        "SM": _("Breast histopathology report"),
    }
    title = titles[report.study.modality]
    return _("Addendum to the %(title)s") % {"title": title} if report.amends_id else title


def _patient(report: Report) -> list[Pair]:
    patient = report.study.patient
    if patient is None:  # a constraint keeps this from happening to a complete study
        return []
    return [
        [_("Patient"), person_name(patient.name) or "—"],
        [_("Patient ID"), patient.patient_id],
        [_("Date of birth"), day(patient.birth_date)],
        [_("Sex"), str(Sex(patient.sex).label)],
    ]


def _study(report: Report) -> list[Pair]:
    study = report.study
    return [
        [_("Examination"), study.procedure or modalities.name_of(study.modality)],
        [_("Date of examination"), day(study.study_date)],
        [_("Accession number"), study.accession_number or "—"],
    ]


def _sections(content: contents.Content, modality: str) -> list[dict[str, Any]]:
    if isinstance(content, contents.AddendumContent):
        sections = [_text(_("Addendum"), content.text)]
        if content.assessment:
            sections.append(_assessment(_("Changed BI-RADS assessment"), content.assessment, []))
        return sections
    if isinstance(content, contents.ImagingContent):
        return _present(_imaging(content, modality))
    return _present(_histopathology(content))


def _imaging(content: contents.ImagingContent, modality: str) -> list[dict[str, Any]]:
    breasts = [
        [str(words.Laterality(side).label), str(words.Assessment(value).label)]
        for side, value in (("R", content.right), ("L", content.left))
        if value
    ]
    return [
        _text(_("Indication"), content.indication),
        _text(_("Comparison"), content.comparison),
        _text(_("Breast density"), label(words.Density, content.density) if modality == "MG" else ""),
        _lines(content.findings),
        _text(_("Impression"), content.impression),
        _assessment(_("BI-RADS assessment"), content.assessment, breasts),
        _text(
            _("Recommendation"),
            "\n".join(
                part
                for part in (
                    label(words.Recommendation, content.recommendation)
                    if content.recommendation != words.Recommendation.OTHER
                    else "",
                    content.recommendation_text,
                )
                if part
            ),
        ),
    ]


def _histopathology(content: contents.HistopathologyContent) -> list[dict[str, Any]]:
    grade, total = content.nottingham_grade, content.nottingham_total
    specimen = [
        [_("Specimen"), label(words.Specimen, content.specimen)],
        [_("Side"), label(words.Laterality, content.laterality)],
        [_("Site"), content.site],
    ]
    tumour = [
        [_("Type"), label(words.InvasiveType, content.invasive_type)],
        [
            _("Nottingham grade"),
            _("%(grade)s (tubules %(tubules)s + nuclei %(nuclei)s + mitoses %(mitoses)s = %(total)s of 9)")
            % {
                "grade": grade,
                "tubules": content.tubules,
                "nuclei": content.nuclei,
                "mitoses": content.mitoses,
                "total": total,
            }
            if grade
            else "",
        ],
        [_("Size"), measure(content.tumour_size_mm, "mm")],
        [_("Lymphovascular invasion"), label(words.Presence, content.lymphovascular_invasion)],
        [
            _("Margins"),
            joined(label(words.Margins, content.margins), measure(content.closest_margin_mm, "mm")),
        ],
        [
            _("Oestrogen receptor"),
            joined(label(words.HormoneReceptor, content.er), measure(content.er_percent, "%")),
        ],
        [
            _("Progesterone receptor"),
            joined(label(words.HormoneReceptor, content.pr), measure(content.pr_percent, "%")),
        ],
        [
            "HER2",
            joined(
                f"IHC {label(words.Her2Ihc, content.her2_ihc)}" if content.her2_ihc else "",
                f"ISH {label(words.Her2Ish, content.her2_ish)}" if content.her2_ish else "",
            ),
        ],
        ["Ki-67", measure(content.ki67_percent, "%")],
    ]
    return [
        _text(_("Clinical details"), content.clinical),
        _pairs(_("Specimen"), specimen),
        _lines(content.findings),
        _text(
            _("Diagnosis"), joined_lines(label(words.Diagnosis, content.diagnosis), content.diagnosis_text)
        ),
        _pairs(_("Tumour"), tumour),
        _text(_("Comment"), content.comment),
    ]


def _ai(summary: dict[str, Any]) -> dict[str, Any]:
    """What the models said and what readers decided of each mark."""
    rows = [
        [
            str(finding["number"]),
            finding["image"]["name"],
            class_words((finding["decision"] or {}).get("label") or finding["label"]),
            "—" if finding["score"] is None else f"{finding['score']:.2f}",
            decision_words(finding),
        ]
        for finding in summary.get("findings", [])
    ]
    return {
        "title": _("What the AI said"),
        "jobs": [job_statement(job) for job in summary.get("jobs", [])],
        "none": _("No model analysed this study."),
        "columns": [_("No."), _("Image"), _("Finding"), _("Score"), _("Decision of the reader")],
        "rows": rows,
        "table_title": _("Marks and decisions"),
    }


def _signature(signature: Signature) -> dict[str, str]:
    return {
        "title": _("Signed electronically"),
        "name": signature.printed_name,
        "role": str(Role(signature.role).label),
        "professional_id": signature.signer.professional_id,
        "at": moment(signature.signed_at),
        "meaning": signature.meaning,
    }


def _text(title: str, text: str) -> dict[str, Any]:
    return {"kind": "text", "title": title, "text": text.strip()}


def _pairs(title: str, pairs: list[Pair]) -> dict[str, Any]:
    return {"kind": "pairs", "title": title, "pairs": [pair for pair in pairs if pair[1]]}


def _lines(lines: list[contents.FindingLine]) -> dict[str, Any]:
    return {
        "kind": "lines",
        "title": _("Findings"),
        "lines": [[line.heading, line.text.strip()] for line in lines if line.heading or line.text.strip()],
    }


def _assessment(title: str, category: str, breasts: list[Pair]) -> dict[str, Any]:
    return {
        "kind": "assessment",
        "title": title,
        "category": category,
        "label": label(words.Assessment, category),
        "breasts": breasts,
    }


def _present(sections: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the sections that say nothing."""
    return [s for s in sections if s.get("text") or s.get("pairs") or s.get("lines") or s.get("category")]


def label(choices: Any, value: str) -> str:
    """The words of a coded value in the language in use; empty for no value."""
    return str(choices(value).label) if value else ""


def joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def joined_lines(*parts: str) -> str:
    return "\n".join(part.strip() for part in parts if part.strip())


def measure(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:g} {unit}"


def day(value: date | None) -> str:
    return value.isoformat() if value else "—"


def moment(value: datetime) -> str:
    """Date and time with the zone, so that it reads the same everywhere."""
    return timezone.localtime(value).strftime("%Y-%m-%d %H:%M:%S %Z")
