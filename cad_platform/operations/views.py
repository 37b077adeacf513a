"""The probes that an orchestrator asks: alive, everything works, this web process may take traffic."""

from __future__ import annotations

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
    """200 while every component has lately proven itself by traffic, else 503 and which have not."""
    return _answer(answers.readiness_of(readiness.readiness()))


@never_cache
@require_safe
def web_ready(request: HttpRequest) -> JsonResponse:
    """200 while database and storage answer: a model server that is down leaves the reading room open."""
    missing = readiness.missing_for_service()
    return _answer(answers.WebReadiness(ready=not missing, failed=missing))


def _answer(answer: answers.WebReadiness) -> JsonResponse:
    return JsonResponse(answer.as_json(), status=200 if answer.ready else 503)
