"""Opening the audit log, which is an action of its own."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet

from cad_platform.accounts.rules import require
from cad_platform.audit import selectors
from cad_platform.audit.models import AuditEvent
from cad_platform.audit.selectors import AuditFilter
from cad_platform.audit.services import record
from cad_platform.core.actor import Actor


@dataclass(frozen=True)
class LogPage:
    """Some events, newest first; `more` are older. `actions` are those that occur anywhere in the log."""

    events: list[AuditEvent]
    more: bool
    actions: list[str]


@transaction.atomic
def open_log(actor: Actor, wanted: AuditFilter, *, before: int | None, size: int) -> LogPage:
    """The newest `size` events, or those before the one with the id `before`. Raises `NotPermitted`."""
    require(actor, "audit.view")
    found = selectors.events(wanted)
    if before is not None:
        found = found.filter(pk__lt=before)
    events = list(found[: size + 1])
    page = LogPage(events[:size], len(events) > size, selectors.actions())
    filters = sorted(name for name, value in vars(wanted).items() if value)
    record(actor, "audit.view", object_type="audit", filters=filters)
    return page


@transaction.atomic
def export_log(actor: Actor, wanted: AuditFilter) -> QuerySet[AuditEvent]:
    """The log to be taken away, newest first. Raises `NotPermitted`."""
    require(actor, "audit.view")
    record(actor, "audit.export", object_type="audit")
    return selectors.events(wanted)
