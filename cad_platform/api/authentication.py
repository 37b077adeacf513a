"""Who calls: a hospital system with a bearer token (RFC 6750), or a person with a session."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from cad_platform.accounts import tokens
from cad_platform.accounts.models import ApiToken

_KEYWORD = "bearer"


class BadToken(exceptions.AuthenticationFailed):
    """One answer for unknown, expired and revoked: a guesser learns nothing."""

    default_detail = "The bearer token is unknown, expired or revoked."
    default_code = "invalid_token"
    challenge = 'Bearer realm="api", error="invalid_token"'


class BearerTokenAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[Any, ApiToken] | None:
        scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != _KEYWORD:
            return None
        token = tokens.find(credentials.strip())
        if token is None:
            raise BadToken
        tokens.note_use(token)
        return token.user, token

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="api"'


class BearerTokenScheme(OpenApiAuthenticationExtension):
    """Tells the OpenAPI schema of the scheme."""

    target_class = "cad_platform.api.authentication.BearerTokenAuthentication"
    name = "bearerToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "A token that an administrator made."}
