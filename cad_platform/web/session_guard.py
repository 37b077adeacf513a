"""Holds up what a page asks for while its session has ended, is locked or is another's (`accounts.session_states`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth import logout
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from cad_platform.accounts import idle_lock
from cad_platform.accounts.session_states import (
    PAGE_USER_FIELD,
    PAGE_USER_HEADER,
    PasswordDue,
    SessionLocked,
    is_reachable_in,
    session_key_of,
    state_of,
)
from cad_platform.core.actor import actor_of
from cad_platform.core.errors import NotPermitted, PlatformError
from cad_platform.core.problem_details import MEDIA_TYPE, as_problem
from cad_platform.web.middleware import Handler, problem_answer


class SessionGuardMiddleware:
    """Asks before each view of a session what stands in the way."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any
    ) -> HttpResponse | None:
        try:
            state = state_of(request, _page_user(request, view))
            if _ended_with_its_site(request):
                state = state_of(request, _page_user(request, view))
        except (OperationalError, InterfaceError) as error:
            # Nothing is let through because the question could not be asked.
            return problem_answer(request, error)
        is_opened = not _is_asked_by_script(request) and not hasattr(view, "reachable_in")
        if state is None and is_opened and request.user.is_authenticated:
            # A page that somebody opens is a sign of life; what pages ask by themselves is none.
            idle_lock.note_activity(actor_of(request), session_key_of(request))
        if state is None or is_reachable_in(view, state):
            return None
        if not _is_asked_by_script(request) and request.method == "GET":
            if isinstance(state, SessionLocked):
                return redirect(f"{reverse('session-unlock')}?{urlencode({'next': request.get_full_path()})}")
            if isinstance(state, PasswordDue):
                return redirect("own-password")
        return _told(request, state)


def _ended_with_its_site(request: HttpRequest) -> bool:
    """A session that is open when its site is deactivated ends with the next thing that it asks. Asked after the lock,
    which has read the site."""
    site = getattr(request.user, "site", None)
    if site is None or site.is_active:
        return False
    logout(request)
    return True


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """For `CSRF_FAILURE_VIEW`. A script takes up the newest token and asks once more by this code."""
    return _told(
        request,
        NotPermitted(
            _("This page is from before the last sign-in. Please load it again."), code="csrf_failed"
        ),
    )


def _page_user(request: HttpRequest, view: Callable[..., Any]) -> str:
    """Of whom the page is that asks, as it says itself."""
    named = request.headers.get(PAGE_USER_HEADER)
    if named is not None:
        return named
    # The API's bodies are not read here: they may be studies. They carry tokens, and no page sends them.
    if request.method == "POST" and not getattr(view, "csrf_exempt", False):
        return request.POST.get(PAGE_USER_FIELD, "")
    return ""


def _is_asked_by_script(request: HttpRequest) -> bool:
    return PAGE_USER_HEADER in request.headers or "text/html" not in request.headers.get("Accept", "*/*")


def _told(request: HttpRequest, state: PlatformError) -> HttpResponse:
    if _is_asked_by_script(request):
        problem = as_problem(state, getattr(request, "request_id", None))
        response: HttpResponse = JsonResponse(problem, status=state.status, content_type=MEDIA_TYPE)
    else:
        response = problem_answer(request, state)
    response["Cache-Control"] = "no-store"
    return response
