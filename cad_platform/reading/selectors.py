"""What a reader sees: the worklist's rows and the composition of a case. Filtered for the actor's site."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from typing import Any

from django.core.paginator import Paginator
from django.db.models import (
    Case,
    CharField,
    F,
    IntegerField,
    Prefetch,
    Q,
    QuerySet,
    TextChoices,
    Value,
    When,
)
from django.utils.translation import gettext_lazy as _

from cad_platform import modalities
from cad_platform.accounts.rules import require
from cad_platform.analysis.models import AnalysisJob, Artefact, Finding
from cad_platform.analysis.verdict import without_results
from cad_platform.core.actor import Actor
from cad_platform.core.errors import NotFound
from cad_platform.patients.person_name import search_words
from cad_platform.patients.selectors import named
from cad_platform.reading.case_state import (
    awaits_job,
    current_findings,
    current_jobs,
    is_open_for_decisions,
    only_current,
    with_ai_state,
)
from cad_platform.reading.report_standing import standing_of
from cad_platform.studies.models import Study
from cad_platform.studies.selectors import of_modality, sorted_images, studies_for, study_by_uid
from cad_platform.studies.sorting import SortedImage

PAGE_SIZE = 25


class ReadingState(TextChoices):
    """Where a study stands for its readers. Derived from study, jobs and the report's standing; never stored."""

    RECEIVING = "receiving", _("Still arriving")
    ANALYSING = "analysing", _("Being analysed")
    READY = "ready", _("Ready to read")
    DRAFT = "draft", _("Report begun")
    SIGNED = "signed", _("Signed")
    CHANGED = "changed", _("Changed after signing")
    QUARANTINED = "quarantined", _("Quarantined")
    WITHDRAWN = "withdrawn", _("Withdrawn")


UNREAD = (
    ReadingState.RECEIVING,
    ReadingState.ANALYSING,
    ReadingState.READY,
    ReadingState.DRAFT,
    ReadingState.CHANGED,
)


class WorklistOrder(TextChoices):
    """How the worklist is sorted. Suggested: priority, then score, then waiting time."""

    SUGGESTED = "suggested", _("Suggested")
    SCORE = "score", _("AI score")
    WAITING = "waiting", _("Longest waiting")
    NEWEST = "newest", _("Newest first")


_ORDERING: dict[str, tuple[Any, ...]] = {
    WorklistOrder.SUGGESTED: ("priority_rank", F("ai_score").desc(nulls_last=True), "received_at", "id"),
    WorklistOrder.SCORE: (F("ai_score").desc(nulls_last=True), "received_at", "id"),
    WorklistOrder.WAITING: ("received_at", "id"),
    WorklistOrder.NEWEST: ("-received_at", "id"),
}


@dataclass(frozen=True)
class WorklistFilters:
    """What the reader asked for. `search` holds patient data and therefore never stands in a URL."""

    state: str = "unread"
    modality: str = ""
    priority: str = ""
    order: str = WorklistOrder.SUGGESTED
    search: str = field(default="", repr=False)
    page: int = 1

    def cleaned(self) -> WorklistFilters:
        """With every unknown value replaced by its default: an old bookmark still opens the list."""
        return replace(
            self,
            state=self.state if self.state in {"unread", "all", *ReadingState.values} else "unread",
            modality=self.modality if modalities.is_registered(self.modality) else "",
            priority=self.priority if self.priority in Study.Priority.values else "",
            order=self.order if self.order in WorklistOrder.values else WorklistOrder.SUGGESTED,
            search=self.search.replace("\0", "").strip()[:100],
            page=max(1, self.page),
        )


@dataclass(frozen=True)
class WorklistPage:
    """One page of studies, annotated with `reading_state` and `ai_score`; the jobs that count in `current_jobs`."""

    studies: list[Study]
    filters: WorklistFilters
    total: int
    pages: int


@dataclass(frozen=True)
class CaseRecord:
    """Everything of one study that the case page composes. `jobs` and `findings` are those that count.
    `signed_jobs`: the states of jobs, by id, as the latest signed report holds them; None where nothing is signed."""

    study: Study
    reading_state: str
    images: list[SortedImage]
    jobs: list[AnalysisJob]
    earlier_jobs: list[AnalysisJob]
    signed_jobs: dict[str, str] | None
    findings: list[Finding]
    artefacts: list[Artefact]
    other_studies: list[Study]
    is_locked: bool
    awaits_job: bool


