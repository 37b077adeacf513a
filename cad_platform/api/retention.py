"""`/api/v1/records/…`: how long records are kept, what keeps one longer, and what is erased. For clinicians of the
site; how long is said by administrators."""

from __future__ import annotations

import uuid
from typing import Any

from django.core.paginator import Page
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response

from cad_platform.accounts.rules import require
from cad_platform.api import record_answers as answers
from cad_platform.api import schema
from cad_platform.api.filters import json_of, parse_model
from cad_platform.api.record_lists import PagedList
from cad_platform.api.records import record_answer
from cad_platform.api.studies import ApiView
from cad_platform.core.actor import Actor, actor_of
from cad_platform.core.errors import NotFound
from cad_platform.patients.models import Patient
from cad_platform.records import erasing, merging, retention
from cad_platform.records.models import ErasureRequest, Hold

_HOLD = OpenApiParameter("hold", OpenApiTypes.UUID, OpenApiParameter.PATH)
_ERASURE = OpenApiParameter("erasure", OpenApiTypes.UUID, OpenApiParameter.PATH)
_SITE = OpenApiParameter("site", str, OpenApiParameter.PATH, description="Its code")
_LISTED = (401, 403, 422, 429, 503)
_REFUSALS = (400, 401, 403, 404, 409, 415, 422, 429, 503)
_HELD = {
    409: "The record is held already or was erased, or the hold was lifted already. Nothing was changed."
}
_NOT_NOW = {
    409: "A hold stands, somebody has asked or decided already, or the record was erased or merged into another; the "
    "sentence says which. Nothing was changed."
}
_ANOTHER = {**_NOT_NOW, 403: "The role does not permit it, or it is the person who asked."}


@extend_schema_view(
    get=extend_schema(
        operation_id="list_due_records",
        summary="List the records that the site keeps for no reason any more",
        description="Nothing goes by itself: ask for an erasure on behalf of `retention`.",
        parameters=[schema.PAGE],
        responses={200: answers.DuePage, **schema.problems(*_LISTED)},
    )
)
class Due(PagedList):
    permission, answer = "patient.erase", answers.DuePage

    def opened(self, actor: Actor, *, page: str | None, size: int) -> Page[Patient]:
        return retention.open_due(actor, page=page, size=size)

    def row(self, each: Patient) -> answers.DueAnswer:
        return answers.DueAnswer(patient=record_answer(each), last_visit=each.last_visit)  # type: ignore[attr-defined]

    def beside(self, actor: Actor) -> dict[str, Any]:
        assert actor.site_id is not None  # the permission admits nobody without a site
        return {"years": retention.years_at(actor.site_id)}


class Policies(ApiView):
    @extend_schema(
        operation_id="list_retention_policies",
        summary="List how many years each site keeps records",
        responses={200: answers.PolicyList, **schema.problems(401, 403, 429, 503)},
    )
    def get(self, request: Request) -> Response:
        found = retention.policies(actor_of(request))
        body = answers.PolicyList(
            results=[answers.PolicyAnswer(site=site.code, years=years) for site, years in found]
        )
        return Response(body.as_json())


class Policy(ApiView):
    @extend_schema(
        operation_id="change_retention_policy",
        summary="Say for how many years a site keeps records",
        parameters=[_SITE],
        request=answers.PolicyRequest,
        responses={
            200: answers.PolicyAnswer,
            **schema.problems(400, 401, 403, 404, 415, 422, 429, 503),
        },
    )
    def put(self, request: Request, site: str) -> Response:
        """Safe to repeat."""
        actor = actor_of(request)
        keys = {each.code: each.pk for each, _years in retention.policies(actor)}
        wanted = parse_model(answers.PolicyRequest, json_of(request))
        if site not in keys:
            raise NotFound("There is no such site.")
        made = retention.change_policy(actor, keys[site], wanted.years)
        return Response(answers.PolicyAnswer(site=site, years=made.years).as_json())


@extend_schema_view(
    get=extend_schema(
        operation_id="list_holds",
        summary="List the holds on patients' records",
        description="Those of the site, the standing ones first.",
        parameters=[schema.PAGE],
        responses={200: answers.HoldPage, **schema.problems(*_LISTED)},
    )
)
class Holds(PagedList):
    permission, answer = "patient.hold", answers.HoldPage

    def opened(self, actor: Actor, *, page: str | None, size: int) -> Page[Hold]:
        return retention.open_holds(actor, page=page, size=size)

    def row(self, each: Hold) -> answers.HoldAnswer:
        return _hold(each)

    @extend_schema(
        operation_id="place_hold",
        summary="Keep a patient's record whatever the policy says and whoever asks",
        request=answers.HoldRequest,
        responses={201: answers.HoldAnswer, **schema.problems(*_REFUSALS, because=_HELD)},
    )
    def post(self, request: Request) -> Response:
        """Sent twice, the second is 409 and changes nothing."""
        actor = actor_of(request)
        require(actor, "patient.hold")  # who may not is told so before what was misspelt
        wanted = parse_model(answers.HoldRequest, json_of(request))
        patient = merging.find(actor, wanted.patient_id, wanted.issuer)
        return Response(_hold(retention.place_hold(actor, patient, wanted.reason)).as_json(), status=201)


