"""Records who signs in and out, and who tries in vain."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import signals
from django.http import HttpRequest

from cad_platform.accounts.models import User
from cad_platform.audit.services import record
from cad_platform.core.actor import Actor


def connect() -> None:
    signals.user_logged_in.connect(_signed_in, dispatch_uid="record_sign_in")
    signals.user_logged_out.connect(_signed_out, dispatch_uid="record_sign_out")
    signals.user_login_failed.connect(_failed, dispatch_uid="record_failed_sign_in")


def _actor(user: User | None, request: HttpRequest | None) -> Actor:
    request_id = getattr(request, "request_id", "")
    address = request.META.get("REMOTE_ADDR") or None if request is not None else None
    if user is None:
        return Actor(label="unknown", request_id=request_id, address=address)
    return Actor.of_user(user, request_id=request_id, address=address)


def _signed_in(sender: Any, request: HttpRequest, user: User, **_: Any) -> None:
    record(_actor(user, request), "user.sign_in", object_type="user", object_id=user.pk)


def _signed_out(sender: Any, request: HttpRequest, user: User | None, **_: Any) -> None:
    if user is not None:
        record(_actor(user, request), "user.sign_out", object_type="user", object_id=user.pk)


def _failed(sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    """What was typed as a name is kept only when it is one: it may be a password in the wrong field."""
    user = User.objects.filter(username=credentials.get("username") or "").first()
    record(
        _actor(user, request),
        "user.sign_in",
        object_type="user",
        object_id=user.pk if user else "",
        outcome="wrong_password",
    )
