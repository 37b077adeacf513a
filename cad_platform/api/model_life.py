"""`/api/v1/models/…`: a version's life. Administrators do everything; clinical leads look, and approve."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from pydantic import BaseModel
from rest_framework.parsers import BaseParser, JSONParser
from rest_framework.request import Request
from rest_framework.response import Response

from cad_platform.analysis import comparing, known_studies
from cad_platform.api import life_answers, schema
from cad_platform.api.filters import json_of, parse_model
from cad_platform.api.studies import ApiView
from cad_platform.core.actor import Actor, actor_of
from cad_platform.core.errors import FieldError, Invalid, PayloadTooLarge
from cad_platform.core.numbers import whole_number
from cad_platform.quality import known_truth
from cad_platform.registry import evidence, importing, lifecycle, routes, selectors, switching, verification
from cad_platform.registry.models import ModelRoute, ModelUpload, ModelVersion

_STATE = {409: "The version's state does not allow it, and the sentence says why. Nothing was changed."}
_OFFSET = {409: "`other_offset`: the piece does not begin where the last one ended; or the upload has ended."}
_UPLOAD = OpenApiParameter("upload", OpenApiTypes.UUID, OpenApiParameter.PATH)
_ALL = (400, 401, 403, 404, 409, 415, 422, 429, 503)


class AnyBytes(BaseParser):
    """The body is read by the view, piece by piece."""

    media_type = "application/octet-stream"

    def parse(
        self, stream: object, media_type: object = None, parser_context: object = None
    ) -> dict[str, object]:
        return {}


class ModelLife(ApiView):
    @extend_schema(
        operation_id="get_model_life",
        summary="Get where a version stands in its life",
        parameters=schema.MODEL_VERSION,
        responses={200: life_answers.LifeAnswer, **schema.problems(401, 403, 404, 429, 503)},
    )
    def get(self, request: Request, model: str, version: str) -> Response:
        """Its state, latest examination, approvals, and what is missing before it may become the default."""
        return _life(actor_of(request), model, version)


class ModelVerify(ApiView):
    @extend_schema(
        operation_id="verify_model",
        summary="Have a version examined",
        parameters=schema.MODEL_VERSION,
        request=None,
        responses={
            202: life_answers.LifeAnswer,
            **schema.problems(401, 403, 404, 409, 429, 503, because=_STATE),
        },
    )
    def post(self, request: Request, model: str, version: str) -> Response:
        """A worker does it; `get_model_life` tells what came of it. Safe to repeat."""
        actor = actor_of(request)
        verification.request(actor, selectors.version_named(actor, model, version))
        return _life(actor, model, version, status=202)


class _ModelVerb(ApiView):
    """A POST that does one thing to a version, and answers with its life. `asks` is what the body says; whoever derives
    says in `act` what is done, which returns the version to tell about."""

    asks: type[BaseModel]

    def act(self, actor: Actor, version: ModelVersion, wanted: Any) -> ModelVersion:
        raise NotImplementedError

    def post(self, request: Request, model: str, version: str) -> Response:
        actor = actor_of(request)
        wanted = parse_model(self.asks, json_of(request))
        changed = self.act(actor, selectors.version_named(actor, model, version), wanted)
        return _life(actor, changed.name, changed.version)


def _verb(operation_id: str, summary: str) -> Callable[[type[_ModelVerb]], type[_ModelVerb]]:
    """Of a verb what the schema says; its longer words are the class's."""

    def told(view: type[_ModelVerb]) -> type[_ModelVerb]:
        post = extend_schema(
            operation_id=operation_id,
            summary=summary,
            parameters=schema.MODEL_VERSION,
            request=view.asks,
            responses={200: life_answers.LifeAnswer, **schema.problems(*_ALL, because=_STATE)},
        )
        return extend_schema_view(post=post)(view)

    return told


