"""What is done to studies without anybody waiting."""

from __future__ import annotations

import logging
from dataclasses import asdict

from celery import shared_task

from cad_platform.studies import collector, pixels

logger = logging.getLogger(__name__)


@shared_task(name="studies.collect_files")
def collect_files() -> dict[str, int]:
    """Remove files that no row names; safe to run at any time and twice at once."""
    collected = asdict(collector.collect())
    if any(collected.values()):
        logger.info("files collected", extra=collected)
    return collected


@shared_task(name="studies.prepare_images", ignore_result=True)
def prepare_images(study_id: str) -> int:
    """Decode a new study's large images for viewing, so that whoever opens it first does not wait. Returns how
    many there were; one that cannot be decoded says so to its reader."""
    return pixels.prepare(study_id)
