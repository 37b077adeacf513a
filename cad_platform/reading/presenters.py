"""What the worklist shows, made from rows; no HTTP, no queries."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

from django.urls import reverse
from django.utils.translation import gettext as _

from cad_platform import modalities
from cad_platform.analysis.models import AnalysisJob
from cad_platform.analysis.reasons import reason_words
from cad_platform.analysis.verdict import thresholds_of, verdict_of
from cad_platform.reading import wording
from cad_platform.reading.case_state import is_in_use
from cad_platform.reading.models import ReportStanding
from cad_platform.reading.states import ReadingState
from cad_platform.reading.worklist import WorklistPage
from cad_platform.studies.models import Study

State = AnalysisJob.State

_STATE_TONES = {
    ReadingState.READY: "accent",
    ReadingState.SIGNED: "good",
    ReadingState.CHANGED: "warn",
    ReadingState.QUARANTINED: "warn",
    ReadingState.WITHDRAWN: "warn",
}


@dataclass(frozen=True)
class AiCell:
    """What one model says of a study, or why it says nothing. `kind`: score, busy, withheld, none, failed. `stands_in`:
    the version, where it is an earlier one than that in use."""

    kind: str
    words: str
    detail: str = ""
    tone: str = "plain"
    score: wording.Score | None = None
    flags: list[wording.Flag] = field(default_factory=list)
    stands_in: str = ""


@dataclass(frozen=True)
class WorklistRow:
    uid: str
    url: str
    patient_name: str
    patient_id: str
    issuer: str
    sex: str
    age: int | None
    modality: str
    modality_name: str
    procedure: str
    accession_number: str
    state: str
    state_words: str
    state_tone: str
    category: str
    is_amended: bool
    priority: str
    priority_words: str
    waiting: timedelta | None
    received_at: datetime
    ai: list[AiCell]


def age_at(birth_date: date | None, on: date) -> int | None:
    """Completed years; none for an unknown or future birth date."""
    if birth_date is None or birth_date > on:
        return None
    return on.year - birth_date.year - ((on.month, on.day) < (birth_date.month, birth_date.day))


def ai_cell(job: AnalysisJob, modality: str) -> AiCell:
    """A job that counts in words. Failed and not analysed are said as such: neither is "no finding"."""
    return replace(job_words(job, modality), stands_in="" if is_in_use(job) else job.model_version.version)


def job_words(job: AnalysisJob, modality: str) -> AiCell:
    """Any job in words, whether it counts or not."""
    if job.state == State.REQUESTED:
        again = (
            _("Waiting for another try: %(reason)s") % {"reason": reason_words(job.reason)}
            if job.reason
            else ""
        )
        return AiCell("busy", _("Waiting for the model"), detail=again)
    if job.state == State.RUNNING:
        return AiCell("busy", _("Running"))
    if job.state == State.FAILED:
        return AiCell("failed", _("Analysis failed"), detail=reason_words(job.reason), tone="danger")
    if job.state == State.NOT_APPLICABLE:
        return AiCell("none", _("Not analysed"), detail=reason_words(job.reason), tone="warn")
    if job.state == State.CANCELLED:
        return AiCell("none", _("Cancelled"), detail=reason_words(job.reason))
    verdict = verdict_of(job)
    assert verdict is not None  # it succeeded
    if not verdict.is_given:
        return AiCell("withheld", _("No verdict"), detail=wording.flag("out_of_distribution").explanation)
    flags = wording.flags_of(verdict)
    if verdict.score is None:
        return AiCell("score", _("Analysed"), flags=flags)
    manifest = job.model_version.manifest
    positive = manifest.get("positive_class", "")
    score = wording.score(verdict.score, thresholds_of(job), modality, of=positive)
    return AiCell("score", score.words, detail=score.meaning, tone=score.tone, score=score, flags=flags)


def without_job(awaits_job: bool) -> AiCell:
    """A complete study for which no model has been asked: it soon is, where there is one."""
    if awaits_job:
        return AiCell("busy", _("Waiting for the model"))
    return AiCell("none", _("Not analysed"), detail=_("No model is in use for this kind of study."))


def worklist_row(study: Study, now: datetime) -> WorklistRow:
    """One row; `study` as `reading.worklist` annotates it."""
    patient = study.patient
    state = ReadingState(study.reading_state)  # type: ignore[attr-defined]
    cells = [ai_cell(job, job.model_version.modality) for job in study.current_jobs]  # type: ignore[attr-defined]
    if not cells and study.state == Study.State.COMPLETE:
        cells = [without_job(study.awaits_job)]  # type: ignore[attr-defined]
    standing: ReportStanding | None = getattr(study, "report_standing", None)
    waits = state not in {ReadingState.SIGNED, ReadingState.WITHDRAWN, ReadingState.QUARANTINED}
    return WorklistRow(
        uid=study.study_instance_uid,
        url=reverse("case", args=[study.study_instance_uid]),
        patient_name=patient.full_name if patient else "",
        patient_id=patient.patient_id if patient else "",
        issuer=patient.other_issuer(study.site) if patient else "",
        sex=str(patient.get_sex_display()) if patient and patient.sex else "",
        age=age_at(patient.birth_date, study.study_date or study.received_at.date()) if patient else None,
        modality=study.modality,
        modality_name=modalities.name_of(study.modality),
        procedure=study.procedure,
        accession_number=study.accession_number,
        state=state,
        state_words=str(state.label),
        state_tone=_STATE_TONES.get(state, "plain"),
        category=standing.category if standing else "",
        is_amended=standing.is_amended if standing else False,
        priority=study.priority,
        priority_words=str(Study.Priority(study.priority).label),
        waiting=now - study.received_at if waits else None,
        received_at=study.received_at,
        ai=cells,
    )


def worklist_rows(page: WorklistPage, now: datetime) -> list[WorklistRow]:
    """The page's rows as of `now`."""
    return [worklist_row(study, now) for study in page.studies]
