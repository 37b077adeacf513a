"""What workers, messages and brokers may drop, picked up again: called every few seconds by Celery beat."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from cad_platform.analysis import again, bulk, services, shadow
from cad_platform.analysis.models import AnalysisJob
from cad_platform.registry.routing import is_analysed, is_routed_job
from cad_platform.studies.models import Study

#: A message that has not led to a claim by then is taken for lost. In a long queue it only comes twice.
RESEND_AFTER = timedelta(seconds=60)
#: So long the event of a complete study may take before the sweeper asks for its analyses itself.
UNNOTICED_AFTER = timedelta(seconds=20)
#: Studies that are older are looked through at the start and every ten minutes: an event is lost when it is new, and
#: what another version makes of an old study can wait so long.
_RECENT = timedelta(days=2)
_ALL_EVERY_S = 600.0

_last_look_at_all: float | None = None

_RESULT_OR_ON_ITS_WAY = (
    AnalysisJob.State.SUCCEEDED,
    AnalysisJob.State.NOT_APPLICABLE,
    AnalysisJob.State.REQUESTED,
    AnalysisJob.State.RUNNING,
)


@dataclass(frozen=True)
class Swept:
    """How many jobs or studies were found in each state of neglect."""

    cancelled: int
    taken_over: int
    replaced: int
    queued: int
    unnoticed: int
    again: int
    bulk: int
    shadows: int


def sweep() -> Swept:
    """One round; idempotent, and safe beside another sweeper."""
    # Most rounds of most days: one look instead of four.
    some = AnalysisJob.objects.filter(state__in=AnalysisJob.OPEN).exists()
    return Swept(
        cancelled=services.cancel_withdrawn() if some else 0,
        taken_over=services.take_over_lost() if some else 0,
        replaced=services.replace_unrouted() if some else 0,
        queued=services.queue_overdue(RESEND_AFTER) if some else 0,
        unnoticed=_notice_studies(),
        again=again.go_on(),
        bulk=bulk.go_on(),
        shadows=shadow.call_waiting(),
    )


def _notice_studies(limit: int = 50) -> int:
    """Complete studies without a result that nobody works on: their event was lost with a broker's memory, or the
    version that failed them is no longer the one in use."""
    global _last_look_at_all
    now = time.monotonic()
    everything = _last_look_at_all is None or now - _last_look_at_all > _ALL_EVERY_S
    oldest = None if everything else timezone.now() - _RECENT
    studies = unnoticed(oldest, limit)
    for study_id in studies:
        services.request_analyses(study_id)
    if everything and len(studies) < limit:
        _last_look_at_all = now
    return len(studies)


def unnoticed(oldest: datetime | None, limit: int) -> list[uuid.UUID]:
    """Some of those studies, the oldest first; of all, or completed since `oldest`."""
    jobs = AnalysisJob.objects.filter(study=OuterRef("pk"), content_hash=OuterRef("content_hash"))
    found = (
        Study.objects.filter(
            state=Study.State.COMPLETE,
            withdrawn_at__isnull=True,
            completed_at__lt=timezone.now() - UNNOTICED_AFTER,
        )
        .filter(is_analysed())
        .filter(~Exists(jobs.filter(is_routed_job())))
        .filter(~Exists(jobs.filter(state__in=_RESULT_OR_ON_ITS_WAY)))
        .order_by(F("completed_at"))
    )
    if oldest is not None:
        found = found.filter(completed_at__gte=oldest)
    return list(found.values_list("pk", flat=True)[:limit])
