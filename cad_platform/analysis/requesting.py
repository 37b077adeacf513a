"""Which jobs a study has: one for each version that is routed to it, once for its content.

Called inside transactions that hold the study's row (`studies.services.lock_study`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from django.db.models import Q
from django.utils import timezone

from cad_platform.analysis import transitions
from cad_platform.analysis.models import AnalysisJob
from cad_platform.analysis.suitability import none_to_read, why_not
from cad_platform.analysis.transitions import ENDED_TOPIC, State
from cad_platform.core import outbox
from cad_platform.registry.models import ModelVersion
from cad_platform.registry.routing import route
from cad_platform.registry.selectors import manifest_of
from cad_platform.studies.models import Instance, Study
from cad_platform.studies.selectors import sorted_images
from cad_platform.studies.sorting import SortedImage, scored


def jobs_for(
    study: Study,
    *,
    again: bool = False,
    model: str = "",
    images_of: Callable[[Study], list[SortedImage]] = sorted_images,
) -> list[AnalysisJob]:
    """The jobs by which the versions routed now look at the study's present content, made where there are none.

    A contract that is not met makes a job too, one that has ended: the reader sees why there is no result. A job that
    was cancelled waits again; with `again` so does one that failed or was declined. One that succeeded stays: the same
    version would say the same of the same images.

    Parameters
    ----------
    study
        As `lock_study` gave it. An incomplete or withdrawn one has none.
    model
        The name of one model, where the others are not meant.
    images_of
        Looks at the study's images, where that is needed.
    """
    if study.state != Study.State.COMPLETE or study.withdrawn_at is not None:
        return []
    images: list[SortedImage] = []
    known = _known(study)
    reopened = {State.CANCELLED, State.FAILED, State.NOT_APPLICABLE} if again else {State.CANCELLED}
    jobs = []
    for version in route(study):
        if model and version.name != model:
            continue
        job = known.get(version.pk)
        if job is None or job.state == State.NOT_APPLICABLE:
            images = images or images_of(study)
        if job is None:
            job = _made(study, version, images)
        else:
            job.study, job.model_version = study, version
            # What was declined is looked at again only if it fits by now.
            if job.state in reopened and not (
                job.state == State.NOT_APPLICABLE and _unmet_requirement(version, images)
            ):
                transitions.reopen(job)
                transitions.record_of(transitions.worker_actor(), "job.request", job, state=job.state)
        jobs.append(job)
    return jobs


def waiting(jobs: Sequence[AnalysisJob]) -> list[AnalysisJob]:
    """Those of them that somebody has to work on."""
    return [job for job in jobs if job.state == State.REQUESTED]


def is_routed(job: AnalysisJob) -> bool:
    """Whether the job's version still runs for its study."""
    return any(version.pk == job.model_version_id for version in route(job.study))


def replace(job: AnalysisJob) -> AnalysisJob | None:
    """Cancel an open job whose version no longer runs for its study, in favour of the version of the same model that
    does; returns that one's job, or None where no version of the model is routed and the job goes on waiting."""
    successor = next(
        (version for version in route(job.study) if version.name == job.model_version.name), None
    )
    if successor is None or successor.pk == job.model_version_id:
        return None
    transitions.cancel(job, f"{successor} is used now")
    return next(iter(jobs_for(job.study, model=successor.name)), None)


def is_superseded(job: AnalysisJob) -> bool:
    """Whether the study is not any more what the job was to look at: images came, or something was corrected."""
    return job.content_hash != job.study.content_hash


def _known(study: Study) -> dict[object, AnalysisJob]:
    """Version → its job on the study's present content. Open ones on an earlier content are cancelled."""
    found = AnalysisJob.objects.select_for_update(of=("self",)).select_related("model_version")
    found = found.defer("model_version__card", "model_version__metrics")
    known: dict[object, AnalysisJob] = {}
    for job in found.filter(Q(content_hash=study.content_hash) | Q(state__in=AnalysisJob.OPEN), study=study):
        job.study = study
        if is_superseded(job):
            transitions.cancel(job, transitions.SUPERSEDED)
        else:
            known[job.model_version_id] = job
    return known


def _made(study: Study, version: ModelVersion, images: Sequence[SortedImage]) -> AnalysisJob:
    reason = _unmet_requirement(version, images)
    slides = any(image.instance.kind == Instance.Kind.SLIDE for image in scored(images, version.modality))
    job = AnalysisJob.objects.create(
        study=study,
        content_hash=study.content_hash,
        model_version=version,
        queue=AnalysisJob.Queue.SLIDE if slides else AnalysisJob.Queue.SHORT,
        state=State.NOT_APPLICABLE if reason else State.REQUESTED,
        reason=reason,
        finished_at=timezone.now() if reason else None,
    )
    transitions.record_of(transitions.worker_actor(), "job.request", job, state=job.state)
    if reason:
        outbox.publish(ENDED_TOPIC, job_id=str(job.pk), study_id=str(job.study_id))
    return job


def _unmet_requirement(version: ModelVersion, images: Sequence[SortedImage]) -> str:
    """Why the version says nothing of these images; empty where it does."""
    read = scored(images, version.modality)
    if images and not read:
        return none_to_read(images)
    return why_not([image.instance for image in read], manifest_of(version).input)