@_verb("approve_model", "Approve a verified version")
class ModelApprove(_ModelVerb):
    """The first of two different people, or the second. Nothing runs by it yet."""

    asks = life_answers.ApproveRequest

    def act(self, actor: Actor, version: ModelVersion, wanted: life_answers.ApproveRequest) -> ModelVersion:
        return lifecycle.approve(actor, version, **wanted.model_dump())


@_verb("retire_model", "Take a version out of service for good")
class ModelRetire(_ModelVerb):
    """Its results stay. Asks for a reason."""

    asks = life_answers.ReasonRequest

    def act(self, actor: Actor, version: ModelVersion, wanted: life_answers.ReasonRequest) -> ModelVersion:
        return lifecycle.retire(actor, version, wanted.reason)


@_verb("roll_back_model", "Roll back from this version, the default, to the one before it")
class ModelRollback(_ModelVerb):
    """Analyses that wait go on with it; `reanalyses` has analysed again what shows a result of the other."""

    asks = life_answers.ReasonRequest

    def act(self, actor: Actor, version: ModelVersion, wanted: life_answers.ReasonRequest) -> ModelVersion:
        return switching.roll_back(actor, version, wanted.reason).version


class ModelRoutes(ApiView):
    @extend_schema(
        operation_id="list_model_routes",
        summary="List what runs beside the defaults",
        responses={200: life_answers.RouteList, **schema.problems(401, 403, 429, 503)},
    )
    def get(self, request: Request) -> Response:
        found = [_route(each) for each in routes.routes(actor_of(request))]
        return Response(life_answers.RouteList(results=found).as_json())


class ModelVersionRoutes(ApiView):
    @extend_schema(
        operation_id="route_model",
        summary="Have an approved version analyse studies: shadow, canary, a site's default",
        parameters=schema.MODEL_VERSION,
        request=life_answers.RouteRequest,
        responses={200: life_answers.RouteAnswer, **schema.problems(*_ALL, because=_STATE)},
    )
    def post(self, request: Request, model: str, version: str) -> Response:
        """After a model server has answered for it. Another version of the model that did the same there ends. What
        runs in shadow is never shown."""
        actor = actor_of(request)
        found = selectors.version_named(actor, model, version)
        wanted = parse_model(life_answers.RouteRequest, json_of(request))
        made = routes.set_route(
            actor,
            found,
            wanted.kind,
            site=routes.site_called(wanted.site),
            percent=wanted.percent,
            reason=wanted.reason,
        )
        return Response(_route(made).as_json())


class ModelRouteDetail(ApiView):
    @extend_schema(
        operation_id="end_model_route",
        summary="End a route",
        parameters=[OpenApiParameter("route", OpenApiTypes.INT, OpenApiParameter.PATH)],
        responses={204: None, **schema.problems(401, 403, 404, 429, 503)},
    )
    def delete(self, request: Request, route: int) -> Response:
        actor = actor_of(request)
        routes.end_route(actor, routes.route_by_id(actor, route))
        return Response(status=204)


class ModelComparisons(ApiView):
    @extend_schema(
        operation_id="compare_models",
        summary="Have a version compared with another at each site with known cases",
        parameters=schema.MODEL_VERSION,
        request=life_answers.CompareRequest,
        responses={202: life_answers.AgreementList, **schema.problems(*_ALL, because=_STATE)},
    )
    def post(self, request: Request, model: str, version: str) -> Response:
        """A worker does it. The answer tells how far they agree now."""
        actor = actor_of(request)
        found = selectors.version_named(actor, model, version)
        wanted = parse_model(life_answers.CompareRequest, json_of(request))
        against = selectors.version_named(actor, model, wanted.against)
        comparing.ask(actor, found, against)
        return _agreement(actor, found, against, status=202)


