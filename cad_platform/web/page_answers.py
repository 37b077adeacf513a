"""The JSON that every page holds for its scripts."""

from __future__ import annotations

from django.conf import settings
from django.utils.translation import gettext as _

from cad_platform.core.answers import Answer


class PageWords(Answer):
    """The words that the scripts of every page say, so that all translations live in one catalogue."""

    no_answer: str


class PageSettings(Answer):
    """What the scripts of every page need to know."""

    csrf_cookie: str
    """The name of the cookie that a request's CSRF token is read from."""
    words: PageWords


def page_settings() -> PageSettings:
    """In the reader's language."""
    return PageSettings(
        csrf_cookie=settings.CSRF_COOKIE_NAME,
        words=PageWords(
            no_answer=_(
                "The server did not answer. What you see may be out of date; it is asked again by itself."
            )
        ),
    )
