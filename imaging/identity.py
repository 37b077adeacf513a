"""What says who a patient is and which object a file is, as senders write it: unique identifiers and dates.

Nothing is guessed: a value is used as it was sent, or not at all, and then what was sent is kept beside it.
"""

from __future__ import annotations

import datetime
import re

#: DICOM PS3.5 9.1: at most 64 characters. A component has no leading zero and none is empty, but senders write both,
#: and the object is known to everybody else by what they wrote.
_UID_CHARACTERS = re.compile(r"[0-9.]{3,64}")
_STANDARD_UID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")
#: PS3.5 6.2 DA, and the form of ACR-NEMA that it permits readers to accept.
_DATE_FORMS = (re.compile(r"[0-9]{8}"), re.compile(r"[0-9]{4}\.[0-9]{2}\.[0-9]{2}"))

EARLIEST_BIRTH = datetime.date(1850, 1, 1)


def without_padding(text: str) -> str:
    """A UID without what fills its value up to an even length (PS3.5 9.4), whichever character the sender took."""
    return text.strip("\0 ")


def is_uid(text: str) -> bool:
    """Whether an object can be known by it: digits and dots, two components at least, at most 64 characters."""
    return (
        _UID_CHARACTERS.fullmatch(text) is not None
        and sum(1 for component in text.split(".") if component) >= 2
    )


def is_standard_uid(text: str) -> bool:
    """Whether it is also written as DICOM PS3.5 9.1 asks."""
    return len(text) <= 64 and _STANDARD_UID.fullmatch(text) is not None


def date_of(text: str) -> datetime.date | None:
    """The day that a DICOM date names: all eight digits of it (`19611204`, `1961.12.04`), none for anything else.
    Half a date would be another day."""
    if not any(form.fullmatch(text) for form in _DATE_FORMS):
        return None
    try:
        return datetime.datetime.strptime(text.replace(".", ""), "%Y%m%d").date()
    except ValueError:
        return None


def is_birth_date(day: datetime.date) -> bool:
    """Whether somebody who is examined can be born on it."""
    # Tomorrow's date is already today's where the file comes from.
    return EARLIEST_BIRTH <= day <= datetime.date.today() + datetime.timedelta(days=1)
