"""What the outbox tells and what the clock does."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from cad_platform.core.queues import ACCEPTANCE_TASK
from cad_platform.quality import acceptance_repeated, acceptance_run, devices, known_cases, rollups, watching


@shared_task(name="quality.analysis_ended")
def analysis_ended(job_id: str, **_: str) -> int:
    """What is measured of it, and its hour; of a known case whether it is answered as before."""
    return 0 if known_cases.answered(job_id) else rollups.measure([job_id])


@shared_task(name="quality.report_signed")
def report_signed(report_id: str, **_: str) -> int:
    """What readers, or pathology, made of analyses."""
    return rollups.measure_signed(report_id)


@shared_task(name="quality.study_corrected")
def study_corrected(study_id: str, **_: str) -> int:
    """Sides, age or device may be others now."""
    return rollups.measure_study(study_id)


@shared_task(name="quality.watch")
def watch() -> int:
    """Measure what the rules watch."""
    return watching.watch()


@shared_task(name="quality.test_devices")
def test_devices() -> int:
    """Compare each device's images with those that the models were made from."""
    return devices.test_devices()


@shared_task(name="quality.run_known_cases")
def run_known_cases() -> int:
    """Send the known cases on their way through the platform."""
    return known_cases.run()


@shared_task(name=ACCEPTANCE_TASK, bind=True, max_retries=None)
def measure_acceptance(self: Any, acceptance_id: str, **_: str) -> str:
    """Measure a version on known cases, once no slide waits."""
    if acceptance_run.must_wait(acceptance_id):
        raise self.retry(countdown=30)
    return acceptance_run.measure(acceptance_id)


@shared_task(name="quality.repeat_acceptances")
def repeat_acceptances() -> int:
    """Have signed verdicts measured again."""
    return acceptance_repeated.repeat()
