"""`/api/v1/images/<id>/side`: a person says which breast an image shows."""

from __future__ import annotations

import uuid

from django.db import transaction
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from cad_platform.accounts.rules import require
from cad_platform.api import answers, composition, schema
from cad_platform.api.filters import json_of, parse_model
from cad_platform.api.studies import ApiView
from cad_platform.core.actor import actor_of
from cad_platform.studies import selectors
from cad_platform.studies.side_confirmation import confirm_side


class ImageSide(ApiView):
    @extend_schema(
        operation_id="confirm_side",
        summary="Confirm the side of an image",
        request=answers.SideRequest,
        responses={200: answers.StudyAnswer, **schema.problems(400, 401, 403, 404, 409, 422, 429, 503)},
    )
    def post(self, request: Request, image: uuid.UUID) -> Response:
        """For clinicians with a session. A side that differs from the one used so far makes a new version of the study,
        which is analysed again. A hospital's system sends a `correction` instead."""
        actor = actor_of(request)
        found = selectors.image(actor, image)
        require(actor, "study.confirm_side", found.series.study)
        asked = parse_model(answers.SideRequest, json_of(request))
        with transaction.atomic():
            confirm_side(actor, found, asked.side, asked.reason)
            study = selectors.study_by_uid(actor, found.series.study.study_instance_uid)
            body = composition.compose(request, actor, study)
        return Response(body.as_json())
