"""Reading the audit log. Who may is not known on this floor: accounts write here, so those above ask before they
call (`operations.audit_log` for the whole log, `reporting.services.open_trail` for the trail of one study)."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django.db import connection
from django.db.models import F, Q, QuerySet
from django.db.models.fields.json import KeyTextTransform

from cad_platform.audit import months
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor


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


def events(wanted: AuditFilter) -> QuerySet[AuditEvent]:
    """What was looked for of the whole log, newest first."""
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
    found = found.filter(months.of_days(wanted.since, wanted.until))
    if wanted.since:
        found = found.filter(at__gte=datetime.combine(wanted.since, time.min, UTC))
    if wanted.until:
        found = found.filter(at__lt=datetime.combine(wanted.until + timedelta(days=1), time.min, UTC))
    return found


def actions() -> list[str]:
    """The actions that occur in the log, for the filter: one look into each month's index for each of them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH RECURSIVE found (action) AS (SELECT min(action) FROM audit_auditevent UNION ALL "
            "SELECT (SELECT min(action) FROM audit_auditevent WHERE action > found.action) "
            "FROM found WHERE action IS NOT NULL) SELECT action FROM found WHERE action IS NOT NULL"
        )
        return [action for (action,) in cursor.fetchall()]


@dataclass
class TrailEntry:
    """One action, or the same one several times in a row (a draft that saved itself)."""

    actor: str
    action: str
    outcome: str
    first_at: datetime
    last_at: datetime
    times: int = 1


def trail_of_study(study_id: uuid.UUID, limit: int = 1000) -> list[TrailEntry]:
    """Who did what with a study and everything of it, newest first."""
    about = Q(object_type="study", object_id=str(study_id)) | Q(of_study=str(study_id))
    found = AuditEvent.objects.annotate(of_study=KeyTextTransform("study", "detail")).filter(about)
    trail: list[TrailEntry] = []
    for event in found.select_related("actor").order_by("-pk")[:limit]:
        name = event.actor.printed_name if event.actor else event.actor_label
        last = trail[-1] if trail else None
        if last and (last.actor, last.action, last.outcome) == (name, event.action, event.outcome):
            last.first_at, last.times = event.at, last.times + 1
        else:
            trail.append(TrailEntry(name, event.action, event.outcome, event.at, event.at))
    return trail


def opened_by_persons(action: str, object_type: str, object_ids: Collection[object]) -> set[str]:
    """Those of these objects on which somebody who had signed in, and not a program, ever did this."""
    found = AuditEvent.objects.filter(
        object_type=object_type, object_id__in=[str(each) for each in object_ids]
    )
    by_persons = found.filter(action=action, outcome="success", actor__isnull=False, token_id__isnull=True)
    return set(by_persons.values_list("object_id", flat=True).distinct())


def latest_event(
    actor: Actor, actions: Collection[str], object_type: str, object_id: object
) -> AuditEvent | None:
    """The actor's own newest event of one of these actions on an object: for a service that records a thing once."""
    found = AuditEvent.objects.filter(object_type=object_type, object_id=str(object_id))
    return newest(found.filter(actor=actor.user, action__in=actions))


def newest(few: QuerySet[AuditEvent]) -> AuditEvent | None:
    """The newest of few events that an index finds, such as those of one object. Asked for them in the order of ids,
    PostgreSQL would rather walk back through the months until it meets one."""
    return few.order_by((F("pk") + 0).desc()).first()
