"""Accounts are made by administrators only."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django import forms
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.translation import ngettext

from cad_platform.accounts import sign_in_limits


class AccountAdapter(DefaultAccountAdapter):
    _attempt: sign_in_limits.Attempt | None = None

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        """Count the attempt; refuse it where too many were wrong."""
        username = str(credentials.get("username") or credentials.get("email") or "")
        begun = sign_in_limits.begin(username, request.META.get("REMOTE_ADDR"))
        if isinstance(begun, sign_in_limits.Wait):
            raise forms.ValidationError(_wait_sentence(begun.seconds), code="too_many_login_attempts")
        self._attempt = begun

    def _rollback_login_failed_rl_usage(self) -> None:
        """allauth's name for what follows a right password."""
        if self._attempt is not None:
            sign_in_limits.succeeded(self._attempt)
            self._attempt = None

    def get_client_ip(self, request: HttpRequest) -> str:
        """The one that `ClientAddressMiddleware` found."""
        return str(request.META.get("REMOTE_ADDR") or "0.0.0.0")  # noqa: S104 (no address, as over a local socket)

    def pre_login(self, request: HttpRequest, user: Any, **details: Any) -> HttpResponse | None:
        """Whoever belongs to a site that was deactivated is told what an account that was is told."""
        if user.site is not None and not user.site.is_active:
            return self.respond_user_inactive(request, user)
        return super().pre_login(request, user, **details)

    def post_login(self, request: HttpRequest, user: Any, **details: Any) -> HttpResponse:
        """Lead on, in the language of the account unless this browser has chosen one."""
        response = super().post_login(request, user, **details)
        if user.language and settings.LANGUAGE_COOKIE_NAME not in request.COOKIES:
            response.set_cookie(settings.LANGUAGE_COOKIE_NAME, user.language, samesite="Lax", httponly=True)
        return response


def _wait_sentence(seconds: int) -> str:
    if seconds < 60:
        return ngettext(
            "Too many wrong passwords: wait one second, then try again.",
            "Too many wrong passwords: wait %(count)s seconds, then try again.",
            seconds,
        ) % {"count": seconds}
    minutes = -(-seconds // 60)
    return ngettext(
        "Too many wrong passwords: wait one minute, then try again. An administrator can let you try at once.",
        "Too many wrong passwords: wait %(count)s minutes, then try again. An administrator can let you try at once.",
        minutes,
    ) % {"count": minutes}
