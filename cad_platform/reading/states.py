"""Where a study stands for its readers: the one definition. The worklist reads it from a projection that is made of
this (`reading.projection`); who looks at single studies asks here."""

from __future__ import annotations

from typing import Any

from django.db.models import Case, CharField, F, IntegerField, Q, QuerySet, TextChoices, Value, When
from django.utils.translation import gettext_lazy as _

from cad_platform.reading.case_state import with_ai_state
from cad_platform.registry.routing import read_once
from cad_platform.studies.models import Study
from cad_platform.studies.selectors import of_modality


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

#: Most urgent first: a priority's place is its rank.
PRIORITY_RANKS = {Study.Priority.STAT: 0, Study.Priority.URGENT: 1, Study.Priority.ROUTINE: 2}


@read_once()
def with_reading_state(studies: QuerySet[Study]) -> QuerySet[Any]:
    """Annotate `reading_state`, `priority_rank` and what `case_state.with_ai_state` says."""
    return with_ai_state(studies).annotate(
        priority_rank=Case(
            *(When(priority=priority, then=rank) for priority, rank in PRIORITY_RANKS.items()),
            default=max(PRIORITY_RANKS.values()),
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


@read_once()
def reading_state_of(study: Study) -> str:
    """The study's state for its readers, as the worklist derives it."""
    return str(
        with_reading_state(Study.objects.filter(pk=study.pk)).values_list("reading_state", flat=True).get()
    )
