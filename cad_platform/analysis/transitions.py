"""How a job goes from one state to the next: the table, and the few functions that write a transition.

Called by `analysis.services` and `analysis.again` inside their transactions, with the rows of study and job locked.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone

from cad_platform.analysis.models import AnalysisJob, JobAttempt
from cad_platform.audit.services import record
from cad_platform.core import outbox
from cad_platform.core.actor import Actor

State = AnalysisJob.State
Outcome = JobAttempt.Outcome

#: A job waits in a queue; the relay hands the news to `analysis.run`.
REQUESTED_TOPIC = "analysis.requested"
#: The job has ended, whatever came of it.
ENDED_TOPIC = "analysis.ended"
#: A set of studies waits to be analysed again.
SET_TOPIC = "analysis.again"

#: A version in shadow waits to look at studies, when nobody else needs the workers.
SHADOW_TOPIC = "analysis.shadow"

TRANSITIONS: Mapping[str, frozenset[str]] = {
    State.REQUESTED: frozenset({State.RUNNING, State.CANCELLED}),
    State.RUNNING: frozenset(
        {State.REQUESTED, State.SUCCEEDED, State.NOT_APPLICABLE, State.FAILED, State.CANCELLED}
    ),
    # What was done is done; what gave no result may be asked for again.
    State.FAILED: frozenset({State.REQUESTED}),
    State.NOT_APPLICABLE: frozenset({State.REQUESTED}),
    State.CANCELLED: frozenset({State.REQUESTED}),
    State.SUCCEEDED: frozenset(),
}
#: End state → what the audit log calls reaching it.
_ACTIONS: Mapping[str, str] = {
    State.SUCCEEDED: "job.succeed",
    State.NOT_APPLICABLE: "job.decline",
    State.FAILED: "job.fail",
    State.CANCELLED: "job.cancel",
}
WITHDRAWN = "the study was withdrawn"
STOPPED = "an administrator cancelled it"
SUPERSEDED = "the study was changed: images arrived, or something was corrected"
#: Full jitter below these, in seconds, doubling with each attempt.
_BACKOFF_FIRST, _BACKOFF_AWAY, _BACKOFF_FAILED = 2.0, 30.0, 300.0


def worker_actor() -> Actor:
    """In whose name the audit log records what workers do."""
    return Actor.system("worker")


def move(job: AnalysisJob, state: str, **values: object) -> None:
    """Write the job with a transition that the table knows."""
    if state not in TRANSITIONS[job.state]:
        raise RuntimeError(f"a job goes not from {job.state} to {state}")
    job.state = state
    for field, value in values.items():
        setattr(job, field, value)
    job.save()


def end(job: AnalysisJob, state: str, reason: str = "", *, retryable: bool = False) -> None:
    """Reach an end state, with whatever result the caller has put on the job; audited and announced."""
    job.finished_at = timezone.now()
    job.reason, job.retryable, job.checkpoint = reason, retryable, None
    move(job, state, lease_expires_at=None)
    record_of(worker_actor(), _ACTIONS[state], job, attempt=job.attempt)
    outbox.publish(ENDED_TOPIC, job_id=str(job.pk), study_id=str(job.study_id))


def cancel(job: AnalysisJob, why: str = WITHDRAWN) -> None:
    """End an open job: its study was withdrawn, or another version has taken its place."""
    if job.state == State.RUNNING:
        end_attempt(job, Outcome.CANCELLED, why)
    end(job, State.CANCELLED, why)


def reopen(job: AnalysisJob) -> None:
    """Let an ended job without a result wait again, with all its attempts anew. When it was first requested stays as it
    is: a retry makes nothing newer."""
    now = timezone.now()
    job.reason, job.retryable, job.finished_at = "", False, None
    job.restarted_at = job.available_at = now
    job.queued_at = None
    move(job, State.REQUESTED)


def queue(job: AnalysisJob) -> None:
    """Wake a worker of the job's queue, with the transaction: it takes whichever job is the next there."""
    job.queued_at = timezone.now()
    AnalysisJob.objects.filter(pk=job.pk).update(queued_at=job.queued_at)
    outbox.publish(REQUESTED_TOPIC, queue=job.queue)


def end_attempt(job: AnalysisJob, outcome: str, error: str = "") -> None:
    """Write down how the job's latest attempt ended."""
    attempt = JobAttempt.objects.filter(job=job, number=job.attempt)
    attempt.update(outcome=outcome, error=error[:1000], ended_at=timezone.now())


def try_again(job: AnalysisJob, reason: str, *, away: bool = False, at_once: bool = False) -> None:
    """Let a running job wait for its next attempt, or fail when it has had enough of them.

    Parameters
    ----------
    away
        The attempt does not count; the job may go on for `JOB_PATIENCE`.
    at_once
        Without a pause, by a message of its own.
    """
    tried = job.attempts.filter(started_at__gte=job.waiting_since).exclude(outcome=Outcome.GAVE_WAY)
    spoilt = tried.filter(outcome__in=[Outcome.FAILED, Outcome.LOST]).count()
    if spoilt >= settings.JOB_MAX_ATTEMPTS:
        end(job, State.FAILED, f"{reason} ({spoilt} attempts)", retryable=True)
        return
    if away and timezone.now() - job.waiting_since > settings.JOB_PATIENCE:
        end(job, State.FAILED, f"{reason}; given up after {settings.JOB_PATIENCE}", retryable=True)
        return
    longest = _BACKOFF_AWAY if away else _BACKOFF_FAILED
    ceiling = min(longest, _BACKOFF_FIRST * 2 ** min(tried.count() - 1, 16))
    pause = 0.0 if at_once else random.uniform(0, ceiling)  # noqa: S311
    # Readers and administrators see what it waits for.
    job.reason = reason
    job.available_at = timezone.now() + timedelta(seconds=pause)
    job.queued_at = None
    move(job, State.REQUESTED, lease_expires_at=None)
    if at_once:
        queue(job)


def give_way(job: AnalysisJob) -> None:
    """Let a running job wait for its next turn, due at once: it goes on from what is kept of it."""
    job.available_at = timezone.now()
    move(job, State.REQUESTED, lease_expires_at=None)
    queue(job)


def record_of(actor: Actor, action: str, job: AnalysisJob, **detail: Any) -> None:
    """Audit something that happened to a job, under its study's site."""
    record(
        actor, action, object_type="job", object_id=job.pk, site_id=job.study.site_id,
        study=str(job.study_id), model=str(job.model_version), **detail,
    )  # fmt: skip
