"""Tasks without a clinical meaning."""

from __future__ import annotations

import time

from celery import shared_task

from cad_platform.core import proofs
from cad_platform.core.queues import ANSWER_TASK
from cad_platform.operations import relay


@shared_task(name=ANSWER_TASK)
def answer_probe(sent_at: float, queue: str) -> None:
    """The proof of a queue's workers: a message came through the broker and its outcome reached the database."""
    proofs.succeeded(proofs.worker_of(queue), latency_ms=max(0.0, (time.time() - sent_at) * 1000))


@shared_task(name="operations.purge_outbox")
def purge_outbox() -> int:
    """Forget events that were published days ago."""
    return relay.purge_published()
