"""What is measured of an analysis, made of the case's own rows: the one place that says so. Made again from the same
rows it is the same, so a message may come twice and a lost one is found by `rollups.verify`."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet

from cad_platform import modalities
from cad_platform.accounts.models import KNOWN_CASES_SITE
from cad_platform.analysis.models import AnalysisJob, Finding
from cad_platform.analysis.reasons import reason_kind
from cad_platform.analysis.verdict import least_score, thresholds_of, verdict_of
from cad_platform.quality import truth
from cad_platform.quality.models import AnalysisFact
from cad_platform.reading.models import FindingDecision
from cad_platform.reporting import amendments
from cad_platform.reporting.models import Report
from cad_platform.studies.models import Instance, Study

#: The operating point at which a model's score counts as a yes.
POINT = "balanced"
#: A specimen speaks of the images that were taken within so long before it.
PATHOLOGY_WITHIN = timedelta(days=365)
_DECADE = 10


@dataclass(frozen=True)
class Signed:
    """What was signed of a study."""

    at: datetime
    conclusion: str
    density: str
    jobs: frozenset[str]
    """What whoever signed had in hand: another version's, or one that came later, was contradicted by nobody."""


def ended_jobs() -> QuerySet[AnalysisJob]:
    """Those that facts are made of: all but the platform's own known cases."""
    return AnalysisJob.objects.filter(state__in=AnalysisJob.ENDED, finished_at__isnull=False).exclude(
        study__site__code=KNOWN_CASES_SITE
    )


def fact_of(job_id: uuid.UUID | str) -> AnalysisFact | None:
    """The fact of a job as its rows are now, unsaved; None where it has not ended, or is none of a patient's."""
    job = (
        ended_jobs()
        .select_related("study__site", "study__patient", "model_version")
        .defer("model_version__card", "model_version__metrics")
        .filter(pk=job_id)
        .first()
    )
    if job is None or job.finished_at is None:
        return None
    study, manifest = job.study, job.model_version.manifest
    verdict = verdict_of(job)
    score = verdict.score if verdict else None
    point = thresholds_of(job).get(POINT)
    positive_class = manifest.get("positive_class", "")
    images = list(Instance.objects.filter(series__study=study, active=True).order_by("number", "pk"))
    vendor, device = device_of(images)
    signed = signed_of(study)
    density = signed.density if signed else ""
    if signed and str(job.pk) not in signed.jobs:
        signed = None
    decisions = _decisions(job) if signed else Counter[str]()
    diagnosis = diagnosis_of(study)
    return AnalysisFact(
        job=job,
        study=study,
        site=study.site,
        model_version=job.model_version,
        modality=job.model_version.modality,
        ended_at=job.finished_at,
        state=job.state,
        reason=reason_kind(job.reason)[:300],
        score=score,
        is_positive=score >= point if score is not None and point is not None else None,
        flags=sorted({str(flag) for flag in (job.result or {}).get("flags", ())}),
        seconds=_seconds(job),
        age_band=age_band(study),
        vendor=vendor,
        device=device,
        density=density,
        sides="".join(sorted({image.laterality for image in images if image.laterality in ("L", "R")})),
        signed_at=signed.at if signed else None,
        conclusion=signed.conclusion if signed else "",
        said_positive=truth.said_positive(positive_class, signed.conclusion) if signed else None,
        proven_positive=truth.proven_positive(positive_class, diagnosis) if diagnosis else None,
        **{verdict: decisions[verdict] for verdict in ("accepted", "edited", "rejected", "undecided")},
    )


def signed_of(study: Study) -> Signed | None:
    """What the study's report says with its addenda; None where none is signed."""
    report = (
        Report.objects.select_related("signature")
        .filter(study=study, kind=Report.Kind.REPORT, state=Report.State.SIGNED)
        .first()
    )
    if report is None:
        return None
    addenda = amendments.addenda_of(report)
    content = amendments.counting(report, addenda)
    return Signed(
        at=report.signature.signed_at,
        conclusion=amendments.conclusion(content),
        density=str(getattr(content, "density", "") or ""),
        jobs=frozenset(job["id"] for each in (report, *addenda) for job in each.ai_summary.get("jobs", ())),
    )


def diagnosis_of(study: Study, side: str = "") -> str:
    """What pathology said after these images were taken, the gravest of what was signed; empty for none. Of a specimen
    its own.

    Parameters
    ----------
    side
        Only of this breast ("L" or "R"), and only where the specimen's report names it.
    """
    found = {
        signed.conclusion
        for specimen in _specimens_of(study, side)
        if (signed := signed_of(specimen)) is not None and signed.conclusion
    }
    return next((each for each in _GRAVEST_FIRST if each in found), "")


