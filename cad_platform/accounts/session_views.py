"""The session itself: what is with it, its lock, and how it passes from one person to the next.

The forms answer a page's scripts as allauth's do, with `html` or `location`, so that the cover over a page
(`frontend/src/session`) shows the same forms as the pages do.
"""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import get_adapter
from django.contrib import messages
from django.contrib.auth import logout, update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from cad_platform.accounts import idle_lock, one_time, services
from cad_platform.accounts.session_states import (
    ALL_STATES,
    PasswordDue,
    SessionLocked,
    reachable_in,
    session_key_of,
)
from cad_platform.accounts.sign_in_forms import OwnPasswordForm, UnlockForm
from cad_platform.core.actor import actor_of
from cad_platform.core.answers import Answer
from cad_platform.core.errors import PlatformError


class SessionPerson(Answer):
    id: int
    name: str


class SessionState(Answer):
    """Who is signed in here now; a page compares it with whose it is."""

    person: SessionPerson | None
    is_locked: bool
    password_is_due: bool
    seconds_left: float | None
    """Until the session is locked, should nobody move; none for never."""


@reachable_in(*ALL_STATES)
@never_cache
@ensure_csrf_cookie
@require_GET
def session_state(request: HttpRequest) -> HttpResponse:
    """For every page that shows who is signed in, also where nobody is; brings the CSRF token of now."""
    return JsonResponse(_state(request).as_json())


def _state(request: HttpRequest) -> SessionState:
    user: Any = request.user
    if not user.is_authenticated:
        return SessionState(person=None, is_locked=False, password_is_due=False, seconds_left=None)
    lock = idle_lock.state_of_lock(actor_of(request), session_key_of(request))
    return SessionState(
        person=SessionPerson(id=user.pk, name=user.printed_name),
        is_locked=lock.is_locked,
        password_is_due=one_time.is_due(user),
        seconds_left=lock.seconds_left,
    )


@reachable_in(PasswordDue)
@login_required
@require_POST
def activity(request: HttpRequest) -> HttpResponse:
    """A page reports that its person used keys or pointer."""
    idle_lock.note_activity(actor_of(request), session_key_of(request))
    return HttpResponse(status=204)


@reachable_in(PasswordDue, SessionLocked)
@login_required
@require_POST
def lock_session(request: HttpRequest) -> HttpResponse:
    idle_lock.lock(actor_of(request), session_key_of(request))
    return redirect("session-unlock")


@reachable_in(*ALL_STATES)
@require_POST
def hand_over(request: HttpRequest) -> HttpResponse:
    """Sign out whoever is signed in, so that somebody else can sign in here."""
    logout(request)
    return redirect("account_login")


@reachable_in(SessionLocked, PasswordDue)
@sensitive_post_parameters("password")
@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def unlock(request: HttpRequest) -> HttpResponse:
    """Go on with a locked session: the page that is shown in place of every other."""
    form = UnlockForm(request.POST or None)
    onward = _onward(request)
    if request.method == "POST" and form.is_valid():
        try:
            idle_lock.unlock(actor_of(request), session_key_of(request), form.cleaned_data["password"])
        except PlatformError as problem:
            form.refuse(problem)
        else:
            return _answer(request, form, redirect(onward))
    context = {"form": form, "next": onward}
    return _answer(request, form, render(request, "accounts/unlock.html", context))


@reachable_in(PasswordDue)
@sensitive_post_parameters("password1", "password2")
@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def own_password(request: HttpRequest) -> HttpResponse:
    """Choose a password of one's own in place of the one-time one."""
    actor = actor_of(request)
    if not one_time.is_due(actor.user):
        return redirect("home")
    form = OwnPasswordForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            user = one_time.choose_own(actor, form.cleaned_data["password1"])
        except PlatformError as problem:
            form.refuse(problem)
        else:
            update_session_auth_hash(request, user)
            services.own_password_changed(actor, user, keep=request.session.session_key)
            messages.success(request, _("The password is yours alone now. You also sign reports with it."))
            return _answer(request, form, redirect("home"))
    return _answer(request, form, render(request, "accounts/own_password.html", {"form": form}))


def _answer(request: HttpRequest, form: Any, response: HttpResponse) -> HttpResponse:
    """The page, or for the cover what allauth would say of it."""
    adapter = get_adapter()
    if not adapter.is_ajax(request):
        if response.status_code == 200 and form.errors:
            response.status_code = 422
        return response
    return adapter.ajax_response(  # type: ignore[no-any-return]
        request, response, form=form, redirect_to=response.get("Location")
    )


def _onward(request: HttpRequest) -> str:
    """Where the page leads that was asked for while the session was locked."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    is_ours = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if is_ours and wanted.startswith("/") else "/"
