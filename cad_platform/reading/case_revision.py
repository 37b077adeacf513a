"""Whether anything of an open case has changed, as its page asks every few seconds: answered without composing it."""

from __future__ import annotations

import hashlib

from django.db.models import Count, Max

from cad_platform.accounts.rules import require
from cad_platform.analysis.models import AnalysisJob, Finding
from cad_platform.core.actor import Actor
from cad_platform.reading.annotations import seen_by
from cad_platform.reading.case_state import awaits_job
from cad_platform.registry.routing import fingerprint
from cad_platform.studies.models import Study
from cad_platform.studies.selectors import study_by_uid

#: What of a job shows, or decides whether it counts. A worker that merely holds on to a job changes nothing.
_OF_JOBS = (
    *("pk", "state", "reason", "retryable", "content_hash", "score", "requested_at", "restarted_at"),
    *("available_at", "started_at", "finished_at", "model_version", "model_version__is_default"),
)


def revision_of(actor: Actor, uid: str) -> str:
    """Differs (32 hex digits) whenever something differs of what the actor sees change while a case is open: the study,
    its jobs, which versions are in use, findings, decisions, measurements, the report's standing. A few small queries,
    whatever the results hold.

    Raises `NotFound` for another site's study and `NotPermitted`, as opening the case does.
    """
    require(actor, "study.view")
    study = study_by_uid(actor, uid)
    require(actor, "study.view", study)
    jobs = list(AnalysisJob.objects.filter(study=study).order_by("pk").values_list(*_OF_JOBS))
    findings = Finding.objects.filter(study=study).aggregate(
        marks=Count("pk", distinct=True),
        decided=Count("decisions"),
        latest=Max("decisions__decided_at"),
    )
    standing_and_sides = list(
        Study.objects.filter(pk=study.pk)
        .values_list("report_standing__has_draft", "report_standing__signed_at")
        .annotate(Count("series__instances__side_confirmations"))
    )
    waits = not jobs and awaits_job(study)
    drawn = list(seen_by(actor, study).order_by("pk").values_list("pk", "revision", "reported_by", "author"))
    of_study = (study.state, study.withdrawn_at, study.content_hash, study.version)
    facts = [actor.role, of_study, jobs, fingerprint(), waits, findings, standing_and_sides, drawn]
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:32]
