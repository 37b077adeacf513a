"""Tasks without a clinical meaning."""

from __future__ import annotations

import time

from celery import shared_task

from cad_platform.core import probes, relay


@shared_task(name="core.answer_probe")
def answer_probe(sent_at: float) -> None:
    """The worker's proof: a message came through the broker and its outcome reached the database."""
    probes.succeeded(probes.WORKER, latency_ms=max(0.0, (time.time() - sent_at) * 1000))


@shared_task(name="core.purge_outbox")
def purge_outbox() -> int:
    """Forget events that were published days ago."""
    return relay.purge_published()
