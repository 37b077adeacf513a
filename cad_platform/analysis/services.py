"""The only writers of jobs, attempts, artefacts and findings.

A job is claimed for a lease, worked on without any lock, and what comes of it is kept only if the claim is
still the latest. Every function is one transaction and safe to repeat: messages come at least once.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.db.models.functions import Now
from django.utils import timezone

from cad_platform.accounts.rules import require
from cad_platform.analysis.models import AnalysisJob, Artefact, Finding, JobAttempt
from cad_platform.analysis.suitability import why_not
from cad_platform.audit.services import record
from cad_platform.core import outbox, probes
from cad_platform.core.errors import Conflict, NotFound
from cad_platform.core.request import Actor
from cad_platform.registry.health import component_of
from cad_platform.registry.selectors import default_versions, manifest_of
from cad_platform.studies import storage
from cad_platform.studies.models import Instance, Study
from inference.contract import AnalysisResult

State = AnalysisJob.State
Outcome = JobAttempt.Outcome

#: A message for the job must be sent; the relay hands it to `analysis.run`.
REQUESTED_TOPIC = "analysis.requested"
#: The job has ended, whatever came of it.
ENDED_TOPIC = "analysis.ended"

TRANSITIONS: Mapping[str, frozenset[str]] = {
    State.REQUESTED: frozenset({State.RUNNING, State.CANCELLED}),
    State.RUNNING: frozenset(
        {State.REQUESTED, State.SUCCEEDED, State.NOT_APPLICABLE, State.FAILED, State.CANCELLED}
    ),
    State.FAILED: frozenset({State.REQUESTED}),
    State.SUCCEEDED: frozenset(),
    State.NOT_APPLICABLE: frozenset(),
    State.CANCELLED: frozenset(),
}
_WITHDRAWN = "the study was withdrawn"
#: Full jitter below these, in seconds, doubling with each attempt.
_BACKOFF_FIRST, _BACKOFF_AWAY, _BACKOFF_FAILED = 2.0, 30.0, 300.0


@dataclass(frozen=True)
class Claim:
    """The right to work on a job until the lease ends: the job as it was then, and the attempt's number."""

    job: AnalysisJob
    attempt: int


@dataclass(frozen=True)
class MadeImage:
    """A mask or heat map of the instance at `index` of the study; `id` stands in the result already."""

    id: uuid.UUID
    index: int
    kind: str
    png: bytes


def worker_actor() -> Actor:
    """In whose name the audit log records what workers do."""
    return Actor.system("worker")


def instances_of(study: Study) -> list[Instance]:
    """The study's images in the order in which models see them."""
    found = Instance.objects.filter(series__study=study).select_related("slide", "series")
    return list(found.order_by("series__number", "series_id", "number", "id"))


@transaction.atomic
def request_analyses(study_id: uuid.UUID | str) -> list[AnalysisJob]:
    """Make the jobs of a complete study: one for each default model of its modality, once for its content.

    A contract that is not met makes a job too, one that has ended: the reader sees why there is no result.
    Returns the jobs that wait to be worked on. The first is the caller's to begin with, which saves a round
    through the broker (if the caller dies, the sweeper queues it); the others are queued here.
    """
    study = Study.objects.select_for_update(of=("self",)).filter(pk=study_id).first()
    if study is None or study.state != Study.State.COMPLETE or study.withdrawn_at is not None:
        return []
    instances = instances_of(study)
    waiting = []
    for version in default_versions(study.modality):
        reason = why_not(instances, manifest_of(version).input)
        job, created = AnalysisJob.objects.get_or_create(
            study=study,
            content_hash=study.content_hash,
            model_version=version,
            defaults={
                "state": State.NOT_APPLICABLE if reason else State.REQUESTED,
                "reason": reason,
                "finished_at": timezone.now() if reason else None,
                "queued_at": timezone.now() if waiting and not reason else None,
            },
        )
        if created:
            _record(worker_actor(), "job.request", job, state=job.state)
            if reason:
                outbox.publish(ENDED_TOPIC, job_id=str(job.pk))
            elif waiting:
                outbox.publish(REQUESTED_TOPIC, job_id=str(job.pk))
        if job.state == State.REQUESTED:
            waiting.append(job)
    return waiting


@transaction.atomic
def claim(job_id: uuid.UUID | str, worker: str) -> Claim | None:
    """Take a waiting job for one lease, or None: it is taken, ended, not due yet or unknown."""
    job = (
        AnalysisJob.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("study", "model_version")
        .filter(pk=job_id, state=State.REQUESTED, available_at__lte=Now())
        .first()
    )
    if job is None:
        return None
    if job.study.withdrawn_at is not None:
        _cancel(job)
        return None
    job.attempt += 1
    job.started_at = timezone.now()
    _move(job, State.RUNNING, lease_expires_at=Now() + _lease())
    JobAttempt.objects.create(job=job, number=job.attempt, worker=worker[:100], started_at=job.started_at)
    return Claim(job, job.attempt)