class ModelAgreement(ApiView):
    @extend_schema(
        operation_id="get_model_agreement",
        summary="Get how far a version agrees with another",
        parameters=[*schema.MODEL_VERSION, OpenApiParameter("against", str, OpenApiParameter.PATH)],
        responses={200: life_answers.AgreementList, **schema.problems(401, 403, 404, 429, 503)},
    )
    def get(self, request: Request, model: str, version: str, against: str) -> Response:
        """On the studies that both gave a score of, what was said in shadow included; all sites, then each. How many
        have none of one or of both is told beside."""
        actor = actor_of(request)
        one, other = (selectors.version_named(actor, model, each) for each in (version, against))
        return _agreement(actor, one, other)


class KnownCases(ApiView):
    @extend_schema(
        operation_id="record_known_cases",
        summary="Say what is true of known studies",
        request=life_answers.TruthRequest,
        responses={200: life_answers.TruthAnswer, **schema.problems(400, 401, 403, 415, 422, 429, 503)},
    )
    def post(self, request: Request) -> Response:
        """All or nothing; a later table's word counts."""
        wanted = parse_model(life_answers.TruthRequest, json_of(request))
        kept = known_studies.record_truth(actor_of(request), wanted.table)
        return Response(life_answers.TruthAnswer(studies=kept).as_json())


class KnownFromPathology(ApiView):
    @extend_schema(
        operation_id="record_known_cases_from_pathology",
        summary="Take up what signed pathology says of studies that a model has analysed",
        parameters=schema.MODEL_VERSION,
        request=None,
        responses={200: life_answers.TruthAnswer, **schema.problems(401, 403, 404, 429, 503)},
    )
    def post(self, request: Request, model: str, version: str) -> Response:
        """The answer tells of how many that is new. What a table says of a study stays."""
        actor = actor_of(request)
        taken = known_truth.take_from_pathology(actor, selectors.version_named(actor, model, version))
        return Response(life_answers.TruthAnswer(studies=taken).as_json())


class ModelUploads(ApiView):
    @extend_schema(
        operation_id="begin_model_upload",
        summary="Begin to send a packed version",
        request=life_answers.UploadRequest,
        responses={201: life_answers.UploadAnswer, **schema.problems(400, 401, 403, 415, 422, 429, 503)},
    )
    def post(self, request: Request) -> Response:
        """A ZIP of a version's folder. The same file begun before goes on: `received` says where."""
        wanted = parse_model(life_answers.UploadRequest, json_of(request))
        return _upload(importing.begin(actor_of(request), **wanted.model_dump()), status=201)


class ModelUploadDetail(ApiView):
    parser_classes = [AnyBytes, JSONParser]

    @extend_schema(
        operation_id="get_model_upload",
        summary="Get how far an upload is",
        parameters=[_UPLOAD],
        responses={200: life_answers.UploadAnswer, **schema.problems(401, 403, 404, 429, 503)},
    )
    def get(self, request: Request, upload: uuid.UUID) -> Response:
        return _upload(importing.upload(actor_of(request), upload))

    @extend_schema(
        operation_id="add_to_model_upload",
        summary="Send the next piece",
        parameters=[
            _UPLOAD,
            OpenApiParameter("offset", OpenApiTypes.INT64, OpenApiParameter.QUERY, required=True),
        ],
        request={"application/octet-stream": OpenApiTypes.BINARY},
        responses={
            200: life_answers.UploadAnswer,
            **schema.problems(401, 403, 404, 409, 413, 415, 422, 429, 503, 507, because=_OFFSET),
        },
    )
    def put(self, request: Request, upload: uuid.UUID) -> Response:
        """Up to 16 MiB, from byte `offset` on."""
        actor = actor_of(request)
        importing.upload(actor, upload)
        offset = whole_number(request.query_params.get("offset", ""), digits=15)
        if offset is None:
            raise Invalid("The piece was not taken.", errors=(FieldError("a byte's number", "offset"),))
        piece = request._request.read(importing.MOST_PIECE + 1)
        if len(piece) > importing.MOST_PIECE:
            raise PayloadTooLarge("A piece has up to 16 MiB.")
        return _upload(importing.add(actor, upload, offset, piece))


