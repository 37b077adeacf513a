"""What workers, messages and brokers may drop, picked up again: called every few seconds by Celery beat."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from cad_platform.analysis import services
from cad_platform.analysis.models import AnalysisJob
from cad_platform.registry.selectors import default_versions
from cad_platform.studies.models import Study

#: A message that has not led to a claim by then is taken for lost. In a long queue it only comes twice.
RESEND_AFTER = timedelta(seconds=60)
#: So long the event of a complete study may take before the sweeper asks for its analyses itself.
UNNOTICED_AFTER = timedelta(seconds=20)


@dataclass(frozen=True)
class Swept:
    """How many jobs or studies were found in each state of neglect."""

    cancelled: int
    taken_over: int
    queued: int
    unnoticed: int


def sweep() -> Swept:
    """One round; idempotent, and safe beside another sweeper."""
    return Swept(
        cancelled=services.cancel_withdrawn(),
        taken_over=services.take_over_lost(),
        queued=services.queue_overdue(RESEND_AFTER),
        unnoticed=_notice_studies(),
    )


def _notice_studies(limit: int = 50) -> int:
    """Complete studies for which nobody has asked for a job: their event was lost with a broker's memory."""
    jobs = AnalysisJob.objects.filter(study=OuterRef("pk"), content_hash=OuterRef("content_hash"))
    unnoticed = (
        Study.objects.filter(
            state=Study.State.COMPLETE,
            withdrawn_at__isnull=True,
            modality__in=default_versions().values("modality"),
            completed_at__lt=timezone.now() - UNNOTICED_AFTER,
        )
        .filter(~Exists(jobs))
        .order_by(F("completed_at"))
    )
    studies = list(unnoticed.values_list("pk", flat=True)[:limit])
    for study_id in studies:
        services.request_analyses(study_id)
    return len(studies)
