"""What a form, an address or a body chooses by: the one place that reads such a choice. A misspelt filter is refused,
since it must not mean "all"."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from django.utils.translation import gettext as _

from cad_platform.core.days import asked_day
from cad_platform.core.errors import FieldError, Invalid

_Choice = TypeVar("_Choice")


def choice_from(
    asked: Mapping[str, Any],
    kind: type[_Choice],
    *,
    known: Mapping[str, Collection[str]],
    days: Collection[str],
) -> _Choice:
    """A choice of texts, trimmed; what nobody asked for is empty.

    Parameters
    ----------
    kind
        A dataclass of texts that are empty unless given.
    known
        Field → the values that there are, beside the empty one.
    days
        Fields that are days.

    Raises
    ------
    Invalid
        A value that there is not; each field is named.
    NotATime
        A day that there is not.
    """
    names = [each.name for each in fields(kind)]  # type: ignore[arg-type]
    told = {name: str(asked.get(name) or "").strip() for name in names}
    wrong = [name for name, values in known.items() if told[name] and told[name] not in values]
    if wrong:
        raise Invalid(
            _("There is no such filter: %(names)s.") % {"names": ", ".join(wrong)},
            errors=tuple(FieldError(_("Choose one of the list."), name) for name in wrong),
        )
    for name in days:
        asked_day(told, name)
    return kind(**told)
