"""The probe that an orchestrator asks before it sends a web process traffic."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from cad_platform.studies.health import missing_for_service


@never_cache
@require_safe
def web_ready(request: HttpRequest) -> JsonResponse:
    """200 while database and storage answer: a model server that is down leaves the reading room open."""
    missing = missing_for_service()
    return JsonResponse({"ready": not missing, "failed": missing}, status=503 if missing else 200)
