"""What a reader sees: the worklist's rows and the composition of a case. Filtered for the actor's site."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from typing import Any

from django.core.paginator import Paginator
from django.db.models import (
    Case,
    CharField,
    Exists,
    F,
    FilteredRelation,
    FloatField,
    IntegerField,
    Max,
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
    Subquery,
    TextChoices,
    Value,
    When,
)
from django.utils.translation import gettext_lazy as _

from cad_platform.accounts.rules import require
from cad_platform.analysis.models import AnalysisJob, Artefact, Finding
from cad_platform.core.errors import NotFound
from cad_platform.core.request import Actor
from cad_platform.reading.models import FindingDecision
from cad_platform.studies.models import Instance, Modality, Study
from cad_platform.studies.selectors import studies_for, study_by_uid

PAGE_SIZE = 25
_OPEN_JOB = (AnalysisJob.State.REQUESTED, AnalysisJob.State.RUNNING)


class ReadingState(TextChoices):
    """Where a study stands for its readers. Derived from study, jobs and report; never stored."""

    RECEIVING = "receiving", _("Receiving")
    ANALYSING = "analysing", _("Being analysed")
    READY = "ready", _("Ready to read")
    DRAFT = "draft", _("Report begun")
    SIGNED = "signed", _("Signed")
    QUARANTINED = "quarantined", _("Quarantined")
    WITHDRAWN = "withdrawn", _("Withdrawn")


UNREAD = (ReadingState.RECEIVING, ReadingState.ANALYSING, ReadingState.READY, ReadingState.DRAFT)


class Order(TextChoices):
    """How the worklist is sorted. Suggested: priority, then score, then waiting time."""

    SUGGESTED = "suggested", _("Suggested")
    SCORE = "score", _("AI score")
    WAITING = "waiting", _("Longest waiting")
    NEWEST = "newest", _("Newest first")


_ORDERING: dict[str, tuple[Any, ...]] = {
    Order.SUGGESTED: ("priority_rank", F("ai_score").desc(nulls_last=True), "received_at", "id"),
    Order.SCORE: (F("ai_score").desc(nulls_last=True), "received_at", "id"),
    Order.WAITING: ("received_at", "id"),
    Order.NEWEST: ("-received_at", "id"),
}


@dataclass(frozen=True)
class WorklistFilters:
    """What the reader asked for. `search` holds patient data and therefore never stands in a URL."""

    state: str = "unread"
    modality: str = ""
    priority: str = ""
    order: str = Order.SUGGESTED
    search: str = field(default="", repr=False)
    page: int = 1

    def cleaned(self) -> WorklistFilters:
        """With every unknown value replaced by its default: an old bookmark still opens the list."""
        return replace(
            self,
            state=self.state if self.state in {"unread", "all", *ReadingState.values} else "unread",
            modality=self.modality if self.modality in Modality.values else "",
            priority=self.priority if self.priority in Study.Priority.values else "",
            order=self.order if self.order in Order.values else Order.SUGGESTED,
            search=self.search.replace("\0", "").strip()[:100],
            page=max(1, self.page),
        )


@dataclass(frozen=True)
class WorklistPage:
    """One page of studies, annotated with `reading_state` and `ai_score`, their jobs in `seen_jobs`."""

    studies: list[Study]
    filters: WorklistFilters
    total: int
    pages: int


@dataclass(frozen=True)
class CaseRecord:
    """Everything of one study that the case page composes."""

    study: Study
    reading_state: str
    images: list[Instance]
    jobs: list[AnalysisJob]
    findings: list[Finding]
    artefacts: list[Artefact]
    other_studies: list[Study]
    is_locked: bool


def _with_state(studies: QuerySet[Study]) -> QuerySet[Any]:
    """Annotate `reading_state`, `ai_score` (highest of the current content) and `priority_rank`."""
    current_jobs = AnalysisJob.objects.filter(study=OuterRef("pk"), content_hash=OuterRef("content_hash"))
    return studies.annotate(
        # By its relation's name: reports live one floor up.
        main_report=FilteredRelation("reports", condition=Q(reports__kind="report")),
        has_open_job=Exists(current_jobs.filter(state__in=_OPEN_JOB)),
        has_job=Exists(current_jobs),
        ai_score=Subquery(
            current_jobs.order_by().values("study").annotate(highest=Max("score")).values("highest"),
            output_field=FloatField(),
        ),
        priority_rank=Case(
            When(priority=Study.Priority.STAT, then=0),
            When(priority=Study.Priority.URGENT, then=1),
            default=2,
            output_field=IntegerField(),
        ),
        reading_state=Case(
            When(withdrawn_at__isnull=False, then=Value(ReadingState.WITHDRAWN)),
            When(state=Study.State.QUARANTINED, then=Value(ReadingState.QUARANTINED)),
            When(state=Study.State.RECEIVING, then=Value(ReadingState.RECEIVING)),
            When(main_report__state="signed", then=Value(ReadingState.SIGNED)),
            When(main_report__state="draft", then=Value(ReadingState.DRAFT)),
            # A complete study without a job waits for the request that the outbox carries.
            When(Q(has_open_job=True) | Q(has_job=False), then=Value(ReadingState.ANALYSING)),
            default=Value(ReadingState.READY),
            output_field=CharField(),
        ),
    )


def worklist(actor: Actor, filters: WorklistFilters) -> WorklistPage:
    """One page of the actor's site, in a fixed number of queries however many rows.

    Raises `NotPermitted` for a role that reads no images.
    """
    require(actor, "study.list")
    filters = filters.cleaned()
    studies = _with_state(studies_for(actor))
    if filters.state == "unread":
        studies = studies.filter(reading_state__in=UNREAD)
    elif filters.state != "all":
        studies = studies.filter(reading_state=filters.state)
    if filters.modality:
        studies = studies.filter(modality=filters.modality)
    if filters.priority:
        studies = studies.filter(priority=filters.priority)
    for word in filters.search.split()[:6]:
        studies = studies.filter(
            Q(patient__name__icontains=word)
            | Q(patient__patient_id__icontains=word)
            | Q(accession_number__icontains=word)
        )
    jobs = (
        AnalysisJob.objects.select_related("model_version")
        .defer("result", "model_version__card", "model_version__metrics")
        .annotate(flags=F("result__flags"))
        .order_by("requested_at")
    )
    paginator = Paginator(
        studies.select_related("patient")
        .prefetch_related(Prefetch("jobs", jobs, to_attr="seen_jobs"))
        .order_by(*_ORDERING[filters.order]),
        PAGE_SIZE,
    )
    page = paginator.get_page(filters.page)
    return WorklistPage(
        studies=list(page.object_list),
        filters=replace(filters, page=page.number),
        total=paginator.count,
        pages=paginator.num_pages,
    )


def reading_state_of(study: Study) -> str:
    """The study's state for its readers, as the worklist derives it."""
    return str(_with_state(Study.objects.filter(pk=study.pk)).values_list("reading_state", flat=True).get())


