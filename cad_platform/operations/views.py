"""The probes that an orchestrator asks: alive, everything works, this web process may take traffic."""

from __future__ import annotations

from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from cad_platform.operations import answers, readiness


@never_cache
@require_safe
def livez(request: HttpRequest) -> HttpResponse:
    """The process answers; says nothing of what it depends on."""
    return HttpResponse("alive\n", content_type="text/plain")


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 while the platform does its work, with `degraded` naming what others stand in for; else 503 and which
    components have not lately proven themselves. Why is for those who are signed in."""
    return _answer(answers.readiness_of(readiness.readiness(), reasons=_is_signed_in(request)))


@never_cache
@require_safe
def web_ready(request: HttpRequest) -> JsonResponse:
    """200 while database and storage answer: a model server that is down leaves the reading room open."""
    missing = readiness.missing_for_service()
    return _answer(answers.WebReadiness(ready=not missing, failed=missing))


def _is_signed_in(request: HttpRequest) -> bool:
    try:
        return request.user.is_authenticated
    except DatabaseError:
        return False  # nobody can tell while it is away


def _answer(answer: answers.WebReadiness) -> JsonResponse:
    return JsonResponse(answer.as_json(), status=200 if answer.ready else 503)
