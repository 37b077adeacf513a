"""What an actor may read of jobs, findings and artefacts."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from django.db.models import QuerySet
from django.urls import reverse

from cad_platform.accounts.rules import require
from cad_platform.analysis.models import AnalysisJob, Artefact, Finding
from cad_platform.core.errors import NotFound
from cad_platform.core.request import Actor
from cad_platform.studies.models import Study


def jobs_of(actor: Actor, study: Study) -> QuerySet[AnalysisJob]:
    """The study's jobs, oldest first.

    Raises
    ------
    NotFound, NotPermitted
        Another site's study; a role or token that may not read it.
    """
    require(actor, "study.view", study)
    found = AnalysisJob.objects.filter(study=study).select_related("model_version")
    return found.order_by("requested_at", "pk")


def findings_of(actor: Actor, study: Study) -> QuerySet[Finding]:
    """What models and readers have marked, as numbered. Raises as `jobs_of`."""
    require(actor, "study.view", study)
    found = Finding.objects.filter(study=study)
    return found.select_related("instance", "job__model_version", "author").order_by("number")


def artefact(actor: Actor, artefact_id: uuid.UUID) -> Artefact:
    """A mask or heat map with its file.

    Raises
    ------
    NotFound, NotPermitted
        Unknown, or another site's; a role or token that may not see images.
    """
    found = Artefact.objects.select_related("file", "instance", "job__study").filter(pk=artefact_id).first()
    if found is None:
        raise NotFound("There is no such object at your site.")
    require(actor, "image.view", found.instance)
    return found


def all_jobs(actor: Actor, state: str = "") -> QuerySet[AnalysisJob]:
    """Every site's jobs for administrators, newest first; without patients."""
    require(actor, "job.view_all")
    found = AnalysisJob.objects.select_related("study__site", "model_version").order_by("-requested_at", "pk")
    return found.filter(state=state) if state else found


def job_by_id(actor: Actor, job_id: uuid.UUID) -> AnalysisJob:
    """One job with its attempts, for administrators. Raises `NotFound` or `NotPermitted`."""
    job = all_jobs(actor).prefetch_related("attempts").filter(pk=job_id).first()
    if job is None:
        raise NotFound("There is no such job.")
    return job


def artefact_url(artefact_id: uuid.UUID | str) -> str:
    """Where the API serves a mask or heat map."""
    return reverse("artefact", args=[artefact_id])


def job_answer(
    job: AnalysisJob, artefact_url: Callable[[uuid.UUID | str], str] = artefact_url
) -> dict[str, Any]:
    """The job as the API answers it; `result` is an `inference.contract.AnalysisResult` whose masks and heat
    maps are URLs."""
    result = job.result
    if result is not None:
        images = [
            image | {kind: artefact_url(image[kind]) for kind in ("mask", "heatmap") if image.get(kind)}
            for image in result["images"]
        ]
        result = result | {"images": images}
    return {
        "id": str(job.pk),
        "model": job.model_version.name,
        "version": job.model_version.version,
        "state": job.state,
        "reason": job.reason,
        "attempts": job.attempt,
        "requested_at": job.requested_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "result": result,
    }
