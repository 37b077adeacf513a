"""What happened, as the outbox tells it, at least once each: made into deliveries."""

from __future__ import annotations

from celery import shared_task

from cad_platform.delivery import services


@shared_task(name="delivery.study_analysed")
def study_analysed(study_id: str, **_: str) -> int:
    """A job of the study has ended: when it was the last of those that count, the study is analysed."""
    return services.announce_analysed(study_id)


@shared_task(name="delivery.report_signed")
def report_signed(report_id: str, **_: str) -> int:
    """A report, or an addendum to one."""
    return services.announce_signed(report_id)


@shared_task(name="delivery.alert_raised")
def alert_raised(alert_id: str) -> int:
    """Something about a model is beyond what a rule allows."""
    return services.announce_alert(alert_id)


@shared_task(name="delivery.study_corrected")
def study_corrected(study_id: str, **_: str) -> int:
    """A correction, or a withdrawn study that was brought back."""
    return services.announce_corrections(study_id)
