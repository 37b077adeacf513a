"""How long the queues are and how old what waits in them is: for the jobs' page, for metrics, and as an alert."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from django.conf import settings
from django.db.models import Count, F, Min
from django.utils import timezone

from cad_platform.analysis.models import AnalysisJob, JobAttempt
from cad_platform.analysis.turns import PRIORITIES, with_urgency
from cad_platform.core.declarations import Check, Metric, Sample
from cad_platform.core.proofs import ProbeFailed

State = AnalysisJob.State
_MOST_SHOWN = 100


@dataclass(frozen=True)
class Line:
    """The jobs of one priority in one queue."""

    queue: str
    priority: str
    waiting: int
    running: int
    oldest_s: float
    """Seconds that the one has waited that waits the longest; 0 where none does."""


def lines() -> list[Line]:
    """Every queue and priority, the most urgent first; those that wait for another try with them."""
    open_jobs = with_urgency(AnalysisJob.objects.filter(state__in=AnalysisJob.OPEN))
    counted = (
        open_jobs.order_by()
        .values("queue", "urgency", "state")
        .annotate(jobs=Count("pk"), first=Min("since"))
    )
    found = {(row["queue"], row["urgency"], row["state"]): row for row in counted}
    now = timezone.now()
    made = []
    for queue in AnalysisJob.Queue.values:
        for urgency, priority in enumerate(PRIORITIES):
            waiting = found.get((queue, urgency, State.REQUESTED))
            running = found.get((queue, urgency, State.RUNNING))
            made.append(
                Line(
                    queue=queue,
                    priority=str(priority.value),
                    waiting=waiting["jobs"] if waiting else 0,
                    running=running["jobs"] if running else 0,
                    oldest_s=max(0.0, (now - waiting["first"]).total_seconds()) if waiting else 0.0,
                )
            )
    return made


def at_work() -> list[JobAttempt]:
    """What each worker does since when, the longest first."""
    running = JobAttempt.objects.filter(outcome=JobAttempt.Outcome.RUNNING, job__state=State.RUNNING)
    latest = running.filter(number=F("job__attempt")).select_related("job__study__site", "job__model_version")
    return list(latest.order_by("started_at", "pk")[:_MOST_SHOWN])


def metrics() -> Iterator[Metric]:
    """The same for a monitoring system."""
    found = lines()

    def each(value: str) -> tuple[Sample, ...]:
        return tuple(
            Sample(float(getattr(line, value)), {"queue": line.queue, "priority": line.priority})
            for line in found
        )

    yield Metric("cad_queue_waiting_jobs", "Analyses that wait, also for another try", each("waiting"))
    yield Metric("cad_queue_running_jobs", "Analyses that are worked on", each("running"))
    yield Metric("cad_queue_oldest_seconds", "Wait of the analysis that waits the longest", each("oldest_s"))


def component_of(queue: str) -> str:
    """The name under which `/readyz` tells that a queue is late."""
    return f"queue:{queue}"


def checks() -> dict[str, Check]:
    """Component → its check, of every queue."""
    return {component_of(queue): partial(_check, queue) for queue in AnalysisJob.Queue.values}


def _check(queue: str) -> None:
    """Whether nobody waits longer than is meant for a priority (`QUEUE_ALERT_SECONDS`)."""
    limits = settings.QUEUE_ALERT_SECONDS
    late = [
        f"the oldest {line.priority} one of {line.waiting} waits since {line.oldest_s:.0f} s, "
        f"at most {limits[line.priority]:.0f} s are meant"
        for line in lines()
        if line.queue == queue and line.priority in limits and line.oldest_s > limits[line.priority]
    ]
    if late:
        raise ProbeFailed("; ".join(late))
