"""One attempt at one job, from the claim to what came of it. No lock and no transaction while it computes."""

from __future__ import annotations

import logging
import os
import re
import socket
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TypeVar, cast

from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from cad_platform.analysis import services
from cad_platform.analysis.lease import LeaseRenewal
from cad_platform.analysis.models import AnalysisJob
from cad_platform.analysis.services import Claim, MadeImage
from cad_platform.analysis.slices import JobSlices
from cad_platform.analysis.suitability import regions, spacing_um
from cad_platform.core import proofs, request_ids, tracing
from cad_platform.core.errors import PlatformError, StorageFull, Unavailable
from cad_platform.core.queues import SHORT, SLIDE
from cad_platform.modelserver.configured import get_model_server
from cad_platform.modelserver.port import Abandoned, Deadline
from cad_platform.registry.health import component_of
from cad_platform.registry.thresholds import manifest_at
from cad_platform.studies.slides import slide_of
from inference.contract import (
    AnalysisError,
    AnalysisResult,
    DecodingUnavailable,
    GaveWay,
    ImageReference,
    ModelManifest,
    ModelServerUnavailable,
    NotApplicable,
)

if TYPE_CHECKING:
    from cad_platform.studies.sorting import SortedImage
    from inference.runtime.forward import Save
    from inference.runtime.resumable import Keeping

logger = logging.getLogger(__name__)

T = TypeVar("T")
#: How long an attempt waits for a database that is away before it leaves the job to the sweeper.
_OUTAGE_SECONDS = 60.0
_MADE = re.compile(r"image-(?P<index>\d+)\.(?P<kind>mask|heatmap)\.png")


def run_next(queue: str) -> str:
    """Claim the next job of a queue and make one attempt; returns what came of it, in a word for the log."""
    return _work_on(_through_outages(lambda: services.claim_next(queue, _worker())))


def run_study(study_id: str) -> str:
    """Make a complete study's jobs, and one attempt at the next short job; the others have messages of their own."""
    claim = _through_outages(lambda: services.begin(study_id, _worker()))
    return _work_on(claim) if claim is not None else run_next(SHORT)


def _worker() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _work_on(claim: Claim | None) -> str:
    if claim is None:
        return "not claimed"
    job = claim.job
    with request_ids.bound(job.request_id):
        tracing.waited("analysis waits", job.waiting_since, job.started_at or timezone.now(), job=str(job.pk))
        with tracing.span(
            "analysis attempt", job=str(job.pk), attempt=claim.attempt, model=str(job.model_version)
        ) as span:
            outcome = _attempt(claim)
            if span is not None:
                span.set_attribute("outcome", outcome)
    proofs.note_traffic(proofs.worker_of(claim.job.queue))
    return outcome


def _attempt(claim: Claim) -> str:
    deadline = Deadline(settings.JOB_DEADLINE_SECONDS)
    made: list[MadeImage] = []
    try:
        slices = JobSlices(claim) if claim.job.queue == SLIDE else None
        with LeaseRenewal(claim, deadline, slices):
            result = _analyse(claim, made, deadline, slices)
            # Inside the lease: a result must not be lost because storing it took long.
            with tracing.span("keep the result"):
                kept = _through_outages(lambda: services.finish(claim, result, made))
    except GaveWay:
        logger.info("job %s attempt %d gave way", claim.job.pk, claim.attempt)
        _through_outages(lambda: services.give_way(claim))
        return "gave way"
    except Abandoned as error:
        logger.warning("job %s attempt %d abandoned: %s", claim.job.pk, claim.attempt, error)
        return "abandoned"
    except NotApplicable as error:
        return _conclude(claim, AnalysisJob.State.NOT_APPLICABLE, str(error))
    except (ModelServerUnavailable, Unavailable, StorageFull) as error:
        return _give_back(claim, _sentence(error), away=True)
    except (DecodingUnavailable, MemoryError) as error:
        # The machine's want, which no other job's success disproves: never a statement about the images.
        words = str(error) or "the machine was short of memory"
        return _give_back(claim, words, away=True, may_be_job=False)
    except AnalysisError as error:
        if error.retryable:
            return _give_back(claim, str(error), away=False)
        return _conclude(claim, AnalysisJob.State.FAILED, str(error))
    except SoftTimeLimitExceeded:
        return _give_back(claim, "the analysis took longer than a worker may spend on it", away=False)
    except (OperationalError, InterfaceError):
        # The database stayed away; the sweeper finds the lease run out when it is back.
        raise
    except Exception as error:
        logger.exception("job %s attempt %d failed", claim.job.pk, claim.attempt)
        return _give_back(claim, f"an unexpected error ({type(error).__name__})", away=False)
    proofs.note_traffic(component_of(claim.job.model_version))
    return "succeeded" if kept else "superseded"


