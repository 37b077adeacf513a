"""What messages make workers do."""

from __future__ import annotations

import logging

from celery import shared_task

from cad_platform.audit import roots

logger = logging.getLogger(__name__)


@shared_task(name="audit.verify")
def verify() -> int:
    """Close the months that are over and recompute what came after; how many problems there are."""
    closed = roots.close_months()
    found = roots.verify_open()
    if not found.intact:
        logger.error("the audit log does not hold", extra={"problems": found.problem_count})
    for root in closed:
        logger.info("audit month closed", extra={"month": f"{root.month:%Y-%m}", "links": root.last_sequence})
    return found.problem_count
