"""The JSON that every page holds for its scripts."""

from __future__ import annotations

from django.conf import settings
from django.utils.translation import gettext as _

from cad_platform.accounts.commands import COMMANDS, Place
from cad_platform.accounts.keyboard import Keyboard
from cad_platform.core.answers import Answer


class PageWords(Answer):
    """The words that the scripts of every page say, so that all translations live in one catalogue."""

    no_answer: str
    key_taken: str


class Shortcut(Answer):
    """One command and the keys that start it, for this person (`accounts.commands`)."""

    id: str
    keys: list[str]
    place: Place
    changes_record: bool
    repeats: bool


class PageSettings(Answer):
    """What the scripts of every page need to know."""

    csrf_cookie: str
    """The name of the cookie that a request's CSRF token is read from."""
    words: PageWords
    shortcuts: list[Shortcut]


def page_settings(keyboard: Keyboard) -> PageSettings:
    """In the reader's language, with the reader's keys."""
    return PageSettings(
        shortcuts=[
            Shortcut(
                id=command.id,
                keys=list(keyboard.keys(command)),
                place=command.place,
                changes_record=command.changes_record,
                repeats=command.repeats,
            )
            for command in COMMANDS.values()
        ],
        csrf_cookie=settings.CSRF_COOKIE_NAME,
        words=PageWords(
            no_answer=_(
                "The server did not answer. What you see may be out of date; it is asked again by itself."
            ),
            key_taken=_("This is also the key of “%(command)s”.") % {"command": "{command}"},
        ),
    )
