"""Days and moments as forms, addresses and bodies give them: only those that the database can be asked about."""

from __future__ import annotations

from datetime import UTC, date, datetime

from django.utils.dateparse import parse_date

#: Between them each day has one before and one after it, in every time zone.
_FIRST, _LAST = date(2, 1, 1), date(9998, 12, 31)


def day_from(text: str) -> date | None:
    """The day that an ISO date names; none for what is no date, or one that cannot be reckoned with."""
    try:
        day = parse_date(text)
    except ValueError:
        return None
    return day if day is not None and _FIRST <= day <= _LAST else None


def in_utc(moment: datetime) -> datetime:
    """The same moment without its offset: PostgreSQL knows none of 16 hours and more.

    Raises
    ------
    ValueError
        It names no time zone, or lies beyond the years 1 to 9999.
    """
    if moment.tzinfo is None:
        raise ValueError("must name its time zone, as in 2026-01-31T09:00:00Z")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("must lie between the years 1 and 9999 in UTC") from None
