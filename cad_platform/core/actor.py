"""Who is acting, from where: the one value that services need of a request."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django.http import HttpRequest


@dataclass(frozen=True)
class Actor:
    """A user, the token they came with (if any), or a system process without a user.

    `site_id` is None only for administrators and system processes; whoever has none sees no patient.
    """

    label: str
    user: Any = None
    token: Any = None
    site_id: int | None = None
    role: str = ""
    request_id: str = ""
    address: str | None = None

    @property
    def token_id(self) -> uuid.UUID | None:
        return self.token.id if self.token is not None else None

    @classmethod
    def system(cls, name: str) -> Actor:
        """A process of the platform, such as `system:worker`."""
        return cls(label=f"system:{name}")

    @classmethod
    def of_user(
        cls, user: Any, *, token: Any = None, request_id: str = "", address: str | None = None
    ) -> Actor:
        return cls(
            label=user.username,
            user=user,
            token=token,
            site_id=user.site_id,
            role=user.role,
            request_id=request_id,
            address=address,
        )


def actor_of(request: HttpRequest) -> Actor:
    """The actor of an authenticated request (session or bearer token)."""
    user = request.user
    if not user.is_authenticated:
        raise PermissionError("an anonymous request has no actor")
    return Actor.of_user(
        user,
        token=getattr(request, "auth", None),
        request_id=getattr(request, "request_id", ""),
        address=request.META.get("REMOTE_ADDR") or None,
    )
