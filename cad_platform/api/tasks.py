"""What Celery beat asks of the API."""

from __future__ import annotations

from celery import shared_task

from cad_platform.api import idempotency


@shared_task(name="api.expire_idempotent_answers")
def expire_idempotent_answers() -> int:
    """Forget the answers of keys older than seven days; their number."""
    return idempotency.forget_expired()
