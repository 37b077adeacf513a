"""What the sign dialog shows, and that it is what gets signed: the server signs a report only under the digest of what
the signer has seen of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from django.utils import translation
from django.utils.translation import gettext as _

from cad_platform.reporting import vocabulary as words
from cad_platform.reporting.consistency.case import FIELD_OF, SIDES, Case
from cad_platform.reporting.consistency.rule import Contradiction
from cad_platform.reporting.consistency.wording import sentence
from cad_platform.reporting.document import patient_pairs, study_pairs
from cad_platform.reporting.models import Report
from cad_platform.reporting.particulars import particulars_of

#: The digest is the same in whatever language it is shown.
_DIGEST_LANGUAGE = "en"


@dataclass(frozen=True)
class Category:
    """A BI-RADS category in large type: of what, the category, its words, and what it was before an addendum."""

    of: str
    category: str
    words: str
    before: str = ""


@dataclass(frozen=True)
class Shown:
    """What the signer sees above the password.

    Attributes
    ----------
    patient, study
        Name and value of each line that says who and what it is of.
    categories
        Of each breast and of the exam; empty for histopathology.
    facts
        What else is decided: of histopathology the diagnosis, side and grade.
    recommendation
        In words; empty where none is given.
    """

    patient: list[list[str]]
    study: list[list[str]]
    categories: list[Category]
    facts: list[list[str]]
    recommendation: str


def shown_of(report: Report, case: Case) -> Shown:
    """In the language in use."""
    particulars = particulars_of(report.study)
    return Shown(
        # Whose it is: name, id and date of birth; of which order.
        patient=patient_pairs(particulars["patient"])[:3],
        study=study_pairs(particulars["study"]),
        categories=_categories(case) if case.has_categories else [],
        facts=[] if case.has_categories else _facts(case),
        recommendation=_recommendation(report, case),
    )


def digest_of(report: Report, case: Case, contradictions: list[Contradiction]) -> str:
    """64 hexadecimal digits over everything that the dialog shows, the contradictions among it."""
    with translation.override(_DIGEST_LANGUAGE):
        shown = shown_of(report, case)
        said: dict[str, Any] = {
            "report": str(report.pk),
            "revision": report.revision,
            "patient": shown.patient,
            "study": shown.study,
            "categories": [[each.of, each.category, each.words, each.before] for each in shown.categories],
            "facts": shown.facts,
            "recommendation": shown.recommendation,
            "contradictions": [[each.key, sentence(each, report.content["kind"])] for each in contradictions],
        }
    return hashlib.sha256(json.dumps(said, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _categories(case: Case) -> list[Category]:
    found = []
    names = {"R": _("Right breast"), "L": _("Left breast")}
    for side in SIDES:
        own = case.code(FIELD_OF[side])
        if own or side in case.imaged:
            found.append(_category(names[side], own))
    before = case.code("assessment_before") if case.is_addendum else ""
    exam = case.code("assessment")
    found.append(_category(_("Whole exam"), exam, before if before != exam else ""))
    return found


def _category(of: str, category: str, before: str = "") -> Category:
    label = str(words.Assessment(category).label) if category in words.Assessment.values else ""
    return Category(of, category or "—", label.partition("–")[2].strip() or label, before)


def _facts(case: Case) -> list[list[str]]:
    grade = words.nottingham_grade(
        words.nottingham_total(
            *(
                None if (score := case.number(name)) is None else int(score)
                for name in ("tubules", "nuclei", "mitoses")
            )
        )
    )
    said: list[tuple[str, Any, str]] = [
        (_("Diagnosis"), words.Diagnosis, "diagnosis"),
        (_("Side"), words.Laterality, "laterality"),
        (_("Specimen"), words.Specimen, "specimen"),
        (_("Type of the invasive carcinoma"), words.InvasiveType, "invasive_type"),
    ]
    facts = [
        [label, str(choices(case.code(name)).label)]
        for label, choices, name in said
        if case.code(name) in choices.values
    ]
    return [*facts, [_("Nottingham grade"), str(grade)]] if grade else facts


def _recommendation(report: Report, case: Case) -> str:
    code = case.code("recommendation")
    chosen = str(words.Recommendation(code).label) if code in words.Recommendation.values else ""
    if code == words.Recommendation.OTHER:
        chosen = str(report.content.get("recommendation_text", "")).strip() or chosen
    return chosen
