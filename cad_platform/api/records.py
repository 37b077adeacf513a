"""`/api/v1/records/merges`: two records of one patient become one, and two again. For clinicians of the site."""

from __future__ import annotations

import uuid
from typing import Literal, cast

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
from cad_platform.api.studies import ApiView
from cad_platform.core.actor import Actor, actor_of
from cad_platform.patients.models import Patient
from cad_platform.records import merging, selectors
from cad_platform.records.models import PatientMerge

_MERGE = OpenApiParameter("merge", OpenApiTypes.UUID, OpenApiParameter.PATH)
_REFUSALS = (400, 401, 403, 404, 409, 415, 422, 429, 503)
_STATE = {
    409: "The records are one already, one was merged or erased meanwhile, or a later merge must be taken back first; "
    "the sentence says which. Nothing was changed."
}


@extend_schema_view(
    get=extend_schema(
        operation_id="list_merges",
        summary="List the merges of patients' records",
        description="Those of the site, the latest first.",
        parameters=[schema.PAGE],
        responses={200: answers.MergePage, **schema.problems(401, 403, 422, 429, 503)},
    )
)
class Merges(PagedList):
    permission, answer = "patient.merge", answers.MergePage

    def opened(self, actor: Actor, *, page: str | None, size: int) -> Page[PatientMerge]:
        return merging.open_merges(actor, page=page, size=size)

    def row(self, each: PatientMerge) -> answers.MergeAnswer:
        return answers.MergeAnswer(**_merge(each))

    @extend_schema(
        operation_id="merge_records",
        summary="Have one record of a patient be read as another",
        request=answers.MergeRequest,
        responses={201: answers.MergeDetail, **schema.problems(*_REFUSALS, because=_STATE)},
    )
    def post(self, request: Request) -> Response:
        """Studies move with their findings and reports as they are; both ids find the record that stays. Sent twice,
        the second is 409 and changes nothing."""
        actor = actor_of(request)
        require(actor, "patient.merge")  # who may not is told so before what was misspelt
        wanted = parse_model(answers.MergeRequest, json_of(request))
        kept, gone = _named(actor, wanted)
        return Response(_detail(actor, merging.merge(actor, kept.pk, gone.pk, wanted.reason).pk), status=201)


class MergeComparison(ApiView):
    @extend_schema(
        operation_id="compare_records",
        summary="Look at two records beside each other",
        request=answers.TwoRecords,
        responses={200: answers.ComparedAnswer, **schema.problems(*_REFUSALS, because=_STATE)},
    )
    def post(self, request: Request) -> Response:
        """What a person looks at before they merge. It changes nothing; that it was looked at is recorded."""
        actor = actor_of(request)
        require(actor, "patient.merge")
        kept, gone = _named(actor, parse_model(answers.TwoRecords, json_of(request)))
        compared = merging.compare(actor, kept, gone)
        body = answers.ComparedAnswer(
            kept=_side(compared.kept),
            gone=_side(compared.gone),
            differing=cast(list[Literal["birth_date", "name", "sex"]], sorted(compared.differing)),
        )
        return Response(body.as_json())


class MergeDetail(ApiView):
    @extend_schema(
        operation_id="get_merge",
        summary="Get one merge with the studies that it moved",
        parameters=[_MERGE],
        responses={200: answers.MergeDetail, **schema.problems(401, 403, 404, 429, 503)},
    )
    def get(self, request: Request, merge: uuid.UUID) -> Response:
        return Response(_detail(actor_of(request), merge))


class MergeUndo(ApiView):
    @extend_schema(
        operation_id="undo_merge",
        summary="Take a merge back",
        parameters=[_MERGE],
        request=answers.ReasonRequest,
        responses={200: answers.MergeDetail, **schema.problems(*_REFUSALS, because=_STATE)},
    )
    def post(self, request: Request, merge: uuid.UUID) -> Response:
        """What it moved goes back; what came since stays."""
        actor = actor_of(request)
        selectors.merge(actor, merge)
        wanted = parse_model(answers.ReasonRequest, json_of(request))
        merging.undo(actor, merge, wanted.reason)
        return Response(_detail(actor, merge))


def record_answer(patient: Patient) -> answers.RecordAnswer:
    """A record as every answer about records has it; its site comes with it."""
    return answers.RecordAnswer(
        record=patient.pk,
        id=patient.patient_id,
        issuer=patient.other_issuer(patient.site),
        name=patient.full_name,
        birth_date=patient.birth_date,
        sex=patient.sex,
        erased=patient.erased_at is not None,
    )


def _named(actor: Actor, wanted: answers.TwoRecords) -> tuple[Patient, Patient]:
    kept = merging.find(actor, wanted.kept.patient_id, wanted.kept.issuer)
    return kept, merging.find(actor, wanted.gone.patient_id, wanted.gone.issuer)


def _detail(actor: Actor, merge: uuid.UUID) -> dict[str, object]:
    found = merging.open_merge(actor, merge)
    moved = selectors.studies_of(actor, found).values_list("study_instance_uid", flat=True)
    since = selectors.came_since(actor, found).values_list("study_instance_uid", flat=True)
    body = answers.MergeDetail(**_merge(found), studies=list(moved), came_since=list(since))
    return body.as_json()


def _merge(found: PatientMerge) -> dict[str, object]:
    return {
        "id": found.pk, "kept": record_answer(found.kept), "gone": record_answer(found.gone), "reason": found.reason,
        "at": found.at, "by": found.by.printed_name, "moved": len(found.moved["studies"]),
        "undone_at": found.undone_at, "undone_by": found.undone_by.printed_name if found.undone_by else None,
        "undone_reason": found.undone_reason,
    }  # fmt: skip


def _side(side: merging.Side) -> answers.SideAnswer:
    return answers.SideAnswer(
        patient=record_answer(side.patient),
        studies=side.studies,
        signed_reports=side.signed,
        also=list(side.also),
    )
