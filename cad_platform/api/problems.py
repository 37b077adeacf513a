"""Every refusal of the API as problem details (RFC 9457)."""

from __future__ import annotations

import logging
from typing import Any

from django.core.exceptions import (
    BadRequest,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.db import InterfaceError, OperationalError
from django.http import Http404
from django.http.multipartparser import MultiPartParserError
from django.http.request import UnreadablePostError
from rest_framework import exceptions
from rest_framework.response import Response

from cad_platform.core.errors import (
    NotFound,
    NotPermitted,
    PayloadTooLarge,
    PlatformError,
    Unavailable,
)
from cad_platform.core.problem_details import MEDIA_TYPE, as_problem

logger = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = "10"


class ServerError(PlatformError):
    status, code, title = 500, "server_error", "The platform made a mistake"


class _FrameworkError(PlatformError):
    """A refusal by Django or the REST framework."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail, code=code)
        self.status = status


def exception_handler(error: Exception, context: dict[str, Any]) -> Response:
    """For `REST_FRAMEWORK["EXCEPTION_HANDLER"]`. Knows every exception, so that no answer is a page."""
    problem = as_platform_error(error)
    if problem.status >= 500:
        logger.error("%s: %s", type(error).__name__, problem.code, exc_info=error)
    request = context.get("request")
    response = problem_response(problem, getattr(request, "request_id", None))
    if isinstance(error, exceptions.APIException):
        if header := getattr(error, "challenge", None) or getattr(error, "auth_header", None):
            response["WWW-Authenticate"] = header
        if wait := getattr(error, "wait", None):
            response["Retry-After"] = str(int(wait) + 1)
    return response


def problem_response(problem: PlatformError, request_id: str | None = None) -> Response:
    response = Response(as_problem(problem, request_id), status=problem.status, content_type=MEDIA_TYPE)
    response["Cache-Control"] = "no-store"
    if isinstance(problem, Unavailable):
        response["Retry-After"] = RETRY_AFTER_SECONDS
    return response


def as_platform_error(error: Exception) -> PlatformError:
    """The platform's own error for any exception; what nobody expected is a 500 that says nothing of it."""
    if isinstance(error, PlatformError):
        return error
    if isinstance(error, OperationalError | InterfaceError):
        return Unavailable("The database does not answer. Please try again in a moment.")
    if isinstance(error, Http404):
        return NotFound("There is nothing at this address.")
    if isinstance(error, PermissionDenied):
        return NotPermitted("This is not permitted.")
    if isinstance(error, RequestDataTooBig | TooManyFieldsSent | TooManyFilesSent):
        return PayloadTooLarge("The request has too many parts, or one that is too large.")
    if isinstance(error, MultiPartParserError):
        return _FrameworkError(400, "malformed_multipart", "The multipart body is malformed.")
    if isinstance(error, UnreadablePostError):
        return _FrameworkError(400, "body_incomplete", "The body ended early. Nothing was stored.")
    if isinstance(error, SuspiciousOperation | BadRequest):
        return _FrameworkError(400, "bad_request", "The request cannot be understood.")
    if isinstance(error, exceptions.APIException):
        codes = error.get_codes()
        return _FrameworkError(
            error.status_code, codes if isinstance(codes, str) else "invalid", _sentence(error)
        )
    return ServerError("Something went wrong here. It was recorded under the request id.")


def _sentence(error: exceptions.APIException) -> str:
    return str(error.detail) if isinstance(error.detail, str) else "The request is not accepted."
