"""Sending what is due, again and later where it was not taken, until it is given up. Called by housekeeping's loop.

A delivery is claimed by moving its time on, committed before anything is sent: a process that dies in between has it
sent again. Receivers know by `webhook-id` what they have had.
"""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from cad_platform.delivery import mailing, messages, posting, signature
from cad_platform.delivery.models import Delivery, DeliveryAttempt

#: Sent at a time. A webhook that does not answer holds one of them for five seconds.
_AT_A_TIME = 8
#: Who claimed has so long; longer than one POST may take.
_CLAIM = timedelta(seconds=60)
_FIRST_PAUSE, _LONGEST_PAUSE = 10.0, 6 * 3600.0


def send_due() -> int:
    """Send some of what is due; return how many. At most one at a time to each webhook, so that one that hangs keeps
    nobody waiting but itself."""
    # Mostly nothing is: one look, without a transaction.
    claimed = _claim() if _due(timezone.now()).exists() else []
    if not claimed:
        return 0
    now = timezone.now()
    with ThreadPoolExecutor(max_workers=len(claimed)) as threads:
        # They touch no database: the rows were read, the outcomes are written below.
        outcomes = list(threads.map(partial(_post, at=now), claimed))
    for delivery, outcome in zip(claimed, outcomes, strict=True):
        _settle(delivery, outcome)
    return len(claimed)


def pause_after(attempts: int) -> timedelta:
    """How long to wait after so many tries that failed: three times as long each time, never all at once."""
    seconds = min(_FIRST_PAUSE * 3.0 ** (attempts - 1), _LONGEST_PAUSE)
    return timedelta(seconds=seconds * random.uniform(0.8, 1.2))  # noqa: S311 # spreads load, hides nothing


def _due(now: datetime) -> QuerySet[Delivery]:
    return Delivery.objects.filter(
        state=Delivery.State.WAITING, due_at__lte=now, webhook__paused_at__isnull=True
    )


@transaction.atomic
def _claim() -> list[Delivery]:
    now = timezone.now()
    due = (
        _due(now)
        .select_for_update(of=("self",), skip_locked=True)
        .select_related("webhook", "study", "alert__rule__owner", "alert__site", "alert__model_version")
        .order_by("due_at")
    )
    claimed: dict[object, Delivery] = {}
    for delivery in due[: 10 * _AT_A_TIME]:
        if delivery.webhook_id not in claimed and len(claimed) < _AT_A_TIME:
            claimed[delivery.webhook_id] = delivery
    for delivery in claimed.values():
        delivery.due_at = now + _CLAIM
        delivery.attempts += 1
        delivery.save(update_fields=["due_at", "attempts"])
    return list(claimed.values())


def _post(delivery: Delivery, at: datetime) -> posting.Outcome:
    if mailing.is_mail(delivery.webhook.url):
        return mailing.send(delivery.webhook.url, *messages.as_mail(delivery), message_id=str(delivery.pk))
    body = messages.as_json(delivery)
    return posting.post(
        delivery.webhook.url, body, signature.headers_of(delivery.webhook_id, str(delivery.pk), at, body)
    )


@transaction.atomic
def _settle(delivery: Delivery, outcome: posting.Outcome) -> None:
    DeliveryAttempt.objects.create(
        delivery=delivery, status=outcome.status, error=outcome.error[:200], seconds=round(outcome.seconds, 3)
    )
    if not outcome.error:
        delivery.state, delivery.delivered_at = Delivery.State.DELIVERED, timezone.now()
    elif delivery.attempts >= settings.WEBHOOK_MAX_ATTEMPTS:
        delivery.state = Delivery.State.DEAD
    else:
        delivery.due_at = timezone.now() + pause_after(delivery.attempts)
    delivery.save(update_fields=["state", "delivered_at", "due_at"])
