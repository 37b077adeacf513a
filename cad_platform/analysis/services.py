"""What workers do with jobs: claim them, keep what came of them, give them back; artefacts and findings are made here.

A job is claimed for a lease, worked on without any lock, and what comes of it is kept only if the claim is
still the latest. Every function is one transaction for each job and safe to repeat: messages come at least once. All
lock the study first, then its job, as every writer of a case does. What people ask for stands in `analysis.again`.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from cad_platform.analysis import requesting, transitions, turns
from cad_platform.analysis.marks import keep_findings
from cad_platform.analysis.models import AnalysisJob, Artefact, JobAttempt
from cad_platform.analysis.transitions import REQUESTED_TOPIC, Outcome, State
from cad_platform.analysis.verdict import score_of
from cad_platform.core import outbox, proofs
from cad_platform.core.queues import SHORT
from cad_platform.registry.health import component_of
from cad_platform.registry.routing import is_routed_job, routed_versions
from cad_platform.registry.selectors import manifest_of
from cad_platform.studies import storage
from cad_platform.studies.models import Instance, Study
from cad_platform.studies.selectors import sorted_images
from cad_platform.studies.services import lock_study
from cad_platform.studies.sorting import SortedImage, scored
from inference.contract import AnalysisResult


@dataclass(frozen=True)
class Claim:
    """The right to work on a job until the lease ends: the job as it was then, the attempt's number, and those of the
    study's images that the model reads, in the order in which it sees them."""

    job: AnalysisJob
    attempt: int
    images: tuple[SortedImage, ...]

    @property
    def instances(self) -> tuple[Instance, ...]:
        return tuple(image.instance for image in self.images)


@dataclass(frozen=True)
class MadeImage:
    """A mask or heat map of the instance at `index` of the study; `id` stands in the result already."""

    id: uuid.UUID
    index: int
    kind: str
    png: bytes


@transaction.atomic
def request_analyses(study_id: uuid.UUID | str) -> list[AnalysisJob]:
    """Make the jobs of a complete study (`requesting.jobs_for`).

    Returns
    -------
    list of AnalysisJob
        Those that wait to be worked on; messages for them go out with the transaction. Empty for a study that is
        unknown, incomplete or withdrawn.
    """
    study = lock_study(study_id)
    return _request(study, sorted_images) if study else []


def _request(
    study: Study, images_of: Callable[[Study], list[SortedImage]], at_hand: str = ""
) -> list[AnalysisJob]:
    """`at_hand`: the queue of which the caller claims a job next; one of these jobs needs no message."""
    waiting = requesting.waiting(requesting.jobs_for(study, images_of=images_of))
    spared = next((job for job in waiting if job.queue == at_hand), None)
    for job in waiting:
        if job is not spared:
            transitions.queue(job)
    return waiting


@transaction.atomic
def begin(study_id: uuid.UUID | str, worker: str) -> Claim | None:
    """`request_analyses`, and where no other short job is due, claim the study's own in the same breath: most studies
    find the queue empty, and their results come sooner by a commit and a look at who is next.

    Returns
    -------
    Claim or None
        None where others wait too, or no short job of this study is due: `claim_next` says whose turn it is.
    """
    study = lock_study(study_id)
    if study is None:
        return None
    images_of = cache(sorted_images)  # whoever makes the job and whoever takes it look at the same
    waiting = _request(study, images_of, at_hand=SHORT)
    now = timezone.now()
    ours = [job for job in waiting if job.queue == SHORT and job.available_at <= now]
    if not ours or turns.others_wait(SHORT, ours):
        return None
    return _take(ours[0], worker, by_age=False, images=images_of(study))


def claim_next(queue: str, worker: str) -> Claim | None:
    """Take the job whose turn it is in a queue (`turns.next_job`); of workers that ask at once each gets another.

    Returns
    -------
    Claim or None
        None where none is due.
    """
    while True:
        with transaction.atomic():
            turn = turns.next_job(queue)
            if turn is None:
                break
            # None where it was cancelled, or another took its place: that one has its own turn.
            claimed = claim(turn.job_id, worker, by_age=turn.by_age)
        if claimed is not None:
            return claimed
    # Somebody changes its study, or sweeps over it, for a moment: this call must not be lost.
    held = turns.held_back(queue)
    return claim(held, worker) if held is not None else None


@transaction.atomic
def claim(job_id: uuid.UUID | str, worker: str, *, by_age: bool = False) -> Claim | None:
    """Take this waiting job for one lease of `JOB_LEASE_SECONDS`.

    Parameters
    ----------
    worker
        Who takes it, for the page of the job: host and process.
    by_age
        Whether it was its age that gave it the turn.

    Returns
    -------
    Claim or None
        Of another job where another version runs for the study by now. None where the job is taken, ended, not due
        yet or unknown, or its study was withdrawn: it is cancelled then.
    """
    job = _locked(job_id, state=State.REQUESTED, available_at__lte=Now())
    if job is None:
        return None
    if job.study.withdrawn_at is not None:
        transitions.cancel(job)
        return None
    if requesting.is_superseded(job):
        transitions.cancel(job, transitions.SUPERSEDED)
        return None
    if not requesting.is_routed(job):
        job = requesting.replace(job) or job
    return _take(job, worker, by_age) if job.state == State.REQUESTED else None


