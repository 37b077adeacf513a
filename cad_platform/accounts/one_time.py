"""Passwords that an administrator gave: good for one thing, choosing one's own, and for a few days (ADR 34).

Somebody else has known such a password. With it nobody signs, and nothing of the platform is reached but the page that
takes a new one. Where the account had been used before, signing rests for a while even then: whoever took the account
over by a reset cannot sign before its person has had the time to notice that their own password no longer works.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from cad_platform.accounts.models import User
from cad_platform.core.actor import Actor
from cad_platform.core.errors import FieldError, Invalid, NotPermitted

LIFETIME = timedelta(hours=72)
#: Without characters that are taken for others when read aloud or copied by hand.
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # pragma: allowlist secret


def made_up() -> str:
    """A password for an administrator to pass on: about 99 random bits."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(4))


def is_due(user: User) -> bool:
    """Whether the person has still to choose a password of their own."""
    return user.must_change_password


def is_expired(user: User) -> bool:
    return is_due(user) and user.one_time_until is not None and user.one_time_until <= timezone.now()


def set_checked(user: User, password: str, *, field: str = "password") -> None:
    """Set a password that is good enough, without saving. Raises `Invalid`."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise Invalid(
            _("The password was not accepted."), errors=(FieldError(" ".join(error.messages), field),)
        ) from error
    user.set_password(password)


def make_one_time(user: User, actor: Actor, *, always: bool = False) -> None:
    """Mark the password just set as one that somebody else knows, without saving.

    The platform's own processes set passwords that stay, unless they say `always`: demo accounts, whose passwords are
    known, sign too.
    """
    by_somebody_else = always or (actor.user is not None and actor.user.pk != user.pk)
    user.must_change_password = by_somebody_else
    user.one_time_until = timezone.now() + LIFETIME if by_somebody_else else None
    user.password_set_by = actor.user if by_somebody_else else None
    # An account that nobody has used yet has nobody to notice, and nobody to be taken for.
    rests = by_somebody_else and (user.last_login is not None or user.signing_rests_until is not None)
    user.signing_rests_until = user.one_time_until + _rest() if rests and user.one_time_until else None


@transaction.atomic
def choose_own(actor: Actor, password: str) -> User:
    """Take the person's own password in place of the one-time one.

    Raises
    ------
    Invalid
        It is the same, or not good enough.
    """
    user = User.objects.select_for_update().get(pk=actor.user.pk)
    if is_expired(user):
        raise Invalid(_("This one-time password is no longer valid. Ask your administrator for a new one."))
    if user.check_password(password):
        raise Invalid(
            _("The password was not accepted."),
            errors=(FieldError(_("Choose another password than the one that you were given."), "password1"),),
        )
    set_checked(user, password, field="password1")
    own_password_chosen(user)
    user.save()
    return user


def own_password_chosen(user: User) -> None:
    """Nobody else knows the password any more, without saving. A rest of signing begins now."""
    if user.must_change_password and user.signing_rests_until is not None:
        user.signing_rests_until = timezone.now() + _rest() if _rest() else None
    user.must_change_password = False
    user.one_time_until = None


def refuse_to_sign(user: User) -> NotPermitted | None:
    """Why this person cannot sign just now although they gave the right password; none where they can."""
    if is_due(user):
        return NotPermitted(_("Choose a password of your own before you sign."), code="password_due")
    until = user.signing_rests_until
    if until is not None and until > timezone.now():
        return NotPermitted(
            _(
                "An administrator has reset your password. So that nobody signs in your place, signing rests until "
                "%(time)s; another administrator than the one who reset it can end that."
            )
            % {"time": date_format(timezone.localtime(until), "Y-m-d H:i")},
            code="signing_rests",
        )
    return None


def signing_rests(user: Any) -> bool:
    return user.signing_rests_until is not None and user.signing_rests_until > timezone.now()


def _rest() -> timedelta:
    return timedelta(hours=settings.SIGNING_REST_HOURS)
