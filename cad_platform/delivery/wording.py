"""Why a message was not taken, in the reader's language: the worker that sent it wrote English."""

from __future__ import annotations

from django.utils.translation import gettext_noop

from cad_platform.core.sentences import Sentences, as_it_came

#: What `posting` and `destination` say.
_SENTENCES = Sentences(
    {},
    also=[
        gettext_noop("No answer within %(seconds)s s."),
        gettext_noop("The receiver's certificate or its encryption is not accepted."),
        gettext_noop("The connection failed (%(kind)s)."),
        gettext_noop("The receiver points elsewhere; that is not followed."),
        gettext_noop("The receiver answered %(status)s."),
        gettext_noop("This is not an address."),
        gettext_noop("This is not an address of the form https://host/path."),
        gettext_noop("This is not an e-mail address."),
        gettext_noop("There is no mail server: the operator names one in CAD_MAIL_SERVER."),
        gettext_noop(
            "%(domain)s is not one of the domains that the operator allows (CAD_MAIL_ALLOWED_DOMAINS)."
        ),
        gettext_noop("The host's name leads nowhere."),
        gettext_noop("The host's name leads to an address that is not allowed."),
        gettext_noop(
            "%(host)s is not one of the hosts that the operator allows (CAD_WEBHOOK_ALLOWED_HOSTS)."
        ),
    ],
)


def error_words(error: str) -> str:
    """The sentence of a try in the language in use; empty where the message was taken."""
    return (_SENTENCES.words(error) or as_it_came(error)) if error else ""
