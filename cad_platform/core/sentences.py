"""Sentences of floors that know no language of a reader: decoders, models and workers speak English, over wires and
into logs and rows. Who shows one looks it up in a table of `Sentences` and says it in the language in use.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext, override, pgettext

from cad_platform.core.punctuation import listed

_PLACE = re.compile(r"%\((\w+)\)s")
_LIST = re.compile(r"[\w.]+(?:, (?:[\w.]+|…))+")


class Sentences:
    """A table of sentences as they come, with `%(name)s` for what differs, and the message that says each: the same
    one, or other words with the same placeholders.

    Parameters
    ----------
    messages
        Sentence → message; messages are marked for translation (`gettext_noop`) where they are written.
    also
        Sentences that are their own messages.
    """

    def __init__(self, messages: Mapping[str, str], also: Iterable[str] = ()) -> None:
        self._messages = {**{sentence: sentence for sentence in also}, **messages}
        #: Those without anything that differs are found at once; of two patterns the one with more words says more.
        self._patterns = [
            (_pattern(sentence), message)
            for sentence, message in sorted(
                self._messages.items(), key=lambda item: -len(_PLACE.sub("", item[0]))
            )
            if _PLACE.search(sentence)
        ]

    def words(self, sentence: str) -> str | None:
        """The sentence in the language in use; None for one that is not in the table."""
        found = self.found(sentence)
        if found is None:
            return None
        message, values = found
        return (
            gettext(message) % {name: _local(value) for name, value in values.items()}
            if values
            else gettext(message)
        )

    def found(self, sentence: str) -> tuple[str, dict[str, str]] | None:
        """The message that says a sentence, and what stands in its places."""
        message = self._messages.get(sentence)
        if message is not None and not _PLACE.search(sentence):
            return message, {}
        for pattern, message in self._patterns:
            if match := pattern.fullmatch(sentence):
                return message, match.groupdict()
        return None


def _local(value: str) -> str:
    """Of a list of numbers or codes, its marks."""
    return listed(value.split(", ")) if _LIST.fullmatch(value) else value


def in_every_language(messages: Iterable[Promise | str]) -> dict[str, Promise | str]:
    """Messages of ours that a person chose, and that were kept as they were shown: what was kept, in any language of
    the platform, leads to the message."""
    listed_once = list(messages)
    found: dict[str, Promise | str] = {}
    for language, _name in settings.LANGUAGES:
        with override(language):
            found |= {str(message): message for message in listed_once}
    return found


def as_it_came(sentence: str) -> str:
    """A sentence that no table has, whole; beside another language it is marked as somebody else's words."""
    said = sentence[:1].upper() + sentence[1:]
    said = said if said.endswith((".", "。")) else f"{said}."
    return pgettext("a sentence that has no translation", "%(sentence)s") % {"sentence": said}


def _pattern(sentence: str) -> re.Pattern[str]:
    parts = _PLACE.split(sentence)
    return re.compile(
        "".join(f"(?P<{part}>.+)" if place % 2 else re.escape(part) for place, part in enumerate(parts)),
        re.DOTALL,
    )
