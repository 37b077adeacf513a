"""What readers signed of known studies beside what a version said of them, as the table of a reader study.

The platform keeps one report of an examination, signed by one reader: no two readers have read the same case, and no
reader has read one twice. What can be told of that is whether a reader's BI-RADS categories and a version's scores of
the same cases differ in what they see, over readers with cases of their own (cases nested in readers). Who sees more,
with the model or without, cannot: that needs a study that is planned.

Readers and cases are numbered in the table; no name, no patient and no study stands in it.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models.functions import Coalesce, TruncDate
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from cad_platform import modalities
from cad_platform.accounts.models import Site
from cad_platform.core.days import asked_day
from cad_platform.core.errors import FieldError, Invalid
from cad_platform.quality import picking
from cad_platform.quality.facts import specimens_signed
from cad_platform.quality.models import AnalysisFact
from cad_platform.quality.picking import Choice
from cad_platform.quality.truth import SUSPICION
from cad_platform.registry.models import ModelVersion
from cad_platform.reporting import amendments
from cad_platform.reporting import content as contents
from cad_platform.reporting.models import Report

#: Known studies of one table, as many as a request waits for.
MOST = 5_000
#: Cases with the disease, and without, that a reader's area is worth looking at from.
FEWEST = 5
#: What readers had in view when they signed: this version's answer, or no model's.
SHOWN, UNAIDED = "shown", "none"
ANSWERS = {
    SHOWN: gettext_lazy("with this version's answer in view"),
    UNAIDED: gettext_lazy("with no model's answer in view"),
}
#: Why a known study is no case.
LEFT_OUT = {
    "unsigned": gettext_lazy("No report is signed"),
    "open": gettext_lazy("The report leaves the question open (BI-RADS 0)"),
    "knew": gettext_lazy("The reader may have known: BI-RADS 6, or the specimen's report was signed before"),
    "in_view": gettext_lazy("Signed with another answer in view than was asked for"),
    "no_score": gettext_lazy("The version gives no score"),
    "again": gettext_lazy("A further examination of the same patient"),
    "few": gettext_lazy("Signed by a reader with fewer than 5 cases with the disease, or without"),
}
READERS = "BI-RADS"


@dataclass(frozen=True)
class Readings:
    """The table, and what it was made of (`ReaderStudy.source`)."""

    table: str
    source: dict[str, Any]


@dataclass(frozen=True)
class _Reading:
    reader: int
    case: Any
    patient: Any
    signed_at: datetime
    suspicion: int
    score: float
    is_positive: bool
    known_from: str


def are_assessed(modality: str) -> bool:
    """Whether reports of a modality give a BI-RADS category."""
    return modalities.is_registered(modality) and modalities.get(modality).report.has_assessment


def readings(version: ModelVersion, site: Site, choice: Choice, answer: str) -> Readings:
    """The table of a site's known studies that fit a choice.

    Parameters
    ----------
    answer
        `SHOWN` or `UNAIDED`.

    Raises
    ------
    Invalid
        No comparison can be made of them; the sentences say why, with counts.
    """
    if answer not in ANSWERS:
        raise _refused(_("Choose one of the list."), field="answer")
    if not are_assessed(version.modality):
        raise _refused(
            _("Reports of this kind give no BI-RADS category to compare the model with."), field="version"
        )
    known = list(picking.fitting(version, site, choice).only("pk", "patient_id")[: MOST + 1])
    if len(known) > MOST:
        raise _refused(_("More than 5,000 known studies fit: narrow the choice."), field="since")
    taken, left_out = _taken(version, known, answer)
    by_reader: dict[int, list[_Reading]] = {}
    for reading in taken:
        by_reader.setdefault(reading.reader, []).append(reading)
    readers = [own for _, own in sorted(by_reader.items()) if _is_enough(own)]
    kept = [reading for own in readers for reading in own]
    left_out["few"] = len(taken) - len(kept)
    told = {reason: left_out[reason] for reason in LEFT_OUT if left_out[reason]}
    if len(readers) < 2:
        raise _refused(*_too_few(len(known), len(readers), told))
    return Readings(
        _table(version, readers),
        {
            "name": version.name, "version": version.version, "site": site.code, "since": choice.since,
            "until": choice.until, "known_from": choice.source, "answer": answer,
            "signed": _signed(version, site, choice).count(), "known": len(known), "left_out": told,
            "by_source": dict(Counter(reading.known_from for reading in kept)),
        },
    )  # fmt: skip


def left_out_words(told: Mapping[str, int]) -> list[tuple[str, int]]:
    """Why known studies are no cases, in the language in use, and how many each."""
    return [(str(LEFT_OUT[reason]), told[reason]) for reason in LEFT_OUT if reason in told]


def _taken(version: ModelVersion, known: Sequence[Any], answer: str) -> tuple[list[_Reading], Counter[str]]:
    """A reading of each study that is a case, and why the others are none. Of a patient the first that was signed:
    cases are independent."""
    keys = [study.pk for study in known]
    reports = {
        report.study_id: report
        for report in Report.objects.filter(
            study__in=keys, kind=Report.Kind.REPORT, state=Report.State.SIGNED
        )
        .select_related("signature")
        .defer("particulars")
    }
    scores: dict[Any, dict[str, float]] = {}
    facts = AnalysisFact.objects.filter(study__in=keys, model_version=version, score__isnull=False)
    for fact in facts.order_by("ended_at", "pk").only("study", "job", "score"):
        assert fact.score is not None  # by the filter
        scores.setdefault(fact.study_id, {})[str(fact.job_id)] = fact.score
    specimens = specimens_signed({study.patient_id for study in known})
    found: list[_Reading] = []
    left_out: Counter[str] = Counter()
    for study in known:
        signed_before = [at for day, at in specimens.get(study.patient_id, ()) if day >= study.day]
        one = _reading(study, reports.get(study.pk), scores.get(study.pk, {}), signed_before, answer)
        if isinstance(one, str):
            left_out[one] += 1
        else:
            found.append(one)
    first: dict[Any, _Reading] = {}
    for reading in sorted(found, key=lambda one: (one.signed_at, one.case)):
        first.setdefault(reading.patient or reading.case, reading)
    left_out["again"] = len(found) - len(first)
    return list(first.values()), left_out


def _reading(
    study: Any,
    report: Report | None,
    scores: Mapping[str, float],
    specimens: Iterable[datetime],
    answer: str,
) -> _Reading | str:
    """The reading, or why there is none. The report as its signer signed it: an addendum may know more."""
    if report is None:
        return "unsigned"
    at = report.signature.signed_at
    category = amendments.conclusion(contents.parse(report.content))
    if category == "6" or any(signed < at for signed in specimens):
        return "knew"
    if category not in SUSPICION:
        return "open"
    in_view = [job["id"] for job in report.ai_summary.get("jobs", ()) if job.get("has_verdict")]
    if not scores:
        return "no_score"
    told = [scores[job] for job in in_view if job in scores]
    if answer == UNAIDED:
        told = [] if in_view else list(scores.values())
    if not told:
        return "in_view"
    return _Reading(
        report.signature.signer_id, study.pk, study.patient_id, at, SUSPICION.index(category) + 1, told[-1],
        study.positive, study.source,
    )  # fmt: skip


def _is_enough(own: Sequence[_Reading]) -> bool:
    positive = sum(reading.is_positive for reading in own)
    return min(positive, len(own) - positive) >= FEWEST


def _signed(version: ModelVersion, site: Site, choice: Choice) -> Any:
    """The site's signed reports of what the version reads, in the days of the choice, known or not."""
    found = Report.objects.filter(
        study__site=site, study__modality=version.modality, study__withdrawn_at=None,
        kind=Report.Kind.REPORT, state=Report.State.SIGNED,
    ).annotate(day=Coalesce("study__study_date", TruncDate("study__received_at")))  # fmt: skip
    if (since := asked_day(vars(choice), "since")) is not None:
        found = found.filter(day__gte=since)
    if (until := asked_day(vars(choice), "until")) is not None:
        found = found.filter(day__lte=until)
    return found


def _table(version: ModelVersion, readers: Sequence[Sequence[_Reading]]) -> str:
    """As `python -m inference mrmc --nested` reads it; cases in the order of their keys, which are random."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("reader", "modality", "case", "truth", "score"))
    case = 0
    for number, own in enumerate(readers, 1):
        for reading in sorted(own, key=lambda one: str(one.case)):
            case += 1
            for modality, score in ((READERS, reading.suspicion), (str(version), reading.score)):
                writer.writerow((number, modality, case, int(reading.is_positive), score))
    return text.getvalue()


def _too_few(known: int, readers: int, told: Mapping[str, int]) -> list[str]:
    return [
        _(
            "Two readers at least are wanted who each signed 5 known examinations with the disease and 5 without. "
            "Readers: %(readers)d; known studies that fit: %(known)d."
        )
        % {"readers": readers, "known": known},
        *(
            _("%(reason)s: %(count)d") % {"reason": reason, "count": count}
            for reason, count in left_out_words(told)
        ),
    ]


def _refused(*sentences: str, field: str = "") -> Invalid:
    return Invalid(
        _("The reader study was not analysed."), errors=tuple(FieldError(each, field) for each in sentences)
    )
