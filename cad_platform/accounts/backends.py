"""Who is let in with a session: whoever is active, of a site that is."""

from __future__ import annotations

from typing import Any

from allauth.account.auth_backends import AuthenticationBackend


class OfAnActiveSite(AuthenticationBackend):
    """Asked when somebody signs in, and at each request of a session: one that is open ends with its site."""

    def user_can_authenticate(self, user: Any) -> bool:
        return bool(super().user_can_authenticate(user)) and (user.site is None or user.site.is_active)
