"""The probes that an orchestrator asks: alive, everything works, this web process may take traffic."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from cad_platform.operations import readiness


@never_cache
@require_safe
def livez(request: HttpRequest) -> HttpResponse:
    """The process answers; says nothing of what it depends on."""
    return HttpResponse("alive\n", content_type="text/plain")


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 while every component has lately proven itself by traffic, else 503 and which have not."""
    states = readiness.readiness()
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


@never_cache
@require_safe
def web_ready(request: HttpRequest) -> JsonResponse:
    """200 while database and storage answer: a model server that is down leaves the reading room open."""
    missing = readiness.missing_for_service()
    return JsonResponse({"ready": not missing, "failed": missing}, status=503 if missing else 200)