def with_reading_state(studies: QuerySet[Study]) -> QuerySet[Any]:
    """Annotate `reading_state`, `priority_rank` and what `case_state.with_ai_state` says."""
    return with_ai_state(studies).annotate(
        priority_rank=Case(
            When(priority=Study.Priority.STAT, then=0),
            When(priority=Study.Priority.URGENT, then=1),
            default=2,
            output_field=IntegerField(),
        ),
        reading_state=Case(
            When(withdrawn_at__isnull=False, then=Value(ReadingState.WITHDRAWN)),
            When(state=Study.State.QUARANTINED, then=Value(ReadingState.QUARANTINED)),
            # What came after the signature is in no report: somebody has to look, and an addendum settles it.
            When(
                report_standing__has_draft=False,
                changed_at__gt=F("report_standing__signed_at"),
                then=Value(ReadingState.CHANGED),
            ),
            When(report_standing__signed_at__isnull=False, then=Value(ReadingState.SIGNED)),
            When(report_standing__has_draft=True, then=Value(ReadingState.DRAFT)),
            When(state=Study.State.RECEIVING, then=Value(ReadingState.RECEIVING)),
            # A complete study without a job waits for the request that the outbox carries, where there is a model.
            When(
                Q(has_open_job=True) | Q(awaits_job=True),
                then=Value(ReadingState.ANALYSING),
            ),
            default=Value(ReadingState.READY),
            output_field=CharField(),
        ),
    )


def narrowed(studies: QuerySet[Study], state: str, modality: str = "", priority: str = "") -> QuerySet[Any]:
    """Those of `studies` that meet the filters, annotated with their reading state. `state` may be `unread` or
    `all`."""
    found = with_reading_state(studies)
    if state == "unread":
        found = found.filter(reading_state__in=UNREAD)
    elif state != "all":
        found = found.filter(reading_state=state)
    if modality:
        found = found.filter(of_modality(modality))
    if priority:
        found = found.filter(priority=priority)
    return found


def listed(actor: Actor, filters: WorklistFilters) -> QuerySet[Any]:
    """The studies of the actor's site that meet the filters, annotated with their state, in no order."""
    require(actor, "study.list")
    # Of a study that begins with a report there is nothing to read before its images come.
    studies = narrowed(
        studies_for(actor).exclude(modality=""), filters.state, filters.modality, filters.priority
    )
    for word in filters.search.split()[:6]:
        if not search_words(word):
            continue  # a comma with spaces about it
        studies = studies.filter(
            named(word) | Q(patient__patient_id__icontains=word) | Q(accession_number__icontains=word)
        )
    return studies


def worklist(actor: Actor, filters: WorklistFilters) -> WorklistPage:
    """One page of the actor's site, in a fixed number of queries however many rows.

    Raises
    ------
    NotPermitted
        The actor's role reads no images.
    """
    filters = filters.cleaned()
    jobs = (
        without_results(only_current(AnalysisJob.objects.select_related("model_version")))
        .defer("model_version__card", "model_version__metrics")
        .order_by("model_version__name")
    )
    paginator = Paginator(
        listed(actor, filters)
        .select_related("patient", "report_standing")
        .prefetch_related(Prefetch("jobs", jobs, to_attr="current_jobs"))
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
    return str(
        with_reading_state(Study.objects.filter(pk=study.pk)).values_list("reading_state", flat=True).get()
    )


def finding(actor: Actor, uid: str, finding_id: uuid.UUID) -> Finding:
    """One finding of a study at the actor's site. Raises `NotFound`."""
    study = study_by_uid(actor, uid)
    found = Finding.objects.filter(study=study, pk=finding_id).select_related("instance", "study").first()
    if found is None:
        raise NotFound(str(_("There is no such finding in this study.")))
    return found


def case(actor: Actor, uid: str) -> CaseRecord:
    """Everything of one study that the case page composes. Reading is recorded by `services.open_case`, which the page
    goes through.

    Raises
    ------
    NotFound
        There is no such study at the actor's site.
    NotPermitted
        The actor reads no studies.
    """
    require(actor, "study.view")
    study = study_by_uid(actor, uid)
    require(actor, "study.view", study)
    if not study.has_images:
        raise NotFound(str(_("No image of this study has come yet.")))
    jobs = current_jobs(study)
    counts = [job.pk for job in jobs]
    # Their results stay where they are: the history names them by version and score alone.
    earlier = (
        without_results(AnalysisJob.objects.filter(study=study).exclude(pk__in=counts))
        .select_related("model_version")
        .defer("model_version__card", "model_version__metrics")
    )
    standing = standing_of(study)
    others = (
        with_reading_state(studies_for(actor).filter(patient=study.patient_id))
        .exclude(pk=study.pk)
        .exclude(modality="")
        if study.patient_id
        else Study.objects.none()
    )
    return CaseRecord(
        study=study,
        reading_state=reading_state_of(study),
        images=sorted_images(study),
        jobs=jobs,
        earlier_jobs=list(earlier.order_by("-requested_at", "pk")),
        signed_jobs=standing.signed_jobs if standing else None,
        findings=current_findings(study, jobs),
        artefacts=list(Artefact.objects.filter(job__in=counts).select_related("instance", "job")),
        other_studies=list(others.order_by("-study_date", "-received_at")[:20]),
        is_locked=not is_open_for_decisions(study),
        awaits_job=not jobs and awaits_job(study),
    )
