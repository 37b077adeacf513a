"""What happened, as the outbox tells it, at least once each: made into deliveries."""

from __future__ import annotations

import hashlib

from celery import shared_task

from cad_platform.delivery.models import Event
from cad_platform.delivery.services import announce
from cad_platform.reading.case_state import current_jobs, have_ended
from cad_platform.reporting.models import Report
from cad_platform.studies.models import Study


@shared_task(name="delivery.study_analysed")
def study_analysed(study_id: str, **_: str) -> int:
    """A job of the study has ended: when it was the last of those that count, the study is analysed."""
    study = Study.objects.filter(pk=study_id).first()
    if study is None:
        return 0
    counting = current_jobs(study)
    if not counting or not have_ended(counting):
        return 0
    ended = sorted(f"{job.pk} {job.finished_at}" for job in counting)
    occurrence = hashlib.sha256("\n".join([study.content_hash, *ended]).encode()).hexdigest()
    return announce(study, Event.STUDY_ANALYSED, occurrence)


@shared_task(name="delivery.report_signed")
def report_signed(report_id: str, **_: str) -> int:
    report = Report.objects.select_related("study").filter(pk=report_id).first()
    return announce(report.study, Event.REPORT_SIGNED, str(report.pk)) if report is not None else 0


@shared_task(name="delivery.study_corrected")
def study_corrected(study_id: str, **_: str) -> int:
    """Each correction of the study, and each time that it was brought back; those that were told are not told again."""
    study = Study.objects.filter(pk=study_id).first()
    if study is None:
        return 0
    return sum(
        announce(study, Event.STUDY_CORRECTED, str(pk))
        for pk in study.corrections.order_by("version").values_list("pk", flat=True)
    )
