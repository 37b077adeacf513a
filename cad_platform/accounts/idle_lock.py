"""The lock of a shared workplace: where nobody has moved for the site's time, a session is held until its person gives
the password again, or somebody else takes the workplace over.

The server holds it: a locked session is answered nothing but its unlocking, on every page and address. What counts as
a sign of life is a page that a person opens and what their browser reports of keys and pointer (`note_activity`); what
pages ask by themselves is none. Every change is one conditional update, so that a sign of life that was under way when
the lock fell does not undo it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from cad_platform.accounts.models import SessionActivity, User
from cad_platform.accounts.reauthentication import verify_password
from cad_platform.audit.services import record
from cad_platform.core.actor import Actor

#: Signs of life are written down at most so often, and at most a tenth of the time to the lock late.
_RESOLUTION = timedelta(seconds=20)
#: What is left of sessions that are over is cleared away after so long.
_KEPT = timedelta(days=2)


@dataclass(frozen=True)
class Lock:
    """How a session stands.

    Attributes
    ----------
    is_locked
        Whether it is answered nothing but its unlocking.
    seconds_left
        Until it is locked, should nobody move; none where it is locked already, or never will be by itself.
    """

    is_locked: bool
    seconds_left: float | None = None


def idle_limit(user: User) -> timedelta | None:
    """After how long without a sign of life this person's sessions are locked: the site's time, for administrators the
    platform's. None for never."""
    minutes = settings.IDLE_LOCK_MINUTES if user.site is None else user.site.idle_lock_minutes
    return timedelta(minutes=minutes) if minutes else None


def state_of_lock(actor: Actor, session_key: str) -> Lock:
    """Whether the session is locked; it is from now on where its time is over."""
    rows = SessionActivity.objects.filter(session_key=session_key, user=actor.user)
    # With the person's site, whose time it is, in one query: this is asked before every request.
    row = rows.select_related("user__site").first()
    if row is not None:
        actor.user.site = row.user.site
    limit, now = idle_limit(actor.user), timezone.now()
    if row is None:
        # The first request after signing in.
        SessionActivity.objects.get_or_create(session_key=session_key, defaults={"user": actor.user})
        return Lock(False, limit.total_seconds() if limit else None)
    if row.locked_at is not None:
        return Lock(True)
    if limit is None:
        return Lock(False)
    left = limit - (now - row.active_at)
    if left > timedelta(0):
        return Lock(False, left.total_seconds())
    # Whoever moved in between has moved: then the time that was read is no longer the row's.
    if _lock(actor, session_key, "idle", active_at=row.active_at):
        return Lock(True)
    return state_of_lock(actor, session_key)


def note_activity(actor: Actor, session_key: str) -> None:
    """Somebody moved. A session that is locked, or whose time is over, stays so."""
    limit, now = idle_limit(actor.user), timezone.now()
    if limit is None:
        return
    SessionActivity.objects.filter(
        session_key=session_key,
        locked_at=None,
        active_at__gt=now - limit,
        active_at__lt=now - min(_RESOLUTION, limit / 10),
    ).update(active_at=now)


def lock(actor: Actor, session_key: str) -> None:
    """Lock the session now, as its person asks. Locking it again changes nothing."""
    state_of_lock(actor, session_key)
    _lock(actor, session_key, "asked")


@transaction.atomic
def _lock(actor: Actor, session_key: str, reason: str, **condition: object) -> bool:
    changed = SessionActivity.objects.filter(
        session_key=session_key, user=actor.user, locked_at=None, **condition
    ).update(locked_at=timezone.now())
    if changed:
        record(actor, "user.lock", object_type="user", object_id=actor.user.pk, reason=reason)
    return bool(changed)


def unlock(actor: Actor, session_key: str, password: str) -> None:
    """Go on with the session.

    Raises
    ------
    NotPermitted, TooManyRequests
        The password is wrong; too many were.
    """
    verify_password(
        actor, password, purpose="user.unlock_session", object_type="user", object_id=actor.user.pk
    )
    with transaction.atomic():
        SessionActivity.objects.filter(session_key=session_key, user=actor.user).update(
            locked_at=None, active_at=timezone.now()
        )
        record(actor, "user.unlock_session", object_type="user", object_id=actor.user.pk)


def clear_ended() -> None:
    """Forget the sessions that are long over."""
    SessionActivity.objects.filter(active_at__lt=timezone.now() - _KEPT).delete()
