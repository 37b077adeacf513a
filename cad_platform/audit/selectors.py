"""Reading the audit log: the whole of it for administrators, the trail of one study for those who read it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.db.models import Q, QuerySet

from cad_platform.accounts.rules import OfSite, require
from cad_platform.audit.models import AuditEvent
from cad_platform.core.request import Actor


@dataclass(frozen=True)
class AuditFilter:
    """What to look for. Empty values look for everything; days are UTC and inclusive."""

    action: str = ""
    actor: str = ""
    object_type: str = ""
    object_id: str = ""
    outcome: str = ""
    since: date | None = None
    until: date | None = None


def events(actor: Actor, wanted: AuditFilter) -> QuerySet[AuditEvent]:
    """The log, newest first, for administrators."""
    require(actor, "audit.view")
    found = AuditEvent.objects.select_related("site", "seal").order_by("-pk")
    if wanted.action:
        found = found.filter(action__startswith=wanted.action)
    if wanted.actor:
        found = found.filter(actor_label=wanted.actor)
    if wanted.object_type:
        found = found.filter(object_type=wanted.object_type)
    if wanted.object_id:
        found = found.filter(object_id=wanted.object_id)
    if wanted.outcome:
        found = found.filter(outcome=wanted.outcome)
    if wanted.since:
        found = found.filter(at__gte=datetime.combine(wanted.since, time.min, UTC))
    if wanted.until:
        found = found.filter(at__lt=datetime.combine(wanted.until + timedelta(days=1), time.min, UTC))
    return found


def actions(actor: Actor) -> list[str]:
    """The actions that occur in the log, for the filter."""
    require(actor, "audit.view")
    return list(AuditEvent.objects.order_by("action").values_list("action", flat=True).distinct())


def trail_of(
    actor: Actor, subject: OfSite, objects: dict[str, list[str]], limit: int = 500
) -> list[AuditEvent]:
    """Who did what with these objects (type → ids), newest first. `subject` is what the permission is about."""
    require(actor, "audit.view_object", subject)
    condition = Q(pk__in=[])
    for object_type, ids in objects.items():
        condition |= Q(object_type=object_type, object_id__in=ids)
    return list(AuditEvent.objects.filter(condition).select_related("actor").order_by("-pk")[:limit])
