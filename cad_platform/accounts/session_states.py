"""What may stand between a request with a session and the page that it asks for, before any permission is looked at.

Scripts are told in problem details, each with its own code, so that the page can be covered and the session renewed in
place; whoever follows a link or sends a plain form gets a page (`web.session_guard`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.http import HttpRequest
from django.utils.translation import gettext as _

from cad_platform.accounts import idle_lock, one_time
from cad_platform.core.actor import actor_of
from cad_platform.core.errors import PlatformError, gettext_noop

#: Of whom the page is that asks: the user's id. A page's scripts send the header, its plain forms the field.
PAGE_USER_HEADER = "X-CAD-Page-User"
PAGE_USER_FIELD = "page_user"

View = TypeVar("View", bound=Callable[..., Any])


class SignedOut(PlatformError):
    """The page is somebody's and nobody is signed in (any more)."""

    status, code, title = 401, "signed_out", gettext_noop("Signed out")


class OtherUser(PlatformError):
    """The page is one person's and the session another's: nothing of the one goes under the other's name."""

    status, code, title = 409, "other_user", gettext_noop("Somebody else is signed in")


class SessionLocked(PlatformError):
    """Nobody moved for a while (`accounts.idle_lock`)."""

    status, code, title = 423, "session_locked", gettext_noop("Locked")


class PasswordDue(PlatformError):
    """The person came with a one-time password and has chosen none of their own yet (`accounts.one_time`)."""

    status, code, title = 403, "password_due", gettext_noop("A password of your own is due")


ALL_STATES: tuple[type[PlatformError], ...] = (SignedOut, OtherUser, SessionLocked, PasswordDue)


def reachable_in(*states: type[PlatformError]) -> Callable[[View], View]:
    """Let a view be reached although one of these states stands in the way: the doors that lead out of it."""

    def mark(view: View) -> View:
        view.reachable_in = states  # type: ignore[attr-defined]
        return view

    return mark


def is_reachable_in(view: object, state: PlatformError) -> bool:
    return isinstance(state, getattr(view, "reachable_in", ()))


def state_of(request: HttpRequest, page_user: str) -> PlatformError | None:
    """What stands in the way of this request, if anything.

    Parameters
    ----------
    page_user
        Of whom the page is that asks, as it says itself; empty where it does not, such as for a followed link.
    """
    user = request.user
    if page_user and not user.is_authenticated:
        return SignedOut(_("Your session has ended. Please sign in again."))
    if page_user and page_user != str(user.pk):
        return OtherUser(_("%(name)s is signed in now.") % {"name": user.printed_name})  # type: ignore[union-attr]
    if not user.is_authenticated:
        return None
    if idle_lock.state_of_lock(actor_of(request), session_key_of(request)).is_locked:
        return SessionLocked(_("This workplace is locked. Unlock it with your password."))
    if one_time.is_due(user):
        return PasswordDue(_("Choose a password of your own first."))
    return None


def session_key_of(request: HttpRequest) -> str:
    """The key of the session that the request came with."""
    return str(request.session.session_key or "")
