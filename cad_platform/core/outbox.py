"""Publishing without losing: an event is a row of the transaction that made it true.

The relay (`manage.py housekeeping`) hands each event to the Celery task that is registered for its topic,
at least once. A lower floor speaks upward only through here.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction

from cad_platform.core import rows
from cad_platform.core.models import OutboxEvent

#: topic → name of the Celery task that receives the payload as keyword arguments
_subscriptions: dict[str, list[str]] = {}


def subscribe(topic: str, task_name: str) -> None:
    """Register a task for a topic. Called from an app's `ready()`; repeated calls change nothing."""
    names = _subscriptions.setdefault(topic, [])
    if task_name not in names:
        names.append(task_name)


def subscribers(topic: str) -> tuple[str, ...]:
    return tuple(_subscriptions.get(topic, ()))


def publish(topic: str, **payload: Any) -> OutboxEvent:
    """Record that `topic` happened. Must be called inside the transaction that makes it true."""
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError(
            f"outbox.publish({topic!r}) outside a transaction could announce what never happened"
        )
    event = OutboxEvent(topic=topic, payload=payload)
    rows.insert(event)
    return event
