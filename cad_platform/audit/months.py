"""The months of the log: each is a table of its own below `audit_auditevent`, found by the ids of its events (ADR 66).

An id is YYMM, then eleven digits; the database gives it, by its own clock. What was written before there were months
has a shorter one and lies in the first table. The months to come are made ahead by a function of the tables' owner,
which the application may call and which does nothing else; what comes in a month that nobody made goes into the last
table, and the rest of that month with it.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from django.db import connection
from django.db.models import Q
from django.utils import timezone

from cad_platform.core.proofs import UNMEASURED, ProbeFailed

#: Ids of one month; below it are those of no month. As `audit_first_id` has it (migration 0004).
OF_A_MONTH = 100_000_000_000
#: This month and those after it that there are to be.
AHEAD = 4
#: How far the clock that says when an event was may be from the database's, which gives its id.
_CLOCKS = timedelta(days=1)


def first_id(moment: datetime) -> int:
    """The number below all ids that are given in the month of a moment, by UTC."""
    of = moment.astimezone(UTC)
    return ((of.year - 2000) * 100 + of.month) * OF_A_MONTH


def of_days(since: date | None, until: date | None) -> Q:
    """The ids that events of these days can have: PostgreSQL looks into no other month's table."""
    of_months = Q()
    if since is not None:
        of_months &= Q(pk__gte=first_id(datetime.combine(since, time.min, UTC) - _CLOCKS))
    if until is not None:
        end = datetime.combine(until, time.max, UTC) + _CLOCKS
        of_months &= Q(pk__lt=first_id(end) + OF_A_MONTH)
    return Q(pk__lt=OF_A_MONTH) | of_months if of_months else of_months


def lately(since: datetime) -> Q:
    """The ids that events from a moment on have, of which none was written before there were months."""
    return Q(pk__gte=first_id(since - _CLOCKS))


def make_ahead() -> int:
    """Make the tables of the next months where they are missing; how many were made."""
    if all(_there(month) for month in _coming(AHEAD)):
        return 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT audit_make_months()")
        return int(cursor.fetchone()[0])


def check_ahead() -> object:
    """A probe: the next month has its table. Raises `ProbeFailed`."""
    following = _coming(2)[-1]
    if not _there(following):
        raise ProbeFailed(f"the audit log has no table for {following:%Y-%m}; see housekeeping's log")
    return UNMEASURED


def _coming(count: int) -> list[date]:
    months = [timezone.now().astimezone(UTC).date().replace(day=1)]
    while len(months) < count:
        months.append((months[-1].replace(day=28) + timedelta(days=4)).replace(day=1))
    return months


def _there(month: date) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [f"public.audit_auditevent_{month:%Y%m}"])
        return bool(cursor.fetchone()[0])
