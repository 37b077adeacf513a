"""From the outbox to the broker: every event once at least, in order, whatever was away in between.

PostgreSQL's NOTIFY wakes the relay at commit; a look every few seconds finds what waits for other reasons. A
broker that is down leaves the events unpublished. Several relays share the work (SKIP LOCKED).
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError

from cad_platform.config.celery import REQUEST_ID, app
from cad_platform.core import outbox
from cad_platform.core.models import OutboxEvent

logger = logging.getLogger(__name__)

CHANNEL = "cad_outbox"
BATCH = 100
POLL_SECONDS = 5.0
KEPT_FOR = timedelta(days=7)
#: One immediate second try covers a pooled connection that a restart of the broker left dead.
_RETRY_POLICY = {"max_retries": 1, "interval_start": 0.0, "interval_step": 0.1, "interval_max": 0.1}

_listening = threading.local()


class BrokerAway(Exception):
    """The broker takes no message now; nothing was lost."""


def relay_pending() -> int:
    """Hand every waiting event to the tasks of its topic; return how many events.

    Raises
    ------
    BrokerAway
        After those that could be handed over were committed as published.
    """
    relayed = 0
    while True:
        batch = _relay_batch()
        relayed += batch.published
        if batch.away:
            raise BrokerAway(f"the broker takes no message ({batch.away})")
        if batch.published < BATCH:
            return relayed


def wait_for_events(seconds: float = POLL_SECONDS) -> None:
    """Return at the next commit of an event, or after `seconds`. Listens on this thread's connection."""
    with connection.cursor() as cursor:  # which connects where it must
        session = cursor.connection
        is_new = getattr(_listening, "on", None) is not session
        if is_new:
            cursor.execute(f"LISTEN {CHANNEL}")
            _listening.on = session
    if is_new:
        return  # what was committed before that is looked for first
    for _ in session.notifies(timeout=seconds, stop_after=1):
        pass


def purge_published() -> int:
    """Delete events that were published longer ago than `KEPT_FOR`; return how many."""
    published = OutboxEvent.objects.filter(published_at__lt=timezone.now() - KEPT_FOR)
    return published.delete()[0]


@dataclass(frozen=True)
class _Batch:
    """How many events went out, and why the rest did not."""

    published: int
    away: str = ""


@transaction.atomic
def _relay_batch() -> _Batch:
    waiting = OutboxEvent.objects.filter(published_at__isnull=True).order_by("pk")
    done: list[int] = []
    away = ""
    for event in waiting.select_for_update(skip_locked=True)[:BATCH]:
        try:
            _publish(event)
        except (BrokerError, OSError) as error:
            # Committed all the same: what went out before must not go out again.
            OutboxEvent.objects.filter(pk=event.pk).update(attempts=F("attempts") + 1)
            away = type(error).__name__
            break
        done.append(event.pk)
    OutboxEvent.objects.filter(pk__in=done).update(published_at=timezone.now(), attempts=F("attempts") + 1)
    return _Batch(len(done), away)


def _publish(event: OutboxEvent) -> None:
    tasks = outbox.subscribers(event.topic)
    if not tasks:
        logger.debug("nobody subscribes to %s", event.topic)
    for name in tasks:
        app.send_task(
            name,
            kwargs=event.payload,
            headers={REQUEST_ID: event.request_id},
            retry=True,
            retry_policy=_RETRY_POLICY,
        )