def specimens_signed(patients: Collection[Any]) -> dict[Any, list[tuple[date, datetime]]]:
    """Patient → the day of each specimen, and when its report was signed: from then on readers may know."""
    found: dict[Any, list[tuple[date, datetime]]] = {}
    reports = Report.objects.filter(
        kind=Report.Kind.REPORT,
        state=Report.State.SIGNED,
        study__patient__in=patients,
        study__withdrawn_at=None,
        study__modality__in=[
            code for code in modalities.codes() if not modalities.get(code).report.has_assessment
        ],
    )
    for report in reports.select_related("study", "signature").defer("content", "ai_summary", "particulars"):
        found.setdefault(report.study.patient_id, []).append((_day(report.study), report.signature.signed_at))
    return found


def told_by(study: Study) -> Iterator[Study]:
    """The studies whose facts a report of this one speaks of: itself, and where it is a specimen the patient's earlier
    images."""
    yield study
    if not _is_specimen(study) or study.patient_id is None:
        return
    on = _day(study)
    others = Study.objects.filter(patient=study.patient_id, withdrawn_at__isnull=True).exclude(pk=study.pk)
    for other in others.select_related("site"):
        if not _is_specimen(other) and on - PATHOLOGY_WITHIN <= _day(other) <= on:
            yield other


_GRAVEST_FIRST = ("invasive", "in_situ", "atypia", "benign", "normal")


def _is_specimen(study: Study) -> bool:
    return (
        modalities.is_registered(study.modality) and not modalities.get(study.modality).report.has_assessment
    )


def _specimens_of(study: Study, side: str) -> list[Study]:
    if _is_specimen(study):
        return [study]
    on = _day(study)
    others = Study.objects.filter(patient=study.patient_id, withdrawn_at__isnull=True).exclude(pk=study.pk)
    return [
        other
        for other in others
        if _is_specimen(other)
        and on <= _day(other) <= on + PATHOLOGY_WITHIN
        and _sides_meet(study, other, side)
    ]


def _sides_meet(study: Study, specimen: Study, asked: str) -> bool:
    """A specimen of the other breast says nothing of images of one breast; where either says no side it counts, unless
    one breast is asked for."""
    report = Report.objects.filter(study=specimen, kind=Report.Kind.REPORT, state=Report.State.SIGNED).first()
    side = str(report.content.get("laterality") or "") if report else ""
    if asked:
        return side == asked
    of_images = set(
        Instance.objects.filter(series__study=study, active=True)
        .exclude(laterality="")
        .values_list("laterality", flat=True)
    )
    return side not in ("L", "R") or not of_images or side in of_images


def _day(study: Study) -> date:
    return study.study_date or study.received_at.date()


def age_band(study: Study) -> str:
    """The patient's decade when the images were taken; empty where the birth date is not known."""
    born = study.patient.birth_date if study.patient else None
    if born is None:
        return ""
    on = _day(study)
    years = on.year - born.year - ((on.month, on.day) < (born.month, born.day))
    if not 0 <= years <= 120:
        return ""
    if years < 40:
        return "<40"
    if years >= 80:
        return "80+"
    first = years // _DECADE * _DECADE
    return f"{first}–{first + _DECADE - 1}"


def device_of(images: list[Instance]) -> tuple[str, str]:
    """The maker and the model of most of the images."""
    made = Counter(
        (_plain(image.facts.get("manufacturer")), _plain(image.facts.get("manufacturer_model")))
        for image in images
    )
    if not made:
        return "", ""
    # Of several as many the first by name, whatever order the rows come in.
    vendor, model = min(made, key=lambda pair: (-made[pair], pair))
    return vendor[:64], " ".join(part for part in (vendor, model) if part)[:128]


def _plain(text: Any) -> str:
    return " ".join(str(text or "").split())


def _seconds(job: AnalysisJob) -> dict[str, float]:
    """Phase → seconds. `wait` until its last attempt, `total` from request to end, the others within the model."""
    found: dict[str, float] = {}
    if job.finished_at is not None:
        found["total"] = (job.finished_at - job.waiting_since).total_seconds()
    if job.started_at is not None:
        found["wait"] = (job.started_at - job.waiting_since).total_seconds()
    timings = (job.result or {}).get("timings", {})
    for phase in ("decode", "preprocess", "model", "postprocess"):
        if (spent := timings.get(f"{phase}_ms")) is not None:
            found[phase] = spent / 1000
    return {phase: round(max(0.0, spent), 4) for phase, spent in found.items()}


def _decisions(job: AnalysisJob) -> Counter[str]:
    """How many of a model's marks readers made what of; marks that are shown only when asked for count where somebody
    decided on them."""
    level = least_score(job.model_version.manifest, job.study.site.false_marks_per_exam)
    found: Counter[str] = Counter()
    last = dict(
        FindingDecision.objects.filter(finding__job=job)
        .order_by("decided_at", "pk")
        .values_list("finding_id", "verdict")
    )
    for finding in Finding.objects.filter(job=job).filter(Q(score__gte=level) | Q(pk__in=list(last))):
        found[last.get(finding.pk, FindingDecision.Verdict.UNDECIDED)] += 1
    return found