def renew(claim: Claim) -> bool:
    """Extend the lease; False when it has run out or the job is no longer this attempt's."""
    ours = AnalysisJob.objects.filter(
        pk=claim.job.pk, attempt=claim.attempt, state=State.RUNNING, lease_expires_at__gt=Now()
    )
    return ours.update(lease_expires_at=Now() + _lease()) == 1


def finish(claim: Claim, result: AnalysisResult, made: Sequence[MadeImage]) -> bool:
    """Keep a result with its masks, heat maps and findings.

    Parameters
    ----------
    result
        As the model server gave it, one image of it for each of `claim.instances` in their order, with the ids of
        `made` where masks and heat maps were.
    made
        Every mask and heat map that the result names.

    Returns
    -------
    bool
        False, and nothing kept, where the job is no longer this attempt's or another version runs for the study
        by now.

    Raises
    ------
    Unavailable, StorageFull
        The storage takes no file now; nothing is kept.
    """
    # Files first: no transaction is open while bytes travel. What a lost attempt leaves is collected.
    files = [storage.store_bytes(image.png, "image/png") for image in made]
    with transaction.atomic():
        job = _job_of(claim)
        if job is None or _replaced(job):
            return False
        Artefact.objects.bulk_create(
            Artefact(id=image.id, job=job, instance=claim.instances[image.index], kind=image.kind, file=file)
            for image, file in zip(made, files, strict=True)
        )
        keep_findings(job, claim.instances, result)
        manifest = manifest_of(job.model_version)
        job.result = result.model_dump(mode="json")
        job.score = score_of(job.result, manifest.positive_class)
        transitions.end_attempt(job, Outcome.SUCCEEDED)
        transitions.end(job, State.SUCCEEDED)
        return True


@transaction.atomic
def conclude(claim: Claim, state: str, reason: str) -> bool:
    """End a job without a result. A failure of a version that no longer runs for the study is nobody's concern: the one
    that does takes over.

    Parameters
    ----------
    state
        `NOT_APPLICABLE`, or `FAILED` because it fails the same way each time.
    reason
        What readers and administrators are told; names no patient.

    Returns
    -------
    bool
        False where the job is no longer this attempt's: another has it, the lease ran out, the study was withdrawn.
    """
    job = _job_of(claim)
    if job is None:
        return False
    if state == State.FAILED and _replaced(job):
        return True
    transitions.end_attempt(job, Outcome.FAILED if state == State.FAILED else Outcome.SUCCEEDED, reason)
    transitions.end(job, state, reason)
    return True


@transaction.atomic
def give_back(claim: Claim, reason: str, *, away: bool, may_be_job: bool = True) -> bool:
    """The attempt gave no result, another one may: wait a while, or fail when there were enough.

    Parameters
    ----------
    reason
        As in `conclude`.
    away
        Something that the job needs was away (model server, storage). Such attempts do not count, and the job
        goes on for `JOB_PATIENCE`; unless the model has answered others since the attempt began, for then the
        fault lies with the job.

    Returns
    -------
    bool
        As of `conclude`.
    """
    job = _job_of(claim)
    if job is None:
        return False
    if _replaced(job):
        return True
    if (
        away
        and may_be_job
        and job.started_at
        and proofs.proven_since(component_of(job.model_version), job.started_at)
    ):
        away = False
    transitions.end_attempt(job, Outcome.AWAY if away else Outcome.FAILED, reason)
    transitions.try_again(job, reason, away=away)
    return True


@transaction.atomic
def give_way(claim: Claim) -> bool:
    """The attempt has stopped for something more urgent, and what it has is kept: the job waits for its next turn, and
    nothing counts against it.

    Returns
    -------
    bool
        As of `conclude`.
    """
    job = _job_of(claim)
    if job is None:
        return False
    if _replaced(job):
        return True
    transitions.end_attempt(job, Outcome.GAVE_WAY)
    transitions.give_way(job)
    return True


def keep_checkpoint(claim: Claim, content: bytes) -> bool:
    """Keep what there is of a job so far, where every machine's workers find it; False where it is no longer this
    attempt's.

    Raises
    ------
    Unavailable, StorageFull
        The storage takes no file now.
    """
    file = storage.store_bytes(content, "application/octet-stream")
    ours = AnalysisJob.objects.filter(pk=claim.job.pk, attempt=claim.attempt, state=State.RUNNING)
    return ours.filter(lease_expires_at__gt=Now()).update(checkpoint=file) == 1


def take_over_lost(limit: int = 100) -> int:
    """Request anew the jobs whose worker has stopped renewing its lease; returns how many."""
    lost = {"state": State.RUNNING, "lease_expires_at__lte": Now()}
    return _each(AnalysisJob.objects.filter(**lost), lost, _take_over, limit)


