"""What is claimed next: the one owner of the order of jobs.

Within a queue: stat, urgent, routine; of equals the one that has waited the longest. So that nobody waits for ever, at
least one claim in `AGE_EVERY` goes to the oldest of all that have waited longer than `JOB_AGED_AFTER`, however urgent
the others are: a stat study is late by one job at most, also behind a weekend's backlog. The order of the broker's
messages says nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Case, Q, QuerySet, When
from django.db.models.functions import Coalesce, Now

from cad_platform.analysis.models import AnalysisJob, JobAttempt
from cad_platform.core.queues import SHORT, SLIDE
from cad_platform.studies.models import Study

State = AnalysisJob.State

#: Of so many claims in a row one is by age where somebody has waited that long.
AGE_EVERY = 5
#: So long a worker that is free has for a job before a slide gives way to it.
_GRACE = timedelta(seconds=0.5)
#: From the most urgent on.
PRIORITIES = (Study.Priority.STAT, Study.Priority.URGENT, Study.Priority.ROUTINE)


@dataclass(frozen=True)
class Turn:
    """Whose it is, and whether by its age."""

    job_id: uuid.UUID
    by_age: bool


def with_urgency(jobs: QuerySet[AnalysisJob]) -> QuerySet[Any]:
    """Annotate `urgency` (0 is stat), as the study says now, and `since`, from when its wait counts."""
    return jobs.annotate(
        urgency=Case(
            *(When(study__priority=value, then=place) for place, value in enumerate(PRIORITIES)),
            default=len(PRIORITIES),
        ),
        since=Coalesce("restarted_at", "requested_at"),
    )


def due(queue: str) -> QuerySet[Any]:
    """The jobs of a queue that may be claimed now, in the order of their urgency."""
    waiting = AnalysisJob.objects.filter(queue=queue, state=State.REQUESTED, available_at__lte=Now())
    return with_urgency(waiting).order_by("urgency", "since", "pk")


def next_job(queue: str) -> Turn | None:
    """Whose turn it is, of those that nobody holds, with the rows of study and job locked until the transaction ends.

    Nothing is waited for (SKIP LOCKED), so the two locks cannot stand across anybody's; who asks at the same time gets
    another job.
    """
    free = due(queue).select_related("study").only("study")
    free = free.select_for_update(skip_locked=True, no_key=True, of=("self", "study"))
    first = free.first()
    if first is None:
        return None
    if _age_has_its_turn(queue):
        aged = free.filter(since__lte=Now() - settings.JOB_AGED_AFTER).order_by("since", "pk").first()
        # Who is the first anyway needs no turn of its own.
        if aged is not None and aged.pk != first.pk:
            return Turn(aged.pk, by_age=True)
    return Turn(first.pk, by_age=False)


def others_wait(queue: str, but: Collection[AnalysisJob]) -> bool:
    """Whether any job of a queue but these may be claimed now."""
    return due(queue).exclude(pk__in=[job.pk for job in but]).exists()


def must_give_way(job: AnalysisJob, queues: Collection[str]) -> bool:
    """Whether a slide that is worked on shall give way: to a more urgent one, or, in a worker that serves images
    too, to an image that is no less urgent. Of several slides at work as many give way as are waited for, the least
    urgent and the youngest first. One that has its turn by age goes on to its end.

    Parameters
    ----------
    queues
        Those that the worker at this slide serves.
    """
    latest = JobAttempt.objects.filter(job=job, number=job.attempt, by_age=True)
    running = with_urgency(AnalysisJob.objects.filter(state=State.RUNNING, queue=SLIDE))
    ours = running.filter(pk=job.pk, attempt=job.attempt).values("urgency", "started_at").first()
    if ours is None or latest.exists():
        return False
    waiting = with_urgency(
        AnalysisJob.objects.filter(queue__in=queues, state=State.REQUESTED, available_at__lte=Now() - _GRACE)
    )
    images = Q(queue=SHORT, urgency=ours["urgency"])
    waited_for = waiting.filter(Q(urgency__lt=ours["urgency"]) | images).count()
    if not waited_for:
        return False
    younger = Q(urgency=ours["urgency"], started_at__gt=ours["started_at"])
    before = running.filter(Q(urgency__gt=ours["urgency"]) | younger).count()
    return before < waited_for


def held_back(queue: str) -> uuid.UUID | None:
    """The first that is due although somebody may hold its rows."""
    return due(queue).values_list("pk", flat=True).first()


def _age_has_its_turn(queue: str) -> bool:
    latest = JobAttempt.objects.filter(queue=queue).order_by("-pk").values_list("by_age", flat=True)
    return not any(latest[: AGE_EVERY - 1])
