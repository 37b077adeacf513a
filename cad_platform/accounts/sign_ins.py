"""Records who signs in and out, and who tries in vain."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import get_adapter
from allauth.account.signals import password_changed
from django.contrib import messages
from django.contrib.auth import signals
from django.http import HttpRequest
from django.utils.formats import date_format
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from cad_platform.accounts import idle_lock, services
from cad_platform.accounts.models import User
from cad_platform.audit.models import AuditEvent
from cad_platform.audit.selectors import newest
from cad_platform.audit.services import record
from cad_platform.core.actor import Actor


def connect() -> None:
    signals.user_logged_in.connect(_signed_in, dispatch_uid="record_sign_in")
    signals.user_logged_out.connect(_signed_out, dispatch_uid="record_sign_out")
    signals.user_login_failed.connect(_failed, dispatch_uid="record_failed_sign_in")
    password_changed.connect(_changed_password, dispatch_uid="record_changed_password")


def _actor(user: User | None, request: HttpRequest | None) -> Actor:
    request_id = getattr(request, "request_id", "")
    address = request.META.get("REMOTE_ADDR") or None if request is not None else None
    if user is None:
        return Actor(label="unknown", request_id=request_id, address=address)
    return Actor.of_user(user, request_id=request_id, address=address)


def _signed_in(sender: Any, request: HttpRequest, user: User, **_details: Any) -> None:
    said = _last_sign_in(user)
    record(_actor(user, request), "user.sign_in", object_type="user", object_id=user.pk)
    idle_lock.clear_ended()
    # Not where a page renews its session: the next page would say it out of place.
    if said and request is not None and not get_adapter().is_ajax(request):
        messages.info(request, said, fail_silently=True)


def _last_sign_in(user: User) -> str:
    """When and from where this person signed in last, and what was tried in vain since: whoever reads it notices
    what they have not done themselves."""
    tried = AuditEvent.objects.filter(action="user.sign_in", object_type="user", object_id=str(user.pk))
    last = newest(tried.filter(outcome="success"))
    if last is None:
        return ""
    when = date_format(localtime(last.at, user.site.zone if user.site else None), "Y-m-d H:i")
    where = last.address or _("an unknown address")
    said = _("Last sign-in: %(when)s from %(where)s.") % {"when": when, "where": where}
    if failed := tried.filter(pk__gt=last.pk).exclude(outcome="success").count():
        said += " " + ngettext(
            "Since then one attempt has failed.", "Since then %(count)s attempts have failed.", failed
        ) % {"count": failed}
    return said


def _changed_password(sender: Any, request: HttpRequest, user: User, **_details: Any) -> None:
    services.own_password_changed(_actor(user, request), user, keep=request.session.session_key)


def _signed_out(sender: Any, request: HttpRequest, user: User | None, **_details: Any) -> None:
    if user is not None:
        record(_actor(user, request), "user.sign_out", object_type="user", object_id=user.pk)


def _failed(
    sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **_details: Any
) -> None:
    """What was typed as a name is kept only when it is one: it may be a password in the wrong field."""
    user = User.objects.filter(username=credentials.get("username") or "").first()
    record(
        _actor(user, request),
        "user.sign_in",
        object_type="user",
        object_id=user.pk if user else "",
        outcome="wrong_password",
    )


def record_expired(user: User, request: HttpRequest) -> None:
    """Somebody came with a one-time password whose time is over."""
    record(
        _actor(user, request),
        "user.sign_in",
        object_type="user",
        object_id=user.pk,
        outcome="one_time_expired",
    )
