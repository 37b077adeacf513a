"""Dates and times as a report writes them: the same for every reader, in the local time of the site, with its distance
from UTC."""

from __future__ import annotations

from datetime import date, datetime

from django.utils import timezone


def day(value: date | None) -> str:
    """A date as ISO 8601, which reads the same everywhere; a dash where it is not known."""
    return value.isoformat() if value else "—"


def moment(value: datetime) -> str:
    """Date and time in the time zone in use, with its offset: "2026-07-01 15:05:12 UTC+01:00"."""
    local = timezone.localtime(value)
    return f"{local:%Y-%m-%d %H:%M:%S} UTC{local.isoformat()[-6:]}"
