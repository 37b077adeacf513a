"""What Celery beat asks of the API: to forget what nobody sends again."""

from __future__ import annotations

from celery import shared_task

from cad_platform.api import idempotency
from cad_platform.core import request_keys


@shared_task(name="api.expire_idempotent_answers")
def expire_idempotent_answers() -> int:
    """Forget the answers of keys older than seven days, and the pages' forms that were done; their number."""
    return idempotency.forget_expired() + request_keys.forget_done()
