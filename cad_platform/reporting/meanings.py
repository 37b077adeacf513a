"""What a signature means (21 CFR 11.50). The record keeps it in the signer's words; a page says it in its reader's."""

from __future__ import annotations

from functools import lru_cache

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from cad_platform.core.sentences import in_every_language
from cad_platform.reporting.models import Report

_RESPONSIBLE = gettext_lazy("Read, interpreted and approved as the responsible physician")
_AUTHOR = gettext_lazy("Author of this addendum")


def meaning_of(report: Report) -> str:
    """What a signature under this report means, in the language in use."""
    return str(_AUTHOR if report.kind == Report.Kind.ADDENDUM else _RESPONSIBLE)


def meaning_words(kept: str) -> str:
    """The meaning that a record keeps, in the language in use; one that is not known here as it was signed."""
    return str(_known().get(kept, kept))


@lru_cache(maxsize=1)
def _known() -> dict[str, Promise | str]:
    return in_every_language([_RESPONSIBLE, _AUTHOR])
