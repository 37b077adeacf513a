"""The way in, and the pages for what goes wrong."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from cad_platform.accounts.models import Role, User
from cad_platform.core import probes
from cad_platform.core.errors import NotFound, NotPermitted, PlatformError


@login_required
def home(request: HttpRequest) -> HttpResponse:
    """Clinicians start at the worklist, administrators at the jobs."""
    assert isinstance(request.user, User), "login_required lets nobody else in"
    if request.user.role == Role.ADMINISTRATOR:
        return redirect("jobs")
    return redirect("worklist")


@never_cache
@require_safe
def livez(request: HttpRequest) -> HttpResponse:
    """The process answers; says nothing of what it depends on."""
    return HttpResponse("alive\n", content_type="text/plain")


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 while every component has lately proven itself by traffic, else 503 and which have not."""
    states = probes.readiness()
    failed = [state.name for state in states if not state.ok]
    components = {
        state.name: {
            "ok": state.ok,
            "age_s": state.age_s,
            "latency_ms": state.latency_ms,
            **({"reason": state.reason} if state.reason else {}),
        }
        for state in states
    }
    body = {"ready": not failed, "failed": failed, "components": components}
    return JsonResponse(body, status=503 if failed else 200)


def _problem(request: HttpRequest, problem: PlatformError) -> HttpResponse:
    return render(request, "core/problem.html", {"problem": problem}, status=problem.status)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _problem(request, PlatformError(_("The browser sent something that cannot be understood.")))


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _problem(request, NotPermitted(_("Your role does not permit this.")))


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _problem(request, NotFound(_("There is no such page, or it belongs to another site.")))


def server_error(request: HttpRequest) -> HttpResponse:
    """Without context processors: they may be what failed."""
    return render(None, "core/server_error.html", status=500)