def _analyse(
    claim: Claim, made: list[MadeImage], deadline: Deadline, slices: JobSlices | None
) -> AnalysisResult:
    job = claim.job

    def save(name: str, png: bytes, /) -> str:
        match = _MADE.fullmatch(name)
        if match is None:
            raise ValueError(f"a pipeline names its images image-<index>.<kind>.png, not {name}")
        image = MadeImage(uuid.uuid4(), int(match["index"]), match["kind"], png)
        made.append(image)
        return str(image.id)

    named = f"{job.pk}:{claim.attempt}"
    manifest = manifest_at(job.model_version, job.study.site_id)
    return ask(named, manifest, claim.images, save, deadline, slices)


def ask(
    named: str,
    manifest: ModelManifest,
    read: Sequence[SortedImage],
    save: Save,
    deadline: Deadline,
    slices: Keeping | None = None,
) -> AnalysisResult:
    """Have a model server analyse images of a study with one version; `named` is the request's name in logs. Raises as
    the model server's `analyse`, and `Unavailable` where the storage is away."""
    with ExitStack() as files:
        images = []
        for image in read:
            slide = slide_of(image.instance)
            first, *others = files.enter_context(slide.opened())
            images.append(
                ImageReference(
                    image_id=image.instance.sop_instance_uid,
                    path=str(first),
                    parts=tuple(map(str, others)),
                    sha256=slide.tag,
                    laterality=cast(Any, image.side.laterality or None),
                    view=image.view or None,
                    spacing_um=spacing_um(image.instance),
                    regions=regions(image.instance),
                    pixel_aspect=image.instance.image_facts.pixel_aspect,
                )
            )
        request = manifest.request(named, *images)
        with tracing.span("model server", images=len(images)):
            return get_model_server().analyse(request, manifest, save, deadline, slices)


def _conclude(claim: Claim, state: AnalysisJob.State, reason: str) -> str:
    logger.info("job %s attempt %d ends %s", claim.job.pk, claim.attempt, state)
    _through_outages(lambda: services.conclude(claim, state, reason))
    return str(state)


def _give_back(claim: Claim, reason: str, *, away: bool, may_be_job: bool = True) -> str:
    logger.warning("job %s attempt %d given back: %s", claim.job.pk, claim.attempt, reason)
    _through_outages(lambda: services.give_back(claim, reason, away=away, may_be_job=may_be_job))
    return "given back"


def _sentence(error: Exception) -> str:
    return error.detail if isinstance(error, PlatformError) else str(error)


def _through_outages(step: Callable[[], T]) -> T:
    """Do `step`, again while the database is away, for `_OUTAGE_SECONDS`."""
    give_up = time.monotonic() + _OUTAGE_SECONDS
    pause = 0.1
    while True:
        try:
            return step()
        except (OperationalError, InterfaceError):
            connection.close()
            if time.monotonic() + pause > give_up:
                raise
            time.sleep(pause)
            pause = min(pause * 2, 2.0)