class ModelUploadFinish(ApiView):
    @extend_schema(
        operation_id="finish_model_upload",
        summary="Import what was sent",
        parameters=[_UPLOAD],
        request=None,
        responses={
            200: life_answers.UploadAnswer,
            **schema.problems(401, 403, 404, 409, 429, 503, because=_OFFSET),
        },
    )
    def post(self, request: Request, upload: uuid.UUID) -> Response:
        """It is known as uploaded then; or `refused`, and `said` tells why. Safe to repeat."""
        return _upload(importing.finish(actor_of(request), upload))


def _life(actor: Actor, model: str, version: str, status: int = 200) -> Response:
    found = selectors.version_named(actor, model, version)
    return Response(_life_answer(found).as_json(), status=status)


def _life_answer(version: ModelVersion) -> life_answers.LifeAnswer:
    latest = verification.latest(version)
    default = selectors.other_default(version)
    seen = None
    if latest is not None:
        checks = [life_answers.CheckAnswer(**each) for each in latest.checks]
        seen = life_answers.VerificationAnswer(
            state=latest.state, requested_at=latest.requested_at, ended_at=latest.ended_at, checks=checks
        )
    return life_answers.LifeAnswer(
        name=version.name,
        version=version.version,
        state=version.state,
        is_default=version.is_default,
        came_with_installation=version.came_with_installation,
        verification=seen,
        approvals=[
            life_answers.ApprovalAnswer(
                by=each.by.printed_name, role=each.role, at=each.at, change_class=each.change_class,
                modification=each.modification, protocol=each.protocol, impact=each.impact, reason=each.reason,
            )
            for each in version.approvals.select_related("by")
        ],
        missing=evidence.missing(version, default) if default and not version.came_with_installation else [],
    )  # fmt: skip


def _route(found: ModelRoute) -> life_answers.RouteAnswer:
    return life_answers.RouteAnswer(
        id=found.pk, name=found.name, version=found.version.version, kind=found.kind,
        site=found.site.code if found.site else None, percent=found.percent, since=found.since,
    )  # fmt: skip


def _agreement(actor: Actor, version: ModelVersion, against: ModelVersion, status: int = 200) -> Response:
    results = []
    for each in comparing.agreement(actor, version, against):
        made = each.comparison
        figures = None
        if made is not None:
            figures = life_answers.ComparisonAnswer(
                positives=made.positives, negatives=made.negatives, auc=made.auc, auc_against=made.auc_against,
                low=made.low, made_at=made.made_at,
            )  # fmt: skip
        results.append(
            life_answers.AgreementAnswer(
                place=each.place, looked_at=each.looked_at, studies=each.studies, unscored=_unscored(each.unscored),
                mean_gap=each.mean_gap, largest_gap=each.largest_gap,
                flips=each.flips, kappa=each.kappa, level=each.level, level_against=each.level_against,
                comparison=figures,
            )
        )  # fmt: skip
    return Response(
        life_answers.AgreementList(against=against.version, results=results).as_json(), status=status
    )


def _unscored(found: comparing.Unscored) -> life_answers.UnscoredAnswer:
    ours, theirs = (
        life_answers.WithoutScoreAnswer(
            studies=each.studies, no_verdict=each.no_verdict, not_analysed=each.not_analysed, failed=each.failed
        )
        for each in (found.by_version, found.by_against)
    )  # fmt: skip
    return life_answers.UnscoredAnswer(
        studies=found.studies, by_version=ours, by_against=theirs, by_both=found.by_both
    )


def _upload(row: ModelUpload, status: int = 200) -> Response:
    answer = life_answers.UploadAnswer(
        id=row.pk, state=row.state, size=row.size, received=row.received, said=row.said,
        name=row.version.name if row.version else None, version=row.version.version if row.version else None,
    )  # fmt: skip
    return Response(answer.as_json(), status=status)
