"""`/api/v1/hosts`: the model servers, what they have and what they are told. For administrators."""

from __future__ import annotations

from typing import Literal, cast

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from cad_platform.api import host_answers, schema
from cad_platform.api.filters import json_of, parse_model
from cad_platform.api.studies import ApiView
from cad_platform.core.actor import Actor, actor_of
from cad_platform.modelserver import loading, selectors, services
from cad_platform.modelserver.hosts import Version
from cad_platform.modelserver.models import HostedVersion
from cad_platform.modelserver.states import HostState

_HOST = OpenApiParameter("host", OpenApiTypes.INT, OpenApiParameter.PATH, description="Its `id`")
_OF_VERSION = [_HOST, *schema.MODEL_VERSION]
_KNOWN = {409: "A model server of that name or address is known already."}
_SETTINGS = {409: "It stands in the settings, and would be back in a moment."}
_TOLD = {
    409: "The host refuses, and the sentence says why; or it was done a moment ago. Nothing was changed.",
    503: "The host does not answer. It may have begun all the same: look again before you repeat.",
}
_LAST = {**_TOLD, 409: "No other model server that takes work has this version, or the host refuses."}


class Hosts(ApiView):
    @extend_schema(
        operation_id="list_hosts",
        summary="List the model servers",
        responses={200: host_answers.HostList, **schema.problems(401, 403, 429, 503)},
    )
    def get(self, request: Request) -> Response:
        """By name, each with its state, the versions that it was asked for and their workers."""
        found = selectors.fleet_of(actor_of(request))
        return Response(host_answers.HostList(results=[_answer(state) for state in found]).as_json())

    @extend_schema(
        operation_id="add_host",
        summary="Take a model server into the fleet",
        request=host_answers.HostRequest,
        responses={
            201: host_answers.HostAnswer,
            **schema.problems(400, 401, 403, 409, 415, 422, 429, 503, because=_KNOWN),
        },
    )
    def post(self, request: Request) -> Response:
        """It gets work a second later, for each version whose known case it has answered. Sent twice, the second is
        409 and changes nothing."""
        actor = actor_of(request)
        wanted = parse_model(host_answers.HostRequest, json_of(request))
        host = services.add_host(actor, **wanted.model_dump())
        return Response(_answer(selectors.host_state(actor, host.pk)).as_json(), status=201)


class HostDetail(ApiView):
    @extend_schema(
        operation_id="get_host",
        summary="Get a model server",
        parameters=[_HOST],
        responses={200: host_answers.HostAnswer, **schema.problems(401, 403, 404, 429, 503)},
    )
    def get(self, request: Request, host: int) -> Response:
        return _now(actor_of(request), host)

    @extend_schema(
        operation_id="remove_host",
        summary="Take a model server that was added out of the fleet",
        parameters=[_HOST],
        responses={204: None, **schema.problems(401, 403, 404, 409, 429, 503, because=_SETTINGS)},
    )
    def delete(self, request: Request, host: int) -> Response:
        actor = actor_of(request)
        services.remove_host(actor, selectors.host_by_id(actor, host))
        return Response(status=204)


class HostDrain(ApiView):
    @extend_schema(
        operation_id="drain_host",
        summary="Give a model server no new work",
        parameters=[_HOST],
        request=None,
        responses={200: host_answers.HostAnswer, **schema.problems(401, 403, 404, 429, 503)},
    )
    def post(self, request: Request, host: int) -> Response:
        """What it computes ends there; `drained` tells when nothing is in flight. Safe to repeat."""
        actor = actor_of(request)
        services.drain(actor, selectors.host_by_id(actor, host))
        return _now(actor, host)


class HostResume(ApiView):
    @extend_schema(
        operation_id="resume_host",
        summary="Give a model server work again",
        parameters=[_HOST],
        request=None,
        responses={200: host_answers.HostAnswer, **schema.problems(401, 403, 404, 429, 503)},
    )
    def post(self, request: Request, host: int) -> Response:
        """Safe to repeat."""
        actor = actor_of(request)
        services.resume(actor, selectors.host_by_id(actor, host))
        return _now(actor, host)


class HostVersions(ApiView):
    @extend_schema(
        operation_id="load_version",
        summary="Have a model server load a version",
        parameters=[_HOST],
        request=host_answers.LoadRequest,
        responses={
            202: host_answers.HostAnswer,
            **schema.problems(400, 401, 403, 404, 409, 415, 422, 429, 503, because=_TOLD),
        },
    )
    def post(self, request: Request, host: int) -> Response:
        """From the archive `MODEL-VERSION.mar` in the host's own model store. It gets work once it has answered the
        version's known case."""
        actor = actor_of(request)
        wanted = parse_model(host_answers.LoadRequest, json_of(request))
        found = selectors.host_by_id(actor, host)
        loading.register(actor, found, Version(wanted.model, wanted.version), wanted.workers)
        return _now(actor, host, 202)


