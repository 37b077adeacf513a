"""Days and moments as addresses, forms and bodies give them: the one parser of what is asked for by time.

What it refuses is a request that cannot be understood (400), never one that is answered as if nothing had been asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

from django.utils.translation import gettext as _

from cad_platform.core.errors import FieldError, PlatformError

#: The first and the last year that anything here can be of.
FIRST_YEAR, LAST_YEAR = 1900, 2100
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
#: RFC 3339, with the space that people write for its T. The offset's sign is a `+` or `-`: one that an address turned
#: into a space is nobody's time zone.
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,12})?)?"
    r"([Zz]|(?P<sign>[+-])(?P<hours>[0-9]{2}):?(?P<minutes>[0-5][0-9]))"
)
#: UTC+14:00 is Kiritimati's, the furthest there is.
_FURTHEST = timedelta(hours=14)


class NotATime(PlatformError):
    """A day or moment that there is not. 400: the request cannot be understood."""

    code = "not_a_time"


def day_from(text: str) -> date:
    """The day that an ISO date names.

    Raises
    ------
    ValueError
        It names none, or one beyond the years 1900 to 2100.
    """
    if not _DAY.fullmatch(text):
        raise ValueError(_("must be a day, as in 2026-01-31"))
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ValueError(_("must be a day that there is")) from None
    _check_year(day)
    return day


def moment_from(text: str) -> datetime:
    """The moment, in UTC, that a date with its time and offset names.

    Raises
    ------
    ValueError
        It is none, names no time zone or one that there is not, or lies beyond the years 1900 to 2100.
    """
    found = _MOMENT.fullmatch(text)
    if found is None:
        raise ValueError(_("must be a moment with its time zone, as in 2026-01-31T09:00:00Z"))
    offset = timedelta(hours=int(found["hours"] or 0), minutes=int(found["minutes"] or 0))
    if offset > _FURTHEST:
        raise ValueError(_("must name a time zone that there is: at most 14:00 from UTC"))
    try:
        moment = datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(_("must be a moment that there is")) from None
    _check_year(moment)
    return moment


def asked_day(asked: Mapping[str, str], name: str) -> date | None:
    """The day that a form or an address asks for; none where it says nothing. Raises `NotATime`."""
    text = str(asked.get(name, "")).strip()
    if not text:
        return None
    try:
        return day_from(text)
    except ValueError as error:
        raise NotATime(
            _("This is not a day that can be asked for."), errors=(FieldError(str(error), name),)
        ) from None


def _check_year(day: date) -> None:
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise ValueError(_("must lie between the years 1900 and 2100"))