def renew(claim: Claim) -> bool:
    """Extend the lease; False when it has run out or the job is no longer this attempt's."""
    ours = AnalysisJob.objects.filter(
        pk=claim.job.pk, attempt=claim.attempt, state=State.RUNNING, lease_expires_at__gt=Now()
    )
    return ours.update(lease_expires_at=Now() + _lease()) == 1


@transaction.atomic
def finish(claim: Claim, result: AnalysisResult, made: Sequence[MadeImage]) -> bool:
    """Keep a result with its masks, heat maps and findings; False (and nothing kept) if the job went on
    without this attempt.

    Raises
    ------
    Unavailable, StorageFull
        The storage takes no file now; nothing is kept.
    """
    # Files first: no row is locked while bytes travel.
    files = [storage.store_bytes(image.png, "image/png") for image in made]
    job = _ours(claim)
    if job is None:
        return False
    instances = instances_of(job.study)
    Artefact.objects.bulk_create(
        Artefact(id=image.id, job=job, instance=instances[image.index], kind=image.kind, file=file)
        for image, file in zip(made, files, strict=True)
    )
    _keep_findings(job, instances, result)
    manifest = manifest_of(job.model_version)
    job.result = result.model_dump(mode="json")
    job.score = result.probabilities.get(manifest.positive_class)
    _end_attempt(job, Outcome.SUCCEEDED)
    _end(job, State.SUCCEEDED)
    return True


@transaction.atomic
def conclude(claim: Claim, state: str, reason: str) -> bool:
    """End a job without a result: `NOT_APPLICABLE`, or `FAILED` because it fails the same way each time."""
    job = _ours(claim)
    if job is None:
        return False
    _end_attempt(job, Outcome.FAILED if state == State.FAILED else Outcome.SUCCEEDED, reason)
    _end(job, state, reason)
    return True


@transaction.atomic
def give_back(claim: Claim, reason: str, *, away: bool) -> bool:
    """The attempt gave no result, another one may: wait a while, or fail when there were enough.

    Parameters
    ----------
    away
        Something that the job needs was away (model server, storage). Such attempts do not count, and the job
        goes on for `JOB_PATIENCE`; unless the model has answered others since the attempt began, for then the
        fault lies with the job.
    """
    job = _ours(claim)
    if job is None:
        return False
    if away and job.started_at and probes.proven_since(component_of(job.model_version.name), job.started_at):
        away = False
    _end_attempt(job, Outcome.AWAY if away else Outcome.FAILED, reason)
    _try_again(job, reason, away=away)
    return True


@transaction.atomic
def take_over_lost(limit: int = 100) -> int:
    """Request anew the jobs whose worker has stopped renewing its lease; returns how many."""
    lost = (
        AnalysisJob.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("study", "model_version")
        .filter(state=State.RUNNING, lease_expires_at__lte=Now())
    )
    jobs = list(lost[:limit])
    for job in jobs:
        _end_attempt(job, Outcome.LOST, "the worker stopped answering")
        _try_again(job, "the worker stopped answering", at_once=True)
    return len(jobs)


@transaction.atomic
def queue_overdue(resend_after: timedelta, limit: int = 200) -> int:
    """Send a message for each job that is due and for which none was sent lately; returns how many."""
    due = AnalysisJob.objects.select_for_update(skip_locked=True, of=("self",)).filter(
        state=State.REQUESTED, available_at__lte=Now()
    )
    never = due.filter(queued_at__isnull=True)
    lost = due.filter(queued_at__lte=Now() - resend_after)
    jobs = [*never.order_by("available_at")[:limit], *lost.order_by("available_at")[:limit]]
    AnalysisJob.objects.filter(pk__in=[job.pk for job in jobs]).update(queued_at=Now())
    for job in jobs:
        outbox.publish(REQUESTED_TOPIC, job_id=str(job.pk))
    return len(jobs)


@transaction.atomic
def cancel_withdrawn(limit: int = 100) -> int:
    """Cancel the open jobs of withdrawn studies; a worker that is at one notices at its next renewal."""
    found = (
        AnalysisJob.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("study", "model_version")
        .filter(state__in=[State.REQUESTED, State.RUNNING], study__withdrawn_at__isnull=False)
    )
    jobs = list(found[:limit])
    for job in jobs:
        _cancel(job)
    return len(jobs)


@transaction.atomic
def retry(actor: Actor, job: AnalysisJob) -> AnalysisJob:
    """An administrator has a failed job tried again, with all its attempts anew.

    Raises
    ------
    NotPermitted, NotFound
        The actor may not retry jobs; there is no such job.
    Conflict
        The job has not failed, or its study was withdrawn.
    """
    require(actor, "job.retry")
    found = AnalysisJob.objects.select_for_update(of=("self",)).select_related("study", "model_version")
    locked = found.filter(pk=job.pk).first()
    if locked is None:
        raise NotFound("There is no such job.")
    if locked.state != State.FAILED:
        raise Conflict("Only a failed job can be tried again.")
    if locked.study.withdrawn_at is not None:
        raise Conflict("The study of this job was withdrawn.")
    now = timezone.now()
    locked.reason, locked.retryable, locked.finished_at = "", False, None
    locked.requested_at = locked.available_at = locked.queued_at = now
    _move(locked, State.REQUESTED)
    outbox.publish(REQUESTED_TOPIC, job_id=str(locked.pk))
    _record(actor, "job.retry", locked)
    return locked


