"""A signed report's PDF for hospital systems: bearer token or session; another site's answers 404."""

from __future__ import annotations

import uuid

from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request

from cad_platform.api.images import ImageView
from cad_platform.api.streaming import send
from cad_platform.core.actor import actor_of
from cad_platform.reporting import services


class ReportPdf(ImageView):
    """The PDF/A that was made at signing; the signed record is attached to it. Once an addendum is signed or the
    patient corrected each page says so on top; `as=signed` answers the signed file byte for byte."""

    @extend_schema(
        operation_id="report_pdf",
        parameters=[
            OpenApiParameter("as", str, enum=["signed"], description="The signed file, byte for byte")
        ],
        responses={(200, "application/pdf"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, report: uuid.UUID) -> HttpResponseBase:
        as_signed = request.query_params.get("as") == "signed"
        opened = services.open_pdf(actor_of(request), report, as_signed=as_signed)
        answer = send(request, opened.handle, tag=opened.tag, media_type="application/pdf", size=opened.size)
        if not as_signed:
            # An addendum of the next minute changes what is to be read.
            answer["Cache-Control"] = "private, no-cache"
        return answer
