"""`/api/v1/models`: what is known of the models, and which version analyses studies. For administrators."""

from __future__ import annotations

from collections.abc import Sequence

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from cad_platform.api import model_answers, schema
from cad_platform.api.filters import json_of, parse_model
from cad_platform.api.studies import ApiView
from cad_platform.core.actor import Actor, actor_of
from cad_platform.registry import selectors, services, switching
from cad_platform.registry.models import ModelVersion
from cad_platform.registry.serving import Serving, serving_of
from cad_platform.registry.stored import is_in_store

_NOT_SERVED = {409: "`not_served`: no model server answers for this version now. Nothing was changed."}
_NO_STORE = {422: "There is no model store where the platform looks for it."}


class Models(ApiView):
    @extend_schema(
        operation_id="list_models",
        summary="List every version of every model",
        responses={200: model_answers.ModelList, **schema.problems(401, 403, 429, 503)},
    )
    def get(self, request: Request) -> Response:
        """By name, newest version first."""
        actor = actor_of(request)
        found = selectors.newest_first(selectors.versions(actor))
        return Response(model_answers.ModelList(results=_answers(actor, found)).as_json())


class ModelDetail(ApiView):
    @extend_schema(
        operation_id="get_model",
        summary="Get one version of a model",
        parameters=schema.MODEL_VERSION,
        responses={200: model_answers.ModelAnswer, **schema.problems(401, 403, 404, 429, 503)},
    )
    def get(self, request: Request, model: str, version: str) -> Response:
        """Whether a model server answers for it is known from real predictions: the default's are asked for every
        ten seconds, the others' once a minute."""
        actor = actor_of(request)
        found = selectors.version_named(actor, model, version)
        return Response(_answers(actor, [found])[0].as_json())


class ModelRegistration(ApiView):
    @extend_schema(
        operation_id="register_models",
        summary="Read the model store",
        request=None,
        responses={
            200: model_answers.RegistrationAnswer,
            **schema.problems(401, 403, 422, 429, 503, because=_NO_STORE),
        },
    )
    def post(self, request: Request) -> Response:
        """Makes the versions that lie in the store known, after their hashes were checked; safe to repeat. None
        becomes the default by it, and one that is refused keeps no other from being registered."""
        actor = actor_of(request)
        outcome = services.register_from_store(actor)
        body = model_answers.RegistrationAnswer(
            new=_answers(actor, outcome.new), known=len(outcome.versions), refused=list(outcome.refused)
        )
        return Response(body.as_json())


class ModelDefault(ApiView):
    @extend_schema(
        operation_id="make_model_default",
        summary="Have studies analysed with this version",
        parameters=schema.MODEL_VERSION,
        request=model_answers.DefaultRequest,
        responses={
            200: model_answers.DefaultAnswer,
            **schema.problems(400, 401, 403, 404, 409, 415, 422, 429, 503, because=_NOT_SERVED),
        },
    )
    def post(self, request: Request, model: str, version: str) -> Response:
        """After a model server has made a real prediction with it, which may take seconds. Results that exist keep the
        version that made them; analyses that wait go on with this one. The body may be left out."""
        actor = actor_of(request)
        found = selectors.version_named(actor, model, version)
        wanted = parse_model(model_answers.DefaultRequest, json_of(request))
        switch = switching.make_default(actor, found, wanted.reason)
        body = model_answers.DefaultAnswer(
            model=_answers(actor, [switch.version])[0],
            previous=switch.previous.version if switch.previous else None,
        )
        return Response(body.as_json())


def _answers(actor: Actor, found: Sequence[ModelVersion]) -> list[model_answers.ModelAnswer]:
    serving = serving_of(actor, found)
    return [_answer(version, serving[version.pk]) for version in found]


def _answer(version: ModelVersion, serving: Serving) -> model_answers.ModelAnswer:
    return model_answers.ModelAnswer(
        name=version.name,
        version=version.version,
        modality=version.modality,
        title=str(version.manifest.get("title", version.name)),
        is_default=version.is_default,
        in_store=is_in_store(version),
        serving=model_answers.ServingAnswer(
            answers=serving.answers,
            at=serving.at,
            reason=serving.reason,
            latency_ms=serving.latency_ms,
        ),
        registered_at=version.registered_at,
        weights_sha256=version.weights_sha256,
    )
