"""What people and systems type, made fit to keep: the database refuses NUL and half surrogates, and no text needs other
control characters. Markup and formulas are text like any other, escaped where they are shown.

The lowest floor where typed texts arrive; every floor above asks here. What a person types is cleaned, because nobody
sees a control character in a form; what a system sends is refused (`has_controls`), because its sender should know.
Nothing is cut short unseen.
"""

from __future__ import annotations

import unicodedata

from django.utils.translation import gettext as _

from cad_platform.core.errors import FieldError, Invalid

_CONTROLS = frozenset({"Cc", "Cs"})


def has_controls(text: str, *, but: str = "") -> bool:
    """Whether a text holds control characters or half surrogates, other than those in `but`. Line breaks and tabs are
    control characters."""
    return any(unicodedata.category(c) in _CONTROLS and c not in but for c in text)


def cleaned(text: str) -> str:
    """A text of several lines without other control characters than line feeds and tabs."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in _CONTROLS)


def reason_of(text: str, longest: int) -> str:
    """Why somebody did something, cleaned and trimmed; empty where nothing was said.

    Raises
    ------
    Invalid
        It has more than `longest` characters.
    """
    reason = cleaned(text).strip()
    if len(reason) > longest:
        raise Invalid(
            _("The reason may have at most %(longest)d characters.") % {"longest": longest},
            errors=(FieldError(_("too long"), "reason"),),
        )
    return reason