def _lease() -> timedelta:
    return timedelta(seconds=settings.JOB_LEASE_SECONDS)


def _ours(claim: Claim) -> AnalysisJob | None:
    """The locked job if this attempt is still its latest and it still runs."""
    job = (
        AnalysisJob.objects.select_for_update(of=("self",))
        .select_related("study", "model_version")
        .filter(pk=claim.job.pk, attempt=claim.attempt, state=State.RUNNING)
        .first()
    )
    if job is not None and job.study.withdrawn_at is not None:
        _cancel(job)
        return None
    return job


def _move(job: AnalysisJob, state: str, **values: object) -> None:
    """Write the job with a transition that the table knows."""
    if state not in TRANSITIONS[job.state]:
        raise RuntimeError(f"a job goes not from {job.state} to {state}")
    job.state = state
    for field, value in values.items():
        setattr(job, field, value)
    job.save()


def _end(job: AnalysisJob, state: str, reason: str = "", *, retryable: bool = False) -> None:
    job.finished_at = timezone.now()
    job.reason, job.retryable = reason, retryable
    _move(job, state, lease_expires_at=None)
    _record(worker_actor(), f"job.{_VERBS[state]}", job, attempt=job.attempt)
    outbox.publish(ENDED_TOPIC, job_id=str(job.pk))


_VERBS = {
    State.SUCCEEDED: "succeed",
    State.NOT_APPLICABLE: "decline",
    State.FAILED: "fail",
    State.CANCELLED: "cancel",
}


def _cancel(job: AnalysisJob) -> None:
    if job.state == State.RUNNING:
        _end_attempt(job, Outcome.CANCELLED, _WITHDRAWN)
    _end(job, State.CANCELLED, _WITHDRAWN)


def _end_attempt(job: AnalysisJob, outcome: str, error: str = "") -> None:
    attempt = JobAttempt.objects.filter(job=job, number=job.attempt)
    attempt.update(outcome=outcome, error=error[:1000], ended_at=timezone.now())


def _try_again(job: AnalysisJob, reason: str, *, away: bool = False, at_once: bool = False) -> None:
    tried = job.attempts.filter(started_at__gte=job.requested_at)
    spoilt = tried.filter(outcome__in=[Outcome.FAILED, Outcome.LOST]).count()
    if spoilt >= settings.JOB_MAX_ATTEMPTS:
        _end(job, State.FAILED, f"{reason} ({spoilt} attempts)", retryable=True)
        return
    if away and timezone.now() - job.requested_at > settings.JOB_PATIENCE:
        _end(job, State.FAILED, f"{reason}; given up after {settings.JOB_PATIENCE}", retryable=True)
        return
    longest = _BACKOFF_AWAY if away else _BACKOFF_FAILED
    ceiling = min(longest, _BACKOFF_FIRST * 2 ** min(tried.count() - 1, 16))
    pause = 0.0 if at_once else random.uniform(0, ceiling)  # noqa: S311
    job.reason = ""
    job.available_at = timezone.now() + timedelta(seconds=pause)
    job.queued_at = timezone.now() if at_once else None
    _move(job, State.REQUESTED, lease_expires_at=None)
    if at_once:
        outbox.publish(REQUESTED_TOPIC, job_id=str(job.pk))


def _keep_findings(job: AnalysisJob, instances: Sequence[Instance], result: AnalysisResult) -> None:
    """Numbered on from the study's last, the most suspicious first."""
    # Readers add findings too; the study's row is what both lock to number them.
    Study.objects.select_for_update(of=("self",)).get(pk=job.study_id)
    last = Finding.objects.filter(study=job.study_id).aggregate(last=Max("number"))["last"] or 0
    marked = [
        (finding, instance)
        for image, instance in zip(result.images, instances, strict=True)
        for finding in image.findings
    ]
    marked.sort(key=lambda entry: -entry[0].score)
    Finding.objects.bulk_create(
        Finding(
            study_id=job.study_id,
            instance=instance,
            job=job,
            number=number,
            label=finding.label,
            score=finding.score,
            box=list(finding.box),
            polygon=[list(point) for point in finding.polygon] if finding.polygon else None,
            descriptors=finding.descriptors,
        )
        for number, (finding, instance) in enumerate(marked, start=last + 1)
    )


def _record(actor: Actor, action: str, job: AnalysisJob, **detail: object) -> None:
    record(
        actor, action, object_type="job", object_id=job.pk, site_id=job.study.site_id,
        study=str(job.study_id), model=str(job.model_version), **detail,
    )  # fmt: skip
