"""Whether backups are made, and can be read: what each step came to, in the audit log, and what a monitoring system is
told of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import DatabaseError, transaction

from cad_platform.audit.models import AuditEvent
from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.core.declarations import Metric, Sample
from cad_platform.operations.backup.errors import BackupError

logger = logging.getLogger(__name__)

FAILED = "failure"


#: What is done with backups, and what the audit log calls it.
ACTIONS: dict[str, str] = {"backup": "backup.create", "verify": "backup.verify", "drill": "backup.drill"}


@dataclass
class Outcome:
    """What is written of a step: which backup, and numbers."""

    object_id: str = ""
    detail: dict[str, Any] = field(default_factory=dict)


@contextmanager
def recorded(actor: Actor, step: str) -> Iterator[Outcome]:
    """Write what came of a step (of `ACTIONS`), an error too, which goes on. One that is killed writes nothing: the
    age of the last tells."""
    outcome = Outcome()
    try:
        yield outcome
    except Exception as error:
        known = isinstance(error, BackupError)
        outcome.detail["reason"] = str(error)[:200] if known else type(error).__name__
        try:
            _write_down(actor, step, outcome, FAILED)
        except DatabaseError:
            logger.exception("%s failed and cannot be recorded", step)
        raise
    _write_down(actor, step, outcome, "success")


def _write_down(actor: Actor, step: str, outcome: Outcome, came_to: str) -> None:
    with transaction.atomic():
        record(
            actor,
            ACTIONS[step],
            object_type="backup",
            object_id=outcome.object_id,
            outcome=came_to,
            **outcome.detail,
        )


def metrics() -> Iterator[Metric]:
    """When each step last succeeded, 0 for never, and whether its latest try failed."""
    tried = {
        step: AuditEvent.objects.filter(action=action).order_by("-id") for step, action in ACTIONS.items()
    }
    succeeded = {name: events.exclude(outcome=FAILED).first() for name, events in tried.items()}
    latest = {name: events.first() for name, events in tried.items()}
    yield Metric(
        "cad_backup_last_success_timestamp_seconds",
        "When a backup was last made, read whole, or restored for trial (step); 0 for never",
        tuple(
            Sample(event.at.timestamp() if event else 0.0, {"step": name})
            for name, event in succeeded.items()
        ),
    )
    yield Metric(
        "cad_backup_failed",
        "Whether the latest try of a step failed",
        tuple(
            Sample(float(event is not None and event.outcome == FAILED), {"step": name})
            for name, event in latest.items()
        ),
    )
