"""Accounts are made by administrators only."""

from __future__ import annotations

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core.internal import ratelimit
from django.http import HttpRequest


class AccountAdapter(DefaultAccountAdapter):
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def forget_failed_logins(self, request: HttpRequest, username: str) -> None:
        """Let somebody try again who gave too many wrong passwords."""
        ratelimit.clear(
            request,
            app="allauth.account",
            action="login_failed",
            key=self._get_login_attempts_cache_key(request, username=username),
        )
