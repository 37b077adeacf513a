"""The state of a case: which results and findings count, and whether it may still be changed. Nobody else decides that.

*The result that counts* of a study and model is the job of the version that is routed now, on the study's present
content. A job has one state, that of its newest attempt; trying an older version again makes nothing newer. Where the
version in use has not been asked yet (it was changed after the study came), the latest of the earlier ones stands in,
marked as such: a reader is better served by an earlier result than by none. Cancelled jobs count only where there is
nothing else.

*May it be changed* is asked under the lock of the study's row, which every writer of a case takes first.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping

from django.db.models import (
    BooleanField,
    Case,
    Exists,
    ExpressionWrapper,
    F,
    FloatField,
    IntegerField,
    Max,
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.utils.translation import gettext as _

from cad_platform.analysis.models import AnalysisJob, Finding
from cad_platform.analysis.verdict import is_of_unlike_image, least_score, verdict_of
from cad_platform.core.errors import Conflict, NotFound
from cad_platform.reading.models import FindingDecision
from cad_platform.reading.report_standing import standing_of
from cad_platform.registry.routing import has_model, is_routed_job
from cad_platform.studies.models import Instance, Study
from cad_platform.studies.services import lock_study

#: Verdicts by which a reader has made a model's mark his own; it outlives the result that it came from.
TAKEN_OVER = (FindingDecision.Verdict.ACCEPTED, FindingDecision.Verdict.EDITED)

_ROUTED = 2


# --- what counts ----------------------------------------------------------------------------------------


def only_current(jobs: QuerySet[AnalysisJob]) -> QuerySet[AnalysisJob]:
    """Those of `jobs` that count: one for each study and model."""
    same = AnalysisJob.objects.filter(
        study=OuterRef("study"),
        content_hash=OuterRef("content_hash"),
        model_version__name=OuterRef("model_version__name"),
    )
    better = _ranked(same).filter(
        Q(rank__gt=OuterRef("rank"))
        | Q(rank=OuterRef("rank"), requested_at__gt=OuterRef("requested_at"))
        | Q(rank=OuterRef("rank"), requested_at=OuterRef("requested_at"), pk__gt=OuterRef("pk"))
    )
    # Nothing is better than a routed version's own: most jobs need no look at the others.
    return _ranked(jobs).filter(Q(rank=_ROUTED) | ~Exists(better), content_hash=F("study__content_hash"))


def _ranked(jobs: QuerySet[AnalysisJob]) -> QuerySet[AnalysisJob]:
    return jobs.annotate(
        rank=Case(
            When(state=AnalysisJob.State.CANCELLED, then=Value(0)),
            When(is_routed_job(), then=Value(_ROUTED)),
            default=Value(1),
            output_field=IntegerField(),
        )
    )


def current_jobs(study: Study) -> list[AnalysisJob]:
    """The jobs of a study that count, by model."""
    jobs = only_current(AnalysisJob.objects.filter(study=study))
    # Cards and figures are long and nobody's business here.
    jobs = jobs.select_related("model_version").defer("model_version__card", "model_version__metrics")
    return list(jobs.order_by("model_version__name"))


def counting_among(study: Study, jobs: Collection[AnalysisJob]) -> list[AnalysisJob]:
    """`current_jobs` for who has read all jobs of the study, with their versions: where each model has one on the
    present content, as mostly, there is nothing to compare."""
    present = [job for job in jobs if job.content_hash == study.content_hash]
    names = {job.model_version.name for job in present}
    if len(names) < len(present):
        return current_jobs(study)
    return sorted(present, key=lambda job: job.model_version.name)


def have_ended(jobs: Collection[AnalysisJob]) -> bool:
    """Whether the jobs of a study that count are there and have all ended, failed ones included."""
    return bool(jobs) and not any(job.state in AnalysisJob.OPEN for job in jobs)


def is_in_use(job: AnalysisJob) -> bool:
    """Whether the version that made it is the one in use; else an earlier one stands in. `job` as read from
    `only_current`."""
    return int(job.rank) == _ROUTED or job.state == AnalysisJob.State.CANCELLED  # type: ignore[attr-defined]


def current_findings(study: Study, jobs: Collection[AnalysisJob] | None = None) -> list[Finding]:
    """What is marked in a study as it counts now, as numbered: by the current jobs (`jobs` where they are known) in
    images that they can judge, by readers, and what readers have taken over from earlier results. `seen_decisions` of
    each are its decisions, oldest first: the last one counts. `is_faint` (see below) tells which are shown only when
    asked for."""
    current = {job.pk: job for job in (current_jobs(study) if jobs is None else jobs)}
    verdicts = {key: verdict_of(job) for key, job in current.items()}
    rate = study.site.false_marks_per_exam
    levels = {key: least_score(job.model_version.manifest, rate) for key, job in current.items()}
    found = [
        finding
        for finding in _findings_with_decisions(study)
        if _taken_over(finding)
        or finding.job_id is None
        or (finding.job_id in current and not is_of_unlike_image(finding, verdicts))
    ]
    for finding in found:
        finding.is_faint = _is_faint(finding, levels)  # type: ignore[attr-defined]
    return found


def is_faint(finding: Finding) -> bool:
    """Whether a finding read by `current_findings` lies below the operating point that the site chose for marks, and no
    reader has decided on it: shown when asked for, in no count and in no report."""
    return bool(finding.is_faint)  # type: ignore[attr-defined]


def _is_faint(finding: Finding, levels: Mapping[uuid.UUID, float]) -> bool:
    if finding.job_id is None or finding.score is None or finding.score >= levels.get(finding.job_id, 0.0):
        return False
    decision = decision_of(finding)
    return decision is None or decision.verdict == FindingDecision.Verdict.UNDECIDED


def _findings_with_decisions(study: Study) -> list[Finding]:
    """Every finding of a study, those of earlier results included."""
    decisions = FindingDecision.objects.select_related("reader").order_by("decided_at", "id")
    return list(
        Finding.objects.filter(study=study)
        .select_related("instance", "author", "job__model_version")
        .defer(
            "job__result",
            "job__model_version__card",
            "job__model_version__metrics",
        )
        .prefetch_related(Prefetch("decisions", decisions, to_attr="seen_decisions"))
        .order_by("number")
    )


def decision_of(finding: Finding) -> FindingDecision | None:
    """The decision that counts, of a finding read by `current_findings`; an undo is one too."""
    decisions: list[FindingDecision] = finding.seen_decisions  # type: ignore[attr-defined]
    return decisions[-1] if decisions else None


def _taken_over(finding: Finding) -> bool:
    decision = decision_of(finding)
    return decision is not None and decision.verdict in TAKEN_OVER


# --- many studies at once --------------------------------------------------------------------------------


def with_ai_state(studies: QuerySet[Study]) -> QuerySet[Study]:
    """Annotate what the jobs that count amount to: `ai_score` (the highest), `has_open_job`, and `awaits_job`, where
    there is none yet and a model that will be asked."""
    there = AnalysisJob.objects.filter(study=OuterRef("pk"), content_hash=OuterRef("content_hash"))
    jobs = only_current(AnalysisJob.objects.filter(study=OuterRef("pk")))
    highest = jobs.order_by().values("study").annotate(highest=Max("score")).values("highest")
    return studies.annotate(
        ai_score=Subquery(highest, output_field=FloatField()),
        awaits_job=ExpressionWrapper(_awaits_job(), output_field=BooleanField()),
        has_open_job=Exists(only_current(there.filter(state__in=AnalysisJob.OPEN))),
    )


def awaits_job(study: Study) -> bool:
    """Whether no model has been asked for a study yet and one will be."""
    return Study.objects.filter(_awaits_job(), pk=study.pk).exists()


def _awaits_job() -> Q:
    """The same as a condition on studies. Any job of the present content means that one of them counts."""
    there = AnalysisJob.objects.filter(study=OuterRef("pk"), content_hash=OuterRef("content_hash"))
    return ~Q(Exists(there)) & has_model()


def filter_analysed(studies: QuerySet[Study], wanted: bool = True) -> QuerySet[Study]:
    """Those whose jobs that count have all ended, failed ones included; or the others."""
    jobs = only_current(AnalysisJob.objects.filter(study=OuterRef("pk")))
    ended = Exists(jobs) & ~Exists(jobs.filter(state__in=AnalysisJob.OPEN))
    return studies.filter(ended if wanted else ~Q(ended))


def analysed(studies: Iterable[Study]) -> set[uuid.UUID]:
    """The keys of those studies that are analysed."""
    found = filter_analysed(Study.objects.filter(pk__in=[study.pk for study in studies]))
    return set(found.values_list("pk", flat=True))


def changed_after_signing(study: Study) -> list[str]:
    """What came after the latest report was signed and is not in it: `images`, `correction`, or both."""
    standing = standing_of(study)
    if standing is None or standing.signed_at is None:
        return []
    if study.changed_at is None or study.changed_at <= standing.signed_at:
        return []
    late = Instance.objects.filter(series__study=study, received_at__gt=standing.signed_at)
    corrected = study.corrections.filter(at__gt=standing.signed_at)
    found = (("images", late), ("correction", corrected))
    return [name for name, rows in found if rows.exists()]


# --- may it be changed -----------------------------------------------------------------------------------


def is_open_for_decisions(study: Study) -> bool:
    """Whether findings may be decided: not withdrawn or quarantined, and not signed unless an addendum is begun. For
    showing a button; a writer asks `lock_open_case`."""
    if study.withdrawn_at is not None or study.state == Study.State.QUARANTINED:
        return False
    report = standing_of(study)
    return report is None or report.signed_at is None or report.has_draft


def lock_case(study_id: uuid.UUID) -> Study:
    """The study as it stands now, its case locked until the transaction ends. Raises `NotFound`."""
    study = lock_study(study_id)
    if study is None:
        raise NotFound(_("There is no such study at your site."))
    return study


def lock_open_case(study_id: uuid.UUID) -> Study:
    """`lock_case`, for who decides or marks.

    Raises
    ------
    NotFound
        There is no such study.
    Conflict
        The report is signed and no addendum begun, or the study is withdrawn or quarantined.
    """
    study = lock_case(study_id)
    refuse_closed(study)
    return study


def refuse_closed(study: Study) -> None:
    """Of a locked case: raises `Conflict` where nobody may decide or mark any more."""
    if study.withdrawn_at is not None:
        raise Conflict(_("The study is withdrawn."))
    if not is_open_for_decisions(study):
        raise Conflict(_("The report is signed. Begin an addendum to decide anew."))
