"""What happens around every request."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, tzinfo
from functools import cached_property
from typing import Any
from urllib.parse import unquote

import pghistory
from django.core.exceptions import BadRequest
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext as _

from cad_platform.core import request_ids, tracing
from cad_platform.core.errors import PlatformError, Unavailable
from cad_platform.core.problem_details import MEDIA_TYPE, as_problem

Handler = Callable[[HttpRequest], HttpResponse]
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


class RequestIdMiddleware:
    """Gives each request an id that stands in its log lines, its audit events and its answer."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-ID", "")
        request.request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex  # type: ignore[attr-defined]
        with (
            request_ids.bound(request.request_id),  # type: ignore[attr-defined]
            tracing.request_span(str(request.method)) as span,
        ):
            response = self.get_response(request)
            if span is not None:
                page = request.resolver_match.view_name if request.resolver_match else "nowhere"
                span.update_name(f"{request.method} {page}")  # not the address, which names a study
                span.set_attribute("http.response.status_code", response.status_code)
        response["X-Request-ID"] = request.request_id  # type: ignore[attr-defined]
        return response


class PlainQueryMiddleware:
    """Refuses an address with a NUL in it: no text of the platform has one, and the database takes none. Only UIDs may
    be padded with one (DICOM PS3.5 9.1), and what reads them takes it away."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if "\x00" in unquote(request.META.get("QUERY_STRING", "")):
            raise BadRequest("a NUL in the address")
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Handler, arguments: Sequence[Any], named: Mapping[str, Any]
    ) -> None:
        if any("\x00" in value for name, value in named.items() if isinstance(value, str) and name != "uid"):
            raise Http404


class _ZoneOf(tzinfo):
    """The time zone of a user's site, looked up when a time is shown and not before: many answers show none."""

    def __init__(self, user: Any) -> None:
        self._user = user

    @cached_property
    def _zone(self) -> tzinfo:
        site = self._user.site
        return site.zone if site else timezone.get_default_timezone()

    def utcoffset(self, dt: datetime | None) -> timedelta | None:
        return self._zone.utcoffset(dt)

    def dst(self, dt: datetime | None) -> timedelta | None:
        return self._zone.dst(dt)

    def tzname(self, dt: datetime | None) -> str | None:
        return self._zone.tzname(dt)

    def fromutc(self, dt: datetime) -> datetime:
        return self._zone.fromutc(dt.replace(tzinfo=self._zone))

    def __str__(self) -> str:
        return str(self._zone)


class LocalTimeMiddleware:
    """Pages show times in the time zone of the reader's site; the API answers in UTC."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        is_of_somebody = not request.path.startswith("/api/") and request.user.is_authenticated
        with timezone.override(_ZoneOf(request.user) if is_of_somebody else None):
            return self.get_response(request)


class HistoryContextMiddleware:
    """Names the user and the request in every history row that a request causes."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.method in {"GET", "HEAD", "OPTIONS"}:
            return self.get_response(request)
        user_id = request.user.pk if request.user.is_authenticated else None
        with pghistory.context(user=user_id, request_id=getattr(request, "request_id", "")):
            return self.get_response(request)


class ErrorPageMiddleware:
    """Turns a refusal into a page that says what happened and what to do, or for a page's script that asks for JSON
    into problem details; `api.problems` answers the API."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, PlatformError | OperationalError | InterfaceError):
            return None
        return problem_answer(request, exception)


def problem_answer(
    request: HttpRequest, problem: PlatformError | OperationalError | InterfaceError
) -> HttpResponse:
    """A refusal as a page, within a page as a message beside the work, and for a script as JSON."""
    page, template = request, "web/problem.html"
    if not hasattr(request, "user"):
        # Refused before anybody was known, as under a host name that is none of ours.
        page = None  # type: ignore[assignment]
    if not isinstance(problem, PlatformError):
        # Without the frame of a page: who is signed in stands in the database too.
        page, template = None, "web/server_error.html"  # type: ignore[assignment]
        problem = Unavailable(_("The database does not answer. Please try again in a moment."))
    fragment = bool(getattr(request, "htmx", False))
    if request.headers.get("Accept") == "application/json" or request.path.startswith("/api/"):
        body = as_problem(problem, getattr(request, "request_id", None))
        response: HttpResponse = JsonResponse(body, status=problem.status, content_type=MEDIA_TYPE)
    elif fragment:
        # Within a page a refusal is a message beside the work, not a page in its place.
        response = render(page, "web/refusal.html", {"problem": problem}, status=problem.status)
        response["HX-Retarget"] = "#toasts"
        response["HX-Reswap"] = "beforeend"
    else:
        response = render(page, template, {"problem": problem}, status=problem.status)
    if isinstance(problem, Unavailable):
        response["Retry-After"] = "10"
    return response
