"""The JSON that every page holds for its scripts."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from cad_platform.accounts.commands import COMMANDS, Place
from cad_platform.accounts.idle_lock import idle_limit
from cad_platform.accounts.keyboard import Keyboard
from cad_platform.core.answers import Answer
from cad_platform.web.journal_answers import JournalSettings, journal_settings


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


class PageUser(Answer):
    """Whose page it is."""

    id: int
    username: str
    name: str


class SessionAddresses(Answer):
    """Where the session is asked after and renewed."""

    state: str
    sign_in: str
    hand_over: str
    unlock: str
    lock: str
    activity: str
    own_password: str


class PageSettings(Answer):
    """What the scripts of every page need to know."""

    csrf_cookie: str
    """The name of the cookie that a request's CSRF token is read from."""
    user: PageUser | None
    session: SessionAddresses
    idle_seconds: float | None
    """After how long without keys or pointer the workplace is locked; none for never."""
    words: PageWords
    journal: JournalSettings
    shortcuts: list[Shortcut]


def shortcuts_of(keyboard: Keyboard) -> list[Shortcut]:
    """Every command with the keys of this person."""
    return [
        Shortcut(
            id=command.id,
            keys=list(keyboard.keys(command)),
            place=command.place,
            changes_record=command.changes_record,
            repeats=command.repeats,
        )
        for command in COMMANDS.values()
    ]


def page_settings(request: HttpRequest, keyboard: Keyboard) -> PageSettings:
    """In the reader's language, with the reader's keys."""
    user: Any = getattr(request, "user", None)
    signed_in = user is not None and user.is_authenticated
    limit = idle_limit(user) if signed_in else None
    return PageSettings(
        shortcuts=shortcuts_of(keyboard),
        csrf_cookie=settings.CSRF_COOKIE_NAME,
        user=PageUser(id=user.pk, username=user.username, name=user.printed_name) if signed_in else None,
        journal=journal_settings(user.pk if signed_in else None),
        idle_seconds=limit.total_seconds() if limit else None,
        session=SessionAddresses(
            state=reverse("session-state"),
            sign_in=reverse("account_login"),
            hand_over=reverse("session-hand-over"),
            unlock=reverse("session-unlock"),
            lock=reverse("session-lock"),
            activity=reverse("session-activity"),
            own_password=reverse("own-password"),
        ),
        words=PageWords(
            no_answer=_("The server does not answer. What you see may be out of date."),
            key_taken=_("This is also the key of “%(command)s”.") % {"command": "{command}"},
        ),
    )
