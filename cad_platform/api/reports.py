"""A signed report's PDF for hospital systems: bearer token or session; another site's answers 404."""

from __future__ import annotations

import uuid

from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from cad_platform.api.images import ImageView
from cad_platform.api.streaming import send
from cad_platform.core.actor import actor_of
from cad_platform.reporting import services
from cad_platform.studies import storage


class ReportPdf(ImageView):
    """The PDF/A that was made at signing, byte for byte; the signed record is attached to it."""

    @extend_schema(operation_id="report_pdf", responses={(200, "application/pdf"): OpenApiTypes.BINARY})
    def get(self, request: Request, report: uuid.UUID) -> HttpResponseBase:
        _report, stored = services.open_pdf(actor_of(request), report)
        with storage.open(stored.sha256) as path:
            handle = path.open("rb")
        return send(request, handle, tag=stored.sha256, media_type="application/pdf", size=stored.size)
