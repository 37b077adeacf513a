"""What the browser's journal (`frontend/src/journal/`) needs on every page: a person's key, and its words."""

from __future__ import annotations

import base64

from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from cad_platform.core.answers import Answer


class JournalWords(Answer):
    """What the journal says of what is kept in the browser and not yet with the server."""

    connection: str
    answers_again: str
    kept_here: str
    """With `{what}`."""
    all_there: str
    not_taken: str
    """With `{what}` and `{why}`."""
    try_again: str
    give_up: str
    sign_out_title: str
    sign_out_text: str
    """With `{what}`."""
    send_now: str
    throw_away: str
    stay: str
    typed_again: str
    """With `{time}`."""
    typed_words: str
    forget_typed: str
    not_sent: str


class JournalSettings(Answer):
    """For the browser's journal."""

    key: str
    """What is kept for this person is sealed with it; base64, empty where nobody is signed in."""
    words: JournalWords


def journal_settings(user_id: int | None) -> JournalSettings:
    """In the reader's language. The key is the same on every page of a person and comes to no other."""
    digest = salted_hmac("cad.journal", str(user_id), algorithm="sha256").digest()
    return JournalSettings(
        key="" if user_id is None else base64.b64encode(digest).decode(),
        words=JournalWords(
            connection=_("Connection to the server"),
            answers_again=_("The server answers again."),
            kept_here=_("Kept here, not yet there: {what}. It is sent by itself when the server answers."),
            all_there=_("The server has everything that was kept here."),
            not_taken=_("Not taken: {what}. {why}"),
            try_again=_("Try again"),
            give_up=_("Give up"),
            sign_out_title=_("Not everything is with the server yet"),
            sign_out_text=_("Kept here only: {what}. Signing out throws it away."),
            send_now=_("Send now"),
            throw_away=_("Sign out and throw it away"),
            stay=_("Stay"),
            typed_again=_("What you had typed at {time} is here again; it was not sent."),
            typed_words=_("something typed and not sent"),
            forget_typed=_("Throw it away"),
            not_sent=_("The server does not answer. What you typed is kept here; please send it again."),
        ),
    )
