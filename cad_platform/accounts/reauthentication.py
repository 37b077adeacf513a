"""Asking for the password once more before something weighty. Failures are recorded and limited."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django.db import transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext as _

from cad_platform.accounts.models import User
from cad_platform.accounts.one_time import refuse_to_sign
from cad_platform.accounts.rules import OfSite
from cad_platform.audit.models import AuditEvent
from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.core.errors import NotPermitted, TooManyRequests

#: This many wrong passwords within the window close the door until the oldest is out of it.
ATTEMPTS = 5
WINDOW = timedelta(minutes=15)


def reauthenticate(
    actor: Actor, password: str, *, purpose: str, object_type: str, object_id: object, study: OfSite
) -> None:
    """Verify the actor's own password before a signature; `purpose` is the audit action.

    Commits a failed attempt before it raises.

    Raises
    ------
    NotPermitted
        The password is wrong, is not the person's own yet, or was reset not long ago.
    TooManyRequests
        Too many were wrong.
    """
    verify_password(
        actor,
        password,
        purpose=purpose,
        object_type=object_type,
        object_id=object_id,
        study=study,
        refuse=refuse_to_sign,
        consequence=_("Nothing was signed."),
    )


def verify_password(
    actor: Actor,
    password: str,
    *,
    purpose: str,
    object_type: str,
    object_id: object,
    study: OfSite | None = None,
    refuse: Callable[[User], NotPermitted | None] = lambda _user: None,
    consequence: str = "",
) -> None:
    """Verify the actor's own password.

    Parameters
    ----------
    purpose
        The audit action that a failed attempt is recorded as, and counted by.
    study
        What it is about, for the record.
    refuse
        Why the person may not go on although the password is right.
    consequence
        A sentence on what did not happen, for the one who is refused.

    Raises
    ------
    NotPermitted, TooManyRequests
        The password is wrong, or `refuse` said why not; too many were wrong.
    """
    failure: NotPermitted | TooManyRequests | None = None
    with transaction.atomic():
        # The lock makes parallel guesses wait for each other's count.
        user = User.objects.select_for_update().get(pk=actor.user.pk)
        failed = _failures_since_unlocking(user, purpose)
        if failed >= ATTEMPTS:
            outcome = "locked"
            failure = TooManyRequests(
                _("Too many wrong passwords. Wait %(minutes)s minutes and try again.")
                % {"minutes": int(WINDOW.total_seconds() // 60)}
            )
        elif not user.is_active or not user.check_password(password):
            outcome = "wrong_password"
            sentence = f"{_('The password is wrong.')} {consequence}".strip()
            failure = NotPermitted(sentence, code="wrong_password")
        elif failure := refuse(user):
            outcome = failure.code
        if failure is not None:
            record(
                actor,
                purpose,
                object_type=object_type,
                object_id=object_id,
                site_id=study.site_id if study is not None else None,
                outcome=outcome,
                study=str(getattr(study, "pk", "")),
            )
    if failure is not None:
        raise failure


def unlock_signing(actor: Actor, user: User) -> None:
    """Forget the wrong passwords so far, in the caller's transaction; the record of them stays."""
    record(actor, "user.unlock", object_type="user", object_id=user.pk)


def signing_is_locked(user: User, purpose: str = "report.sign") -> bool:
    """Whether too many wrong passwords stand between this person and a signature just now."""
    return _failures_since_unlocking(user, purpose) >= ATTEMPTS


def _failures_since_unlocking(user: User, purpose: str) -> int:
    since = timezone.now() - WINDOW
    unlocked = AuditEvent.objects.filter(
        action="user.unlock", object_type="user", object_id=str(user.pk), at__gte=since
    ).aggregate(at=Max("at"))["at"]
    failures = AuditEvent.objects.filter(actor=user, action=purpose, outcome="wrong_password")
    return failures.filter(at__gte=max(since, unlocked or since)).count()
