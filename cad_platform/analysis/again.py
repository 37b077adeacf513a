"""What people have analysed again: a failed job, one study, or a set of them, with the versions in use now.

Earlier results stay: a job is never made newer, and one that succeeded is never run again by the same version.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from cad_platform.accounts.rules import require
from cad_platform.analysis import requesting, transitions
from cad_platform.analysis.models import AnalysisJob, ReanalysedStudy, Reanalysis
from cad_platform.analysis.transitions import SET_TOPIC, State
from cad_platform.audit.services import record
from cad_platform.core import outbox
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, NotFound
from cad_platform.core.punctuation import listed
from cad_platform.registry.models import ModelVersion
from cad_platform.registry.routing import shares
from cad_platform.studies.models import Study
from cad_platform.studies.services import lock_study

#: So many jobs of a set are under way at once: new studies must not wait behind a thousand old ones.
UNDER_WAY = 8
_BATCH = 2000
_Member = ReanalysedStudy.State


@transaction.atomic
def retry(actor: Actor, job: AnalysisJob) -> AnalysisJob:
    """An administrator has a failed job tried again, with all its attempts anew; where another version runs for its
    study by now, that one is asked, and its job is returned.

    Raises
    ------
    NotPermitted, NotFound
        The actor may not retry jobs; there is no such job.
    Conflict
        The job has not failed, its study was withdrawn, or the version in use has given its result.
    """
    require(actor, "job.retry")
    study = lock_study(job.study_id)
    locked = (
        AnalysisJob.objects.select_for_update(of=("self",)).select_related("model_version").filter(pk=job.pk)
    )
    failed = locked.first()
    if study is None or failed is None:
        raise NotFound(_("There is no such job."))
    failed.study = study
    if failed.state != State.FAILED:
        raise Conflict(_("Only a failed job can be tried again."))
    if study.withdrawn_at is not None:
        raise Conflict(_("The study of this job was withdrawn."))
    tried = _in_use(failed)
    if tried.state not in AnalysisJob.OPEN:
        raise Conflict(_("%(version)s has looked at this study already.") % {"version": tried.model_version})
    # A version in use that is at it already is not asked again.
    if tried.state == State.REQUESTED and tried.queued_at is None:
        transitions.queue(tried)
        transitions.record_of(actor, "job.retry", tried, failed=str(failed.pk))
    return tried


def _in_use(failed: AnalysisJob) -> AnalysisJob:
    """The job of the version in use that stands for a failed one, waiting where it can be tried."""
    for job in requesting.jobs_for(failed.study, again=True, model=failed.model_version.name):
        return job
    # No version of the model is in use: what there is can only be tried as it was.
    transitions.reopen(failed)
    return failed


@transaction.atomic
def cancel(actor: Actor, job: AnalysisJob) -> AnalysisJob:
    """An administrator cancels a job that waits or runs; a worker that is at it notices at its next renewal. It is
    begun anew when somebody has the study analysed again, or the study changes.

    Raises
    ------
    NotPermitted, NotFound
        The actor may not cancel jobs; there is no such job.
    Conflict
        The job has ended.
    """
    require(actor, "job.cancel")
    study = lock_study(job.study_id)
    locked = (
        AnalysisJob.objects.select_for_update(of=("self",)).select_related("model_version").filter(pk=job.pk)
    )
    open_job = locked.first()
    if study is None or open_job is None:
        raise NotFound(_("There is no such job."))
    open_job.study = study
    if open_job.state not in AnalysisJob.OPEN:
        raise Conflict(_("This job has ended already."))
    transitions.cancel(open_job, transitions.STOPPED)
    transitions.record_of(actor, "job.cancel_asked", open_job)
    return open_job


@transaction.atomic
def reanalyse(actor: Actor, study: Study) -> list[AnalysisJob]:
    """Analyse a study with the versions in use now, where they have not given a result; returns the jobs under way.
    Asked again while they are, it changes nothing.

    Raises
    ------
    NotPermitted, NotFound
        The actor may not, or the study belongs to another site.
    Conflict
        The study is withdrawn or incomplete, no version is in use for it, or each has given its result.
    """
    require(actor, "study.reanalyse", study)
    locked = lock_study(study.pk)
    if locked is None or locked.withdrawn_at is not None or locked.state != Study.State.COMPLETE:
        raise Conflict(_("Only a complete study that is not withdrawn can be analysed."))
    jobs = requesting.jobs_for(locked, again=True)
    under_way = [job for job in jobs if job.state in AnalysisJob.OPEN]
    if not jobs:
        raise Conflict(_("No model is in use for this kind of study."), code="no_model")
    if not under_way:
        versions = listed(job.model_version for job in jobs)
        raise Conflict(
            _("%(versions)s has looked at this study already.") % {"versions": versions}, code="analysed"
        )
    begun = [job for job in requesting.waiting(under_way) if job.queued_at is None]
    for job in begun:
        transitions.queue(job)
    # Asked again while all of them wait or run, nothing is done that could be told.
    if begun:
        record(
            actor, "study.reanalyse", object_type="study", object_id=locked.pk, site_id=locked.site_id,
            jobs=[str(job.pk) for job in begun],
        )  # fmt: skip
    return under_way


# --- sets -----------------------------------------------------------------------------------------------


def without_result(studies: QuerySet[Study]) -> QuerySet[Study]:
    """Those that would be analysed: complete, in no open set that has not come to them yet, and a version in use has
    neither given a result, nor declined them before any attempt (it would again), nor is at it."""
    said = AnalysisJob.objects.filter(
        Q(state__in=[State.SUCCEEDED, *AnalysisJob.OPEN]) | Q(state=State.NOT_APPLICABLE, attempt=0)
    )
    special = shares()
    has = said.filter(
        study=OuterRef(OuterRef("pk")),
        content_hash=OuterRef(OuterRef("content_hash")),
        model_version=OuterRef("pk"),
    )
    defaults = ModelVersion.objects.filter(is_default=True, modality=OuterRef("modality"))
    defaults = defaults.exclude(name__in={share.name for share in special})
    missing = Q(Exists(defaults.filter(~Exists(has))))
    for share in special:
        of_share = said.filter(
            study=OuterRef("pk"), content_hash=OuterRef("content_hash"), model_version=share.version_id
        )
        missing |= Q(modality=share.modality) & share.studies() & ~Q(Exists(of_share))
    queued = ReanalysedStudy.objects.filter(
        study=OuterRef("pk"), state=_Member.WAITING, reanalysis__stopped_at__isnull=True
    )
    complete = studies.filter(state=Study.State.COMPLETE, withdrawn_at__isnull=True)
    return complete.filter(missing, ~Exists(queued))


@transaction.atomic
def reanalyse_set(actor: Actor, studies: QuerySet[Study], criteria: Mapping[str, Any]) -> Reanalysis:
    """Have every one of `studies` analysed that needs it (`without_result`), a few at a time behind new ones.

    Parameters
    ----------
    studies
        Of the actor's site; an administrator's may be of every site.
    criteria
        What was asked for, to be shown; names no patient.

    Raises
    ------
    NotPermitted
        The actor may not have studies analysed again.
    Conflict
        None of them needs it.
    """
    require(actor, "study.reanalyse")
    wanted = without_result(studies)
    if actor.site_id is not None:
        wanted = wanted.filter(site_id=actor.site_id)
    made = Reanalysis.objects.create(site_id=actor.site_id, requested_by=actor.user, criteria=dict(criteria))
    keys = list(wanted.order_by("received_at", "pk").values_list("pk", flat=True))
    if not keys:
        raise Conflict(_("No study of this choice needs it: the versions in use have analysed them all."))
    members = (ReanalysedStudy(reanalysis=made, study_id=key) for key in keys)
    ReanalysedStudy.objects.bulk_create(members, batch_size=_BATCH)
    record(actor, "study.reanalyse_set", object_type="reanalysis", object_id=made.pk, studies=len(keys))
    outbox.publish(SET_TOPIC, reanalysis_id=str(made.pk))
    return made


@transaction.atomic
def stop(actor: Actor, reanalysis: Reanalysis) -> None:
    """Leave alone what of a set has not begun; repeated, it changes nothing.

    Raises
    ------
    NotPermitted, NotFound
        The actor may not, or the set is another site's.
    """
    require(actor, "study.reanalyse")
    if actor.site_id is not None and reanalysis.site_id != actor.site_id:
        raise NotFound(_("There is no such set of studies."))
    stopped = Reanalysis.objects.filter(pk=reanalysis.pk, stopped_at__isnull=True).update(
        stopped_at=timezone.now()
    )
    if stopped:
        record(actor, "study.stop_reanalysis", object_type="reanalysis", object_id=reanalysis.pk)


def go_on() -> int:
    """Begin with the next studies of every set, so that at most `UNDER_WAY` of each are at work; returns how many.
    Called when a set is asked for, and by the sweeper until nothing of it waits."""
    begun = 0
    waiting = Exists(ReanalysedStudy.objects.filter(reanalysis=OuterRef("pk"), state=_Member.WAITING))
    for reanalysis in Reanalysis.objects.filter(waiting, stopped_at__isnull=True).order_by("requested_at"):
        members = ReanalysedStudy.objects.filter(reanalysis=reanalysis, state=_Member.WAITING)
        room = max(0, UNDER_WAY - _jobs_in_progress(reanalysis))
        for member_id, study_id in list(members.values_list("pk", "study_id")[:room]):
            begun += _begin(reanalysis, member_id, study_id)
    return begun


def _jobs_in_progress(reanalysis: Reanalysis) -> int:
    """How many jobs of a set are under way."""
    of_set = ReanalysedStudy.jobs.through.objects.filter(reanalysedstudy__reanalysis=reanalysis)
    open_jobs = AnalysisJob.objects.filter(state__in=AnalysisJob.OPEN)
    return open_jobs.filter(pk__in=of_set.values("analysisjob")).count()


@transaction.atomic
def _begin(reanalysis: Reanalysis, member_id: int, study_id: object) -> bool:
    # The set before the study: two that go on at once count together, and nothing begins after a stop.
    sets = Reanalysis.objects.select_for_update(no_key=True)
    going_on = sets.filter(pk=reanalysis.pk, stopped_at__isnull=True).first()
    if going_on is None or _jobs_in_progress(going_on) >= UNDER_WAY:
        return False
    study = lock_study(str(study_id))
    waiting = ReanalysedStudy.objects.select_for_update(of=("self",)).filter(
        pk=member_id, state=_Member.WAITING
    )
    member = waiting.first()
    if study is None or member is None:
        return False
    jobs = requesting.jobs_for(study, again=True)
    at_work = [job for job in jobs if job.state in AnalysisJob.OPEN]
    for job in requesting.waiting(at_work):
        transitions.queue(job)
    member.jobs.add(*at_work)
    member.state = _Member.REQUESTED if at_work else _Member.UNNEEDED if jobs else _Member.GONE
    member.save(update_fields=["state"])
    return True
