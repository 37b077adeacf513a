"""How words are joined in a sentence: with the marks of the language in use, which Chinese has of its own."""

from __future__ import annotations

from collections.abc import Iterable

from django.utils.translation import gettext as _
from django.utils.translation import pgettext


def listed(words: Iterable[object]) -> str:
    """ "one, two"."""
    return _(", ").join(str(each) for each in words)


def facts(words: Iterable[object]) -> str:
    """ "positive, 95 %": what is said of one thing, which is no list."""
    return pgettext("between facts", ", ").join(str(each) for each in words)


def clauses(words: Iterable[object]) -> str:
    """ "one thing; another"."""
    return _("; ").join(str(each) for each in words)


def named(name: object, words: object) -> str:
    """ "name: words"."""
    return f"{name}{_(': ')}{words}"