def is_locked(study: Study) -> bool:
    """Whether findings can no longer be decided: withdrawn, quarantined, or signed with no addendum begun."""
    if study.withdrawn_at is not None or study.state == Study.State.QUARANTINED:
        return True
    states = set(study.reports.values_list("state", flat=True))
    return "signed" in states and "draft" not in states


def findings_with_decisions(study: Study) -> list[Finding]:
    """The study's findings in order; `seen_decisions` of each are its decisions, oldest first."""
    decisions = FindingDecision.objects.select_related("reader").order_by("decided_at", "id")
    return list(
        Finding.objects.filter(study=study)
        .select_related("instance", "author", "job__model_version")
        .defer(
            "job__result",
            "job__model_version__card",
            "job__model_version__manifest",
            "job__model_version__metrics",
        )
        .prefetch_related(Prefetch("decisions", decisions, to_attr="seen_decisions"))
        .order_by("number")
    )


def finding(actor: Actor, uid: str, finding_id: uuid.UUID) -> Finding:
    """One finding of a study at the actor's site. Raises `NotFound`."""
    study = study_by_uid(actor, uid)
    found = Finding.objects.filter(study=study, pk=finding_id).select_related("instance", "study").first()
    if found is None:
        raise NotFound("There is no such finding in this study.")
    return found


def case(actor: Actor, uid: str) -> CaseRecord:
    """Compose the case page. Raises `NotFound` for another site's study. Reading is recorded by
    `services.open_case`, which the page goes through."""
    require(actor, "study.view")
    study = study_by_uid(actor, uid)
    require(actor, "study.view", study)
    images = (
        Instance.objects.filter(series__study=study)
        .select_related("series", "slide")
        .order_by("series__number", "number", "id")
    )
    others = (
        _with_state(studies_for(actor).filter(patient=study.patient_id)).exclude(pk=study.pk)
        if study.patient_id
        else Study.objects.none()
    )
    return CaseRecord(
        study=study,
        reading_state=reading_state_of(study),
        images=list(images),
        jobs=list(
            AnalysisJob.objects.filter(study=study).select_related("model_version").order_by("requested_at")
        ),
        findings=findings_with_decisions(study),
        artefacts=list(Artefact.objects.filter(job__study=study).select_related("instance", "job")),
        other_studies=list(others.order_by("-study_date", "-received_at")[:20]),
        is_locked=is_locked(study),
    )
