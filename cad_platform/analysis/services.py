"""The only writers of jobs, attempts, artefacts and findings.

A job is claimed for a lease, worked on without any lock, and what comes of it is kept only if the claim is
still the latest. Every function is one transaction and safe to repeat: messages come at least once.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.db.models.functions import Now
from django.utils import timezone

from cad_platform.accounts.rules import require
from cad_platform.analysis import transitions
from cad_platform.analysis.models import AnalysisJob, Artefact, Finding, JobAttempt
from cad_platform.analysis.suitability import why_not
from cad_platform.analysis.transitions import ENDED_TOPIC, REQUESTED_TOPIC, Outcome, State
from cad_platform.core import outbox, probes
from cad_platform.core.errors import Conflict, NotFound
from cad_platform.core.request import Actor
from cad_platform.registry.health import component_of
from cad_platform.registry.selectors import default_versions, manifest_of
from cad_platform.studies import storage
from cad_platform.studies.models import Instance, Study
from inference.contract import AnalysisResult


@dataclass(frozen=True)
class Claim:
    """The right to work on a job until the lease ends: the job as it was then, the attempt's number, and the
    study's images in the order in which the model sees them."""

    job: AnalysisJob
    attempt: int
    instances: tuple[Instance, ...]


@dataclass(frozen=True)
class MadeImage:
    """A mask or heat map of the instance at `index` of the study; `id` stands in the result already."""

    id: uuid.UUID
    index: int
    kind: str
    png: bytes


def instances_of(study: Study) -> list[Instance]:
    """The study's images in the order in which models see them."""
    found = Instance.objects.filter(series__study=study).select_related("slide", "series")
    return list(found.order_by("series__number", "series_id", "number", "id"))


@transaction.atomic
def request_analyses(study_id: uuid.UUID | str) -> list[AnalysisJob]:
    """Make the jobs of a complete study: one for each default model of its modality, once for its content.

    A contract that is not met makes a job too, one that has ended: the reader sees why there is no result.
    Returns the jobs that wait to be worked on; messages for them are on their way.
    """
    waiting, _ = _request(study_id)
    for job in waiting:
        _queue(job)
    return waiting


@transaction.atomic
def begin(study_id: uuid.UUID | str, worker: str) -> Claim | None:
    """`request_analyses`, and claim the first job in the same breath: most studies have one, and its result
    comes sooner by a commit and a message. None where no job waits."""
    waiting, instances = _request(study_id)
    for job in waiting[1:]:
        _queue(job)
    for job in waiting[:1]:
        # One that existed before may be another worker's at this moment.
        free = AnalysisJob.objects.select_for_update(skip_locked=True, of=("self",))
        if free.filter(pk=job.pk, state=State.REQUESTED, available_at__lte=Now()).exists():
            return _take(job, worker, instances)
    return None


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
        transitions.cancel(job)
        return None
    return _take(job, worker, instances_of(job.study))


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
    Artefact.objects.bulk_create(
        Artefact(id=image.id, job=job, instance=claim.instances[image.index], kind=image.kind, file=file)
        for image, file in zip(made, files, strict=True)
    )
    _keep_findings(job, claim.instances, result)
    manifest = manifest_of(job.model_version)
    job.result = result.model_dump(mode="json")
    job.score = result.probabilities.get(manifest.positive_class)
    transitions.end_attempt(job, Outcome.SUCCEEDED)
    transitions.end(job, State.SUCCEEDED)
    return True


@transaction.atomic
def conclude(claim: Claim, state: str, reason: str) -> bool:
    """End a job without a result: `NOT_APPLICABLE`, or `FAILED` because it fails the same way each time."""
    job = _ours(claim)
    if job is None:
        return False
    transitions.end_attempt(job, Outcome.FAILED if state == State.FAILED else Outcome.SUCCEEDED, reason)
    transitions.end(job, state, reason)
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
    if away and job.started_at and probes.proven_since(component_of(job.model_version), job.started_at):
        away = False
    transitions.end_attempt(job, Outcome.AWAY if away else Outcome.FAILED, reason)
    transitions.try_again(job, reason, away=away)
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
        transitions.end_attempt(job, Outcome.LOST, "the worker stopped answering")
        transitions.try_again(job, "the worker stopped answering", at_once=True)
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
        transitions.cancel(job)
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
    transitions.move(locked, State.REQUESTED)
    outbox.publish(REQUESTED_TOPIC, job_id=str(locked.pk))
    transitions.record_of(actor, "job.retry", locked)
    return locked


def _request(study_id: uuid.UUID | str) -> tuple[list[AnalysisJob], list[Instance]]:
    """The study's waiting jobs, made where there are none, and its images."""
    # The lock makes two requests for one study follow each other.
    study = Study.objects.select_for_update(of=("self",)).filter(pk=study_id).first()
    if study is None or study.state != Study.State.COMPLETE or study.withdrawn_at is not None:
        return [], []
    instances = instances_of(study)
    known = {
        job.model_version_id: job
        for job in AnalysisJob.objects.filter(study=study, content_hash=study.content_hash)
    }
    waiting = []
    for version in default_versions(study.modality):
        job = known.get(version.pk)
        if job is None:
            reason = why_not(instances, manifest_of(version).input)
            job = AnalysisJob.objects.create(
                study=study,
                content_hash=study.content_hash,
                model_version=version,
                state=State.NOT_APPLICABLE if reason else State.REQUESTED,
                reason=reason,
                finished_at=timezone.now() if reason else None,
            )
            transitions.record_of(transitions.worker_actor(), "job.request", job, state=job.state)
            if reason:
                outbox.publish(ENDED_TOPIC, job_id=str(job.pk), study_id=str(job.study_id))
        if job.state == State.REQUESTED:
            job.study, job.model_version = study, version
            waiting.append(job)
    return waiting, instances


def _queue(job: AnalysisJob) -> None:
    AnalysisJob.objects.filter(pk=job.pk).update(queued_at=Now())
    outbox.publish(REQUESTED_TOPIC, job_id=str(job.pk))


def _take(job: AnalysisJob, worker: str, instances: Sequence[Instance]) -> Claim:
    job.attempt += 1
    job.started_at = timezone.now()
    transitions.move(job, State.RUNNING, lease_expires_at=Now() + _lease())
    JobAttempt.objects.create(job=job, number=job.attempt, worker=worker[:100], started_at=job.started_at)
    return Claim(job, job.attempt, tuple(instances))


def _lease() -> timedelta:
    return timedelta(seconds=settings.JOB_LEASE_SECONDS)


def _ours(claim: Claim) -> AnalysisJob | None:
    """The locked job if this attempt is still its latest, runs, and has not let its lease run out."""
    job = (
        AnalysisJob.objects.select_for_update(of=("self",))
        .select_related("study", "model_version")
        .filter(pk=claim.job.pk, attempt=claim.attempt, state=State.RUNNING, lease_expires_at__gt=Now())
        .first()
    )
    if job is not None and job.study.withdrawn_at is not None:
        transitions.cancel(job)
        return None
    return job


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