def cancel_withdrawn(limit: int = 100) -> int:
    """Cancel the open jobs of withdrawn studies; a worker that is at one notices at its next renewal."""
    found = AnalysisJob.objects.filter(state__in=AnalysisJob.OPEN, study__withdrawn_at__isnull=False)
    return _each(found, {"state__in": AnalysisJob.OPEN}, transitions.cancel, limit)


def replace_unrouted(limit: int = 200) -> int:
    """Move open jobs to the version that runs for their studies now; returns how many. Called when a model's version
    was changed, and by the sweeper: a message may be lost."""
    found = AnalysisJob.objects.filter(
        state__in=AnalysisJob.OPEN,
        study__withdrawn_at__isnull=True,
        model_version__name__in=routed_versions().values("name"),
    ).exclude(is_routed_job())
    return _each(found, {"state__in": AnalysisJob.OPEN}, _replace, limit)


@transaction.atomic
def queue_overdue(resend_after: timedelta, limit: int = 200) -> int:
    """Send a message for each job that is due and for which none was sent lately; returns how many.

    Parameters
    ----------
    resend_after
        A message that is older is taken for lost where nothing of its queue was claimed since, one three times as old
        anywhere.
    limit
        Of the jobs without a message, and again of those whose message is lost: up to twice as many in all.
    """
    due = AnalysisJob.objects.select_for_update(skip_locked=True, of=("self",)).filter(
        state=State.REQUESTED, available_at__lte=Now()
    )
    never = due.filter(queued_at__isnull=True)
    # Where the queue moves, its messages are there; they would pile up behind a long one.
    moving = JobAttempt.objects.filter(queue=OuterRef("queue"), started_at__gt=Now() - resend_after)
    lost = due.filter(
        Q(queued_at__lte=Now() - 3 * resend_after) | Q(queued_at__lte=Now() - resend_after) & ~Exists(moving)
    )
    jobs = [*never.order_by("available_at")[:limit], *lost.order_by("available_at")[:limit]]
    AnalysisJob.objects.filter(pk__in=[job.pk for job in jobs]).update(queued_at=Now())
    for job in jobs:
        outbox.publish(REQUESTED_TOPIC, queue=job.queue)
    return len(jobs)


def _each(
    found: QuerySet[AnalysisJob],
    condition: Mapping[str, object],
    step: Callable[[AnalysisJob], object],
    limit: int,
) -> int:
    """Do `step` with each job in a transaction of its own, if `condition` still holds under the locks."""
    done = 0
    for job_id in list(found.values_list("pk", flat=True)[:limit]):
        with transaction.atomic():
            job = _locked(job_id, **condition)
            if job is not None:
                step(job)
                done += 1
    return done


def _take_over(job: AnalysisJob) -> None:
    transitions.end_attempt(job, Outcome.LOST, "the worker stopped answering")
    transitions.try_again(job, "the worker stopped answering", at_once=True)


def _replace(job: AnalysisJob) -> None:
    other = requesting.replace(job)
    if other is not None and other.state == State.REQUESTED:
        transitions.queue(other)


def _replaced(job: AnalysisJob) -> bool:
    """Whether another version runs for the study of this job by now; it goes on with that one then."""
    if requesting.is_routed(job):
        return False
    _replace(job)
    return job.state == State.CANCELLED


def _take(job: AnalysisJob, worker: str, by_age: bool, images: Sequence[SortedImage] | None = None) -> Claim:
    job.attempt += 1
    job.started_at = timezone.now()
    job.reason = ""
    transitions.move(job, State.RUNNING, lease_expires_at=Now() + _lease())
    JobAttempt.objects.create(
        job=job, number=job.attempt, worker=worker[:100], started_at=job.started_at,
        queue=job.queue, by_age=by_age,
    )  # fmt: skip
    images = sorted_images(job.study) if images is None else images
    return Claim(job, job.attempt, tuple(scored(images, job.model_version.modality)))


def _lease() -> timedelta:
    return timedelta(seconds=settings.JOB_LEASE_SECONDS)


def _locked(job_id: uuid.UUID | str, **condition: Any) -> AnalysisJob | None:
    """The job with its study, both locked in that order, if it meets the condition then."""
    study_id = AnalysisJob.objects.filter(pk=job_id, **condition).values_list("study_id", flat=True).first()
    return _locked_of(study_id, job_id, **condition) if study_id else None


def _locked_of(study_id: uuid.UUID, job_id: uuid.UUID | str, **condition: Any) -> AnalysisJob | None:
    """`_locked` for who knows the study."""
    study = lock_study(study_id)
    if study is None:
        return None
    found = AnalysisJob.objects.select_for_update(of=("self",)).select_related("model_version")
    found = found.defer("model_version__card", "model_version__metrics")
    job = found.filter(pk=job_id, **condition).first()
    if job is not None:
        job.study = study
    return job


def _job_of(claim: Claim) -> AnalysisJob | None:
    """The locked job if this attempt is still its latest, runs, and has not let its lease run out."""
    job = _locked_of(
        claim.job.study_id,
        claim.job.pk,
        attempt=claim.attempt,
        state=State.RUNNING,
        lease_expires_at__gt=Now(),
    )
    if job is not None and job.study.withdrawn_at is not None:
        transitions.cancel(job)
        return None
    return job