class HostVersion(ApiView):
    @extend_schema(
        operation_id="unload_version",
        summary="Have a model server forget a version",
        parameters=_OF_VERSION,
        responses={
            200: host_answers.HostAnswer,
            **schema.problems(401, 403, 404, 409, 429, 503, because=_LAST),
        },
    )
    def delete(self, request: Request, host: int, model: str, version: str) -> Response:
        """Refused for the last host that serves it."""
        actor = actor_of(request)
        loading.unregister(actor, selectors.host_by_id(actor, host), Version(model, version))
        return _now(actor, host)


class HostVersionScale(ApiView):
    @extend_schema(
        operation_id="scale_version",
        summary="Have a version's workers started or stopped",
        parameters=_OF_VERSION,
        request=host_answers.ScaleRequest,
        responses={
            202: host_answers.HostAnswer,
            **schema.problems(400, 401, 403, 404, 409, 415, 422, 429, 503, because=_TOLD),
        },
    )
    def post(self, request: Request, host: int, model: str, version: str) -> Response:
        """It is begun and not waited for; `workers` shows how far it is. Safe to repeat."""
        actor = actor_of(request)
        wanted = parse_model(host_answers.ScaleRequest, json_of(request))
        found = selectors.host_by_id(actor, host)
        loading.scale(actor, found, Version(model, version), wanted.minimum, wanted.maximum)
        return _now(actor, host, 202)


class HostVersionDefault(ApiView):
    @extend_schema(
        operation_id="make_host_default",
        summary="Have the host ask this version where none is named",
        parameters=_OF_VERSION,
        request=None,
        responses={
            200: host_answers.HostAnswer,
            **schema.problems(401, 403, 404, 409, 429, 503, because=_TOLD),
        },
    )
    def post(self, request: Request, host: int, model: str, version: str) -> Response:
        """For other clients of the host: the platform names a version in each call. Safe to repeat."""
        actor = actor_of(request)
        loading.make_default(actor, selectors.host_by_id(actor, host), Version(model, version))
        return _now(actor, host)


class HostVersionRestart(ApiView):
    @extend_schema(
        operation_id="restart_workers",
        summary="Stop a version's workers and start as many anew",
        parameters=_OF_VERSION,
        request=None,
        responses={
            202: host_answers.HostAnswer,
            **schema.problems(401, 403, 404, 409, 429, 503, because=_TOLD),
        },
    )
    def post(self, request: Request, host: int, model: str, version: str) -> Response:
        """Whatever they are at; its studies are analysed elsewhere, or wait. Once a minute at most."""
        actor = actor_of(request)
        loading.restart_workers(actor, selectors.host_by_id(actor, host), Version(model, version))
        return _now(actor, host, 202)


def _now(actor: Actor, host: int, status: int = 200) -> Response:
    return Response(_answer(selectors.host_state(actor, host)).as_json(), status=status)


def _answer(found: HostState) -> host_answers.HostAnswer:
    host, drained = found.host, found.drained
    return host_answers.HostAnswer(
        id=host.pk,
        name=host.name,
        url=host.url,
        protocol=cast(host_answers.Protocol, host.protocol),
        state=found.state.value,
        reason=found.reason,
        source=cast(Literal["listed", "named", "added"], host.source),
        device=host.device,
        draining_since=host.draining_since,
        drained=None
        if drained is None
        else host_answers.DrainedAnswer(
            done=drained.is_done, by_counters=drained.by_counters, since=drained.since
        ),
        memory_used_mb=host.memory_used_mb,
        memory_total_mb=host.memory_total_mb,
        requests_total=host.requests_total,
        pending=host.pending,
        versions=[_version(each) for each in host.versions.all()],
    )


def _version(found: HostedVersion) -> host_answers.HostedVersionAnswer:
    return host_answers.HostedVersionAnswer(
        model=found.name,
        version=found.version,
        loaded=found.is_loaded,
        resting=found.is_resting,
        right=found.is_right,
        reason=found.reason,
        changed_at=found.changed_at,
        compared_at=found.compared_at,
        default=found.is_default,
        min_workers=found.min_workers,
        max_workers=found.max_workers,
        ready_workers=found.ready_workers,
        pending=found.pending,
        workers=[host_answers.WorkerAnswer(**worker) for worker in found.worker_details],
        calls=found.calls,
        failures=found.failures,
        p99_ms=found.p99_ms,
    )
