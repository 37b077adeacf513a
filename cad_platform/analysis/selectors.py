"""What an actor may read of jobs, findings and artefacts."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _

from cad_platform.accounts.rules import require
from cad_platform.analysis.models import AnalysisJob, Artefact, ReanalysedStudy, Reanalysis
from cad_platform.analysis.verdict import verdict_of
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, NotFound
from cad_platform.registry.models import ModelVersion
from cad_platform.registry.routing import route
from cad_platform.studies.models import Study
from imaging.identity import is_uid, without_padding
from inference.contract import Flag


def jobs_of(actor: Actor, study: Study) -> QuerySet[AnalysisJob]:
    """The study's jobs, oldest first.

    Raises
    ------
    NotFound, NotPermitted
        Another site's study; a role or token that may not read it.
    """
    require(actor, "study.view", study)
    found = AnalysisJob.objects.filter(study=study).select_related("model_version")
    # Cards and figures are long and nobody's business here.
    found = found.defer("model_version__card", "model_version__metrics")
    return found.order_by("requested_at", "pk")


def artefact(actor: Actor, artefact_id: uuid.UUID) -> Artefact:
    """A mask or heat map with its file.

    Raises
    ------
    NotFound, NotPermitted
        Unknown, or another site's; a role or token that may not see images.
    """
    found = Artefact.objects.select_related("file", "instance", "job__study").filter(pk=artefact_id).first()
    if found is None:
        raise NotFound(_("There is no such object at your site."))
    require(actor, "image.view", found.instance)
    return found


def all_jobs(actor: Actor) -> QuerySet[AnalysisJob]:
    """Every site's jobs for administrators, newest first; without patients.

    Raises
    ------
    NotPermitted
        The actor is no administrator.
    """
    require(actor, "job.view_all")
    return AnalysisJob.objects.select_related("study__site", "model_version").order_by("-requested_at", "pk")


def job_by_id(actor: Actor, job_id: uuid.UUID) -> AnalysisJob:
    """One job with its attempts, for administrators. Raises `NotFound` or `NotPermitted`."""
    job = all_jobs(actor).prefetch_related("attempts").filter(pk=job_id).first()
    if job is None:
        raise NotFound(_("There is no such job."))
    return job


def versions_in_use_for(job: AnalysisJob) -> list[ModelVersion]:
    """Those that analyse the job's study now; where its own is none of them, it is history. Empty
    where the study cannot be analysed."""
    study = job.study
    if study.state != Study.State.COMPLETE or study.withdrawn_at is not None:
        return []
    return route(study)


@dataclass(frozen=True)
class SetProgress:
    """How far a set of studies is: each study in exactly one of the counts."""

    reanalysis: Reanalysis
    total: int
    waiting: int
    at_work: int
    done: int
    failed: int
    skipped: int

    @property
    def percent(self) -> int:
        """Of the studies, how many need nothing more."""
        ended = self.done + self.failed + self.skipped
        return 100 * ended // self.total if self.total else 100

    @property
    def is_open(self) -> bool:
        return self.at_work > 0 or (self.waiting > 0 and self.reanalysis.stopped_at is None)


def reanalyses(actor: Actor, limit: int = 50) -> list[SetProgress]:
    """The sets of the actor's site, an administrator's of every site, newest first.

    Raises
    ------
    NotPermitted
        The actor may have no study analysed again.
    """
    require(actor, "study.reanalyse")
    found = Reanalysis.objects.select_related("requested_by", "site").order_by("-requested_at", "id")
    if actor.site_id is not None:
        found = found.filter(site_id=actor.site_id)
    return progress_of(list(found[:limit]))


def progress_of(sets: Sequence[Reanalysis]) -> list[SetProgress]:
    """How far each is, in one query for all of them."""
    counts = _set_counts(sets)
    return [SetProgress(each, **counts[each.pk]) for each in sets]


def reanalysis(actor: Actor, reanalysis_id: uuid.UUID) -> Reanalysis:
    """One set. Raises `NotPermitted`, or `NotFound` for another site's."""
    require(actor, "study.reanalyse")
    found = Reanalysis.objects.select_related("requested_by", "site").filter(pk=reanalysis_id)
    if actor.site_id is not None:
        found = found.filter(site_id=actor.site_id)
    one = found.first()
    if one is None:
        raise NotFound(_("There is no such set of studies."))
    return one


