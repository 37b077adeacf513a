"""Closed months of the audit log: where the chain stood when a month was over and every link of it had been recomputed.

A root names the last link of its month. Since each link hashes the one before, no event of a closed month can be
altered, and all later links recomputed, without another hash at its end; so each day, and by `manage.py verify_audit`,
only what came after the last root is walked, and everything with `--full`. Roots are written once.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from django.db import connection, transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from cad_platform.audit import chain
from cad_platform.audit.chain import GENESIS, Problem, Verification
from cad_platform.audit.models import AuditEvent, AuditRoot, AuditSeal
from cad_platform.audit.months import first_id

#: A month is closed when nothing can still be sealed in it, whatever the clocks of two machines say.
_SETTLED_AFTER = timedelta(days=1)


def close_months() -> list[AuditRoot]:
    """Close every month that is over, oldest first, each after recomputing its links; none that does not hold, and none
    after it."""
    closed = []
    while (month := _next_month()) is not None:
        root = _close(month)
        if root is None:
            break
        closed.append(root)
    return closed


def verify_open(
    *, anchor: tuple[int, str] | None = None, unsealed_limit: timedelta = chain.UNSEALED_LIMIT
) -> Verification:
    """Recompute what came after the last closed month, and see that the roots of the closed ones still stand."""
    last = AuditRoot.objects.order_by("-month").first()
    after = (last.last_sequence, last.hash) if last else (0, GENESIS)
    found = chain.verify(anchor=anchor, unsealed_limit=unsealed_limit, after=after)
    check_roots(found)
    return found


def check_roots(found: Verification) -> None:
    """See that each closed month ends with the link that it ended with, begins after the one before and misses none."""
    sequence = 0
    for root in AuditRoot.objects.order_by("month"):
        ends = AuditSeal.objects.filter(sequence=root.last_sequence, hash=root.hash).exists()
        if root.first_sequence != sequence + 1 or not ends:
            message = f"the month {root.month:%Y-%m} no longer ends with the link that it was closed with"
            found.add(Problem("root", message, root.last_sequence))
        else:
            links = AuditSeal.objects.filter(sequence__range=(root.first_sequence, root.last_sequence))
            missing = root.last_sequence - sequence - links.count()
            if missing:
                message = f"{missing} links of the closed month {root.month:%Y-%m} are missing"
                found.add(Problem("missing", message, root.first_sequence))
        sequence = root.last_sequence
    _look_for_lost(found, sequence)


def _look_for_lost(found: Verification, until: int) -> None:
    """Events of closed months that are no longer there; those after are looked for in the walk."""
    events = AuditEvent.objects.filter(pk=OuterRef("event_id"))
    lost = AuditSeal.objects.filter(~Exists(events), sequence__lte=until).order_by("sequence")
    for seal in lost.iterator(chunk_size=1000):
        message = f"event {seal.event_id} is missing (link {seal.sequence})"
        found.add(Problem("missing", message, seal.sequence, seal.event_id))


def _next_month() -> date | None:
    """The month of the first link that no root covers, where it is over."""
    last = AuditRoot.objects.order_by("-month").first()
    first = (
        AuditSeal.objects.filter(sequence__gt=last.last_sequence if last else 0).order_by("sequence").first()
    )
    if first is None:
        return None
    month = first.sealed_at.astimezone(UTC).date().replace(day=1)
    if last is not None:
        month = max(month, _following(last.month))  # a clock that was put back opens no closed month
    return month if timezone.now() >= _beginning(_following(month)) + _SETTLED_AFTER else None


@transaction.atomic
def _close(month: date) -> AuditRoot | None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [chain.CLOSER_LOCK])
    if AuditRoot.objects.filter(month=month).exists():
        return None  # another process has, meanwhile; the next day goes on
    last = AuditRoot.objects.order_by("-month").first()
    sequence, digest = (last.last_sequence, last.hash) if last else (0, GENESIS)
    written = AuditEvent.objects.filter(pk__lt=first_id(_beginning(_following(month))))
    if written.filter(seal__isnull=True).exists():
        return None  # the sealer stands still; `verify_open` says so
    of_month = AuditSeal.objects.filter(sequence__gt=sequence, sealed_at__lt=_beginning(_following(month)))
    end = of_month.order_by("-sequence").values_list("sequence", flat=True).first()
    if end is None:
        return None
    found = chain.verify(after=(sequence, digest), until=end)
    if not found.intact:
        return None  # `verify_open` says what is wrong, each day
    return AuditRoot.objects.create(
        month=month, first_sequence=sequence + 1, last_sequence=end, hash=found.head_hash
    )


def _beginning(month: date) -> datetime:
    return datetime(month.year, month.month, 1, tzinfo=UTC)


def _following(month: date) -> date:
    return (month.replace(day=28) + timedelta(days=4)).replace(day=1)