class HoldLift(ApiView):
    @extend_schema(
        operation_id="lift_hold",
        summary="End a hold",
        parameters=[_HOLD],
        request=answers.ReasonRequest,
        responses={200: answers.HoldAnswer, **schema.problems(*_REFUSALS, because=_HELD)},
    )
    def post(self, request: Request, hold: uuid.UUID) -> Response:
        actor = actor_of(request)
        require(actor, "patient.hold")
        wanted = parse_model(answers.ReasonRequest, json_of(request))
        return Response(_hold(retention.lift_hold(actor, hold, wanted.reason)).as_json())


@extend_schema_view(
    get=extend_schema(
        operation_id="list_erasures",
        summary="List the requests that all of a patient goes",
        description="Those of the site, the latest first.",
        parameters=[schema.PAGE],
        responses={200: answers.ErasurePage, **schema.problems(*_LISTED)},
    )
)
class Erasures(PagedList):
    permission, answer = "patient.erase", answers.ErasurePage

    def opened(self, actor: Actor, *, page: str | None, size: int) -> Page[ErasureRequest]:
        return erasing.open_requests(actor, page=page, size=size)

    def row(self, each: ErasureRequest) -> answers.ErasureAnswer:
        return answers.ErasureAnswer(**_erasure(each))

    @extend_schema(
        operation_id="ask_for_erasure",
        summary="Ask that all of a patient goes",
        request=answers.ErasureAsked,
        responses={201: answers.ErasureDetail, **schema.problems(*_REFUSALS, because=_NOT_NOW)},
    )
    def post(self, request: Request) -> Response:
        """A second person decides. Sent twice, the second is 409 and changes nothing."""
        actor = actor_of(request)
        require(actor, "patient.erase")
        wanted = parse_model(answers.ErasureAsked, json_of(request))
        patient = merging.find(actor, wanted.patient_id, wanted.issuer)
        made = erasing.ask(actor, patient, on_behalf=wanted.on_behalf, reason=wanted.reason)
        return _detail(actor, made.pk, 201)


class ErasureDetail(ApiView):
    @extend_schema(
        operation_id="get_erasure",
        summary="Get one request, how much it is of, and later the proof",
        parameters=[_ERASURE],
        responses={200: answers.ErasureDetail, **schema.problems(401, 403, 404, 429, 503)},
    )
    def get(self, request: Request, erasure: uuid.UUID) -> Response:
        return _detail(actor_of(request), erasure)


class ErasureApproval(ApiView):
    @extend_schema(
        operation_id="approve_erasure",
        summary="Decide, as the second person, that it is carried out",
        parameters=[_ERASURE],
        request=None,
        responses={
            200: answers.ErasureDetail,
            **schema.problems(401, 403, 404, 409, 429, 503, because=_ANOTHER),
        },
    )
    def post(self, request: Request, erasure: uuid.UUID) -> Response:
        """Within a minute. It cannot be taken back."""
        actor = actor_of(request)
        erasing.decide(actor, erasure)
        return _detail(actor, erasure)


class ErasureRefusal(ApiView):
    @extend_schema(
        operation_id="refuse_erasure",
        summary="Decide that it is not carried out",
        parameters=[_ERASURE],
        request=answers.ReasonRequest,
        responses={200: answers.ErasureDetail, **schema.problems(*_REFUSALS, because=_NOT_NOW)},
    )
    def post(self, request: Request, erasure: uuid.UUID) -> Response:
        """Whoever asked may say so too."""
        actor = actor_of(request)
        require(actor, "patient.erase")
        wanted = parse_model(answers.ReasonRequest, json_of(request))
        erasing.refuse(actor, erasure, wanted.reason)
        return _detail(actor, erasure)


def _detail(actor: Actor, erasure: uuid.UUID, status: int = 200) -> Response:
    found = erasing.open_request(actor, erasure)
    body = answers.ErasureDetail(**_erasure(found), extent=erasing.extent(found))
    return Response(body.as_json(), status=status)


def _erasure(found: ErasureRequest) -> dict[str, object]:
    return {
        "id": found.pk, "patient": record_answer(found.patient), "on_behalf": found.on_behalf, "reason": found.reason,
        "state": found.state, "asked_at": found.asked_at, "asked_by": found.asked_by.printed_name,
        "decided_at": found.decided_at, "decided_by": found.decided_by.printed_name if found.decided_by else None,
        "refused_reason": found.refused_reason, "done_at": found.done_at,
    }  # fmt: skip


def _hold(found: Hold) -> answers.HoldAnswer:
    return answers.HoldAnswer(
        id=found.pk, patient=record_answer(found.patient), reason=found.reason, placed_at=found.placed_at,
        placed_by=found.placed_by.printed_name, lifted_at=found.lifted_at,
        lifted_by=found.lifted_by.printed_name if found.lifted_by else None, lifted_reason=found.lifted_reason,
    )  # fmt: skip
