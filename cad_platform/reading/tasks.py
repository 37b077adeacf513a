"""What messages make workers do."""

from __future__ import annotations

from celery import shared_task

from cad_platform.reading import projection


@shared_task(name="reading.keep_worklist")
def keep_worklist() -> int:
    """Work out what has changed before somebody waits for it."""
    return projection.go_on()
