"""What Celery beat asks of studies."""

from __future__ import annotations

import logging
from dataclasses import asdict

from celery import shared_task

from cad_platform.studies import collector

logger = logging.getLogger(__name__)


@shared_task(name="studies.collect_files")
def collect_files() -> dict[str, int]:
    """Remove files that no row names; safe to run at any time and twice at once."""
    collected = asdict(collector.collect())
    if any(collected.values()):
        logger.info("files collected", extra=collected)
    return collected