def study_to_analyse(actor: Actor, study_instance_uid: str) -> Study:
    """The study with this UID that may be analysed again: at the actor's site, an administrator's at any. It needs no
    right to read the study, and says nothing of its patient.

    Raises
    ------
    NotPermitted, NotFound
        The actor may not; there is none at the site.
    Conflict
        Several sites have it, and an administrator asks.
    """
    require(actor, "study.reanalyse")
    uid = without_padding(study_instance_uid)
    found = Study.objects.filter(study_instance_uid=uid) if is_uid(uid) else None
    if found is not None and actor.site_id is not None:
        found = found.filter(site_id=actor.site_id)
    # One that was withdrawn only where there is no other, as everywhere.
    studies = [] if found is None else list(found.order_by(F("withdrawn_at").desc(nulls_first=True)))
    if not studies:
        raise NotFound(_("There is no such study at your site."))
    if len({study.site_id for study in studies}) > 1:
        raise Conflict(_("Several sites have a study with this UID. Use the page of its job."))
    return studies[0]


def _set_counts(sets: Sequence[Reanalysis]) -> dict[uuid.UUID, dict[str, int]]:
    State, Member = AnalysisJob.State, ReanalysedStudy.State
    jobs = ReanalysedStudy.jobs.through.objects.filter(reanalysedstudy=OuterRef("pk"))
    asked = Q(state=Member.REQUESTED)
    counted = (
        ReanalysedStudy.objects.filter(reanalysis__in=sets)
        .annotate(
            works=Exists(jobs.filter(analysisjob__state__in=AnalysisJob.OPEN)),
            fails=Exists(jobs.filter(analysisjob__state=State.FAILED)),
        )
        .values("reanalysis")
        .annotate(
            total=Count("pk"),
            waiting=Count("pk", filter=Q(state=Member.WAITING)),
            at_work=Count("pk", filter=asked & Q(works=True)),
            failed=Count("pk", filter=asked & Q(works=False, fails=True)),
            done=Count("pk", filter=asked & Q(works=False, fails=False)),
            skipped=Count("pk", filter=Q(state__in=[Member.UNNEEDED, Member.GONE])),
        )
        .order_by()
    )
    rows: list[dict[str, Any]] = [dict(row) for row in counted]
    return {row.pop("reanalysis"): row for row in rows}


def artefact_url(artefact_id: uuid.UUID | str) -> str:
    """Where the API serves a mask or heat map."""
    return reverse("artefact", args=[artefact_id])


def job_answer(
    job: AnalysisJob,
    artefact_url: Callable[[uuid.UUID | str], str] = artefact_url,
    *,
    current: bool = False,
) -> dict[str, Any]:
    """The job as the API answers it.

    Parameters
    ----------
    artefact_url
        From the id of a mask or heat map to the address that its reader fetches it from.
    current
        Whether it is the one that counts (`reading.case_state`).

    Returns
    -------
    dict
        `result` is an `inference.contract.AnalysisResult` whose masks and heat maps are URLs, or None; times are
        `datetime`.
    """
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
        "current": current,
        "reason": job.reason,
        "attempts": job.attempt,
        "requested_at": job.requested_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "verdict": _verdict_answer(job),
        "result": result,
    }


def _verdict_answer(job: AnalysisJob) -> dict[str, Any] | None:
    verdict = verdict_of(job)
    if verdict is None:
        return None
    images = [image["image_id"] for image in (job.result or {}).get("images", [])]
    return {
        "given": verdict.is_given,
        "probability": verdict.score,
        "probability_of": job.model_version.manifest.get("positive_class", ""),
        "reason": "" if verdict.is_given else Flag.OUT_OF_DISTRIBUTION.value,
        "flags": list(verdict.flags),
        "images": [uid for uid in images if uid not in verdict.unlike] if verdict.is_given else [],
        "images_left_out": [uid for uid in images if uid in verdict.unlike],
    }
