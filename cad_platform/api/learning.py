"""`/api/v1/learning/…`: consent, and versions of a site's data sets."""

from __future__ import annotations

import uuid

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from cad_platform.api import learning_answers as answers
from cad_platform.api import schema
from cad_platform.api.filters import json_of, parse_model
from cad_platform.api.studies import ApiView
from cad_platform.core.actor import actor_of
from cad_platform.learning import consent, versions
from cad_platform.learning.models import DatasetVersion

_DATASET = OpenApiParameter("dataset", OpenApiTypes.UUID, OpenApiParameter.PATH)
_NONE_MADE = {
    409: "`nothing_to_learn`: no signed study of a patient who consents. `unchanged`: nothing is otherwise than in the "
    "version before. Nothing was made."
}


class Consents(ApiView):
    @extend_schema(
        operation_id="record_consent",
        summary="Say whether a patient's images may be learned from",
        request=answers.ConsentRequest,
        responses={
            201: answers.ConsentAnswer,
            **schema.problems(400, 401, 403, 404, 409, 415, 422, 429, 503),
        },
    )
    def post(self, request: Request) -> Response:
        """Her latest word counts. For people at the pages, and for tokens that may post studies."""
        wanted = parse_model(answers.ConsentRequest, json_of(request))
        made = consent.say(actor_of(request), **wanted.model_dump())
        body = answers.ConsentAnswer(state=made.state, source=made.source, recorded_at=made.recorded_at)
        return Response(body.as_json(), status=201)


class Datasets(ApiView):
    @extend_schema(
        operation_id="list_datasets",
        summary="List the versions of data sets",
        responses={200: answers.DatasetList, **schema.problems(401, 403, 429, 503)},
    )
    def get(self, request: Request) -> Response:
        """The latest two hundred of the site, newest first; an administrator's of every site."""
        found = versions.versions(actor_of(request))[:200]
        return Response(answers.DatasetList(results=[_dataset(each) for each in found]).as_json())

    @extend_schema(
        operation_id="make_dataset",
        summary="Make the next version of a data set",
        request=answers.DatasetRequest,
        responses={
            201: answers.DatasetAnswer,
            **schema.problems(400, 401, 403, 409, 415, 422, 429, 503, because=_NONE_MADE),
        },
    )
    def post(self, request: Request) -> Response:
        """Of the signed studies of patients who consent now. For the clinical lead of the site."""
        actor = actor_of(request)
        versions.versions(actor)  # who may not look is told so before what was misspelt
        wanted = parse_model(answers.DatasetRequest, json_of(request))
        made = versions.make(actor, versions.site_of(actor), wanted.modality)
        return Response(_dataset(versions.version_by_id(actor, made.pk)).as_json(), status=201)


class DatasetDetail(ApiView):
    @extend_schema(
        operation_id="get_dataset",
        summary="Get one version of a data set",
        parameters=[_DATASET],
        responses={200: answers.DatasetAnswer, **schema.problems(401, 403, 404, 429, 503)},
    )
    def get(self, request: Request, dataset: uuid.UUID) -> Response:
        return Response(_dataset(versions.version_by_id(actor_of(request), dataset)).as_json())


def _dataset(version: DatasetVersion) -> answers.DatasetAnswer:
    return answers.DatasetAnswer(
        id=version.pk, site=version.site.code, modality=version.modality, number=version.number,
        made_at=version.made_at, images=version.images, patients=version.patients,
        labels=versions.labels(version), left_out=version.left_out, withdrawn=versions.withdrawn(version),
    )  # fmt: skip
