"""`/api/v1/acceptances/…`: a version on a site's known cases. Administrators ask; another person signs."""

from __future__ import annotations

import uuid
from datetime import date, datetime
from typing import Literal

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from pydantic import BaseModel, ConfigDict, Field
from rest_framework.request import Request
from rest_framework.response import Response

from cad_platform.accounts.rules import require
from cad_platform.api import schema
from cad_platform.api.answers import PlainText
from cad_platform.api.filters import json_of, parse_model
from cad_platform.api.studies import ApiView
from cad_platform.core.actor import actor_of
from cad_platform.core.answers import Answer
from cad_platform.core.errors import NotFound
from cad_platform.quality import acceptance, picking
from cad_platform.quality.acceptance_cases import LONGEST_TABLE, MOST
from cad_platform.quality.models import Acceptance
from cad_platform.registry import selectors, thresholds

_ONE = OpenApiParameter("acceptance_id", OpenApiTypes.UUID, OpenApiParameter.PATH)
_STATE = {409: "Its state or the person does not allow it, and the sentence says why. Nothing was changed."}
_REFUSALS = (400, 401, 403, 404, 409, 415, 422, 429, 503)


class AskRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    site: PlainText = Field(max_length=40, description="The site's code")
    table: str | None = Field(
        None,
        max_length=LONGEST_TABLE,
        description="CSV: columns `study` (accession number or UID), `label`, and `side` where it is needed",
    )
    studies: list[PlainText] | None = Field(
        None,
        max_length=MOST,
        description="Known studies of the site, by accession number or UID (`list_known_studies`); without a table and "
        "these: all that the platform knows",
    )


class KnownStudiesRequest(BaseModel):
    """Which known studies of a site; what is left out does not matter."""

    model_config = ConfigDict(extra="forbid")

    site: PlainText = Field(max_length=40, description="The site's code")
    since: PlainText = Field("", max_length=10, description="The first day of the studies, as in 2026-01-31")
    until: PlainText = Field("", max_length=10, description="The last")
    device: PlainText = Field("", max_length=128, description="A part of its name")
    label: Literal["", "positive", "negative"] = ""
    source: Literal["", "table", "pathology"] = Field("", description="What it is known from")
    search: PlainText = Field("", max_length=64, description="The beginning of an accession number, or a UID")


class KnownStudyAnswer(Answer):
    study_instance_uid: str
    accession_number: str
    day: date
    device: str
    label: Literal["positive", "negative"]
    side: Literal["", "L", "R"] = Field(
        description="The breast that a positive one tells of; empty: all it shows"
    )
    source: Literal["table", "pathology"]
    usable: bool = Field(
        description="False where it shows both breasts and nothing says which has the disease"
    )


class KnownStudyList(Answer):
    count: int = Field(description="How many fit; the latest 500 are answered")
    results: list[KnownStudyAnswer]


class NoteRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    note: PlainText = Field(max_length=2000)


class ThresholdsRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    step: Literal["propose", "sign", "withdraw"]
    reason: PlainText = Field("", max_length=2000, description="Of a withdrawal")


class OwnThresholdsAnswer(Answer):
    """The site's own thresholds that a measurement led to."""

    state: Literal["proposed", "in_force", "ended"]
    number: int
    thresholds: dict[str, float]
    proposed_by: str
    signed_by: str | None
    ended_by: str | None
    reason: str


class AcceptanceAnswer(Answer):
    id: uuid.UUID
    name: str
    version: str
    site: str
    state: Literal["waiting", "measured", "failed"]
    done: int = Field(description="Images measured so far")
    whole: int
    asked_at: datetime
    ended_at: datetime | None
    said: str = Field(description="Why it was not measured")
    verdict: Literal["switch_on", "switch_on_with", "too_few_cases", "do_not_switch_on"] | None
    reasons: list[str]
    conditions: list[str]
    signed_by: str | None
    signed_at: datetime | None
    note: str
    thresholds: OwnThresholdsAnswer | None


class AcceptanceList(Answer):
    results: list[AcceptanceAnswer]


class AcceptanceReport(Answer):
    """All that was measured, as `python -m inference acceptance` writes it."""

    acceptance: AcceptanceAnswer
    report: dict[str, object] | None


class Acceptances(ApiView):
    @extend_schema(
        operation_id="list_acceptances",
        summary="List the latest measurements of versions on sites' known cases",
        responses={200: AcceptanceList, **schema.problems(401, 403, 429, 503)},
    )
    def get(self, request: Request) -> Response:
        """The latest hundred: administrators see all, a clinical lead those of the site."""
        found = acceptance.acceptances(actor_of(request))[:100]
        return Response(AcceptanceList(results=[_answer(each) for each in found]).as_json())


class ModelAcceptances(ApiView):
    @extend_schema(
        operation_id="ask_for_acceptance",
        summary="Have a version measured on a site's known cases",
        parameters=schema.MODEL_VERSION,
        request=AskRequest,
        responses={202: AcceptanceAnswer, **schema.problems(*_REFUSALS, because=_STATE)},
    )
    def post(self, request: Request, model: str, version: str) -> Response:
        """A worker does it. While one is measured, that one is answered."""
        actor = actor_of(request)
        found = selectors.version_named(actor, model, version)
        wanted = parse_model(AskRequest, json_of(request))
        site = acceptance.site_called(wanted.site)
        made = acceptance.ask(actor, found, site, wanted.table, wanted.studies)
        return Response(_answer(made).as_json(), status=202)


class KnownStudies(ApiView):
    @extend_schema(
        operation_id="list_known_studies",
        summary="List the known studies of a site that a version can be measured on",
        parameters=schema.MODEL_VERSION,
        request=KnownStudiesRequest,
        responses={200: KnownStudyList, **schema.problems(400, 401, 403, 404, 415, 422, 429, 503)},
    )
    def post(self, request: Request, model: str, version: str) -> Response:
        """It changes nothing; that it was looked at is recorded. A POST, so that no accession number stands in an
        address."""
        actor = actor_of(request)
        require(actor, "model.manage")
        found = selectors.version_named(actor, model, version)
        wanted = parse_model(KnownStudiesRequest, json_of(request))
        site, choice = acceptance.site_called(wanted.site), picking.choice_from(wanted.model_dump())
        told = picking.open_known(actor, found, site, choice)
        rows = [
            {
                "study_instance_uid": each.study.study_instance_uid, "accession_number": each.study.accession_number,
                "day": each.day, "device": each.device, "label": each.label, "side": each.side,
                "source": each.source, "usable": each.is_usable,
            }
            for each in told.studies
        ]  # fmt: skip
        return Response(KnownStudyList.model_validate({"count": told.count, "results": rows}).as_json())


class AcceptanceDetail(ApiView):
    @extend_schema(
        operation_id="get_acceptance",
        summary="Get a measurement with all its figures",
        parameters=[_ONE],
        responses={200: AcceptanceReport, **schema.problems(401, 403, 404, 429, 503)},
    )
    def get(self, request: Request, acceptance_id: uuid.UUID) -> Response:
        found = acceptance.acceptance(actor_of(request), acceptance_id)
        return Response(AcceptanceReport(acceptance=_answer(found), report=found.report).as_json())


class AcceptanceSignature(ApiView):
    @extend_schema(
        operation_id="sign_acceptance",
        summary="Sign a verdict as the second person",
        parameters=[_ONE],
        request=NoteRequest,
        responses={200: AcceptanceAnswer, **schema.problems(*_REFUSALS, because=_STATE)},
    )
    def post(self, request: Request, acceptance_id: uuid.UUID) -> Response:
        """Nothing is switched on by it."""
        actor = actor_of(request)
        acceptance.sign(actor, acceptance_id, parse_model(NoteRequest, json_of(request)).note)
        return Response(_answer(acceptance.acceptance(actor, acceptance_id)).as_json())


class AcceptanceThresholds(ApiView):
    @extend_schema(
        operation_id="set_site_thresholds",
        summary="Propose the site's own thresholds, put them in force, or withdraw them",
        parameters=[_ONE],
        request=ThresholdsRequest,
        responses={200: AcceptanceAnswer, **schema.problems(*_REFUSALS, because=_STATE)},
    )
    def post(self, request: Request, acceptance_id: uuid.UUID) -> Response:
        """From a signed verdict; put in force by another person than the one who proposed them."""
        actor = actor_of(request)
        found = acceptance.acceptance(actor, acceptance_id)
        wanted = parse_model(ThresholdsRequest, json_of(request))
        if wanted.step == "propose":
            acceptance.propose_thresholds(actor, found.pk)
            return Response(_answer(found).as_json())
        made = thresholds.proposed_by(found.pk)
        if made is None:
            raise NotFound("Nothing is proposed from this measurement.")
        if wanted.step == "sign":
            thresholds.sign(actor, made.pk)
        else:
            thresholds.withdraw(actor, made.pk, wanted.reason)
        return Response(_answer(found).as_json())


def _answer(found: Acceptance) -> AcceptanceAnswer:
    report = found.report or {}
    return AcceptanceAnswer.model_validate(
        {
            "id": found.pk, "name": found.model_version.name, "version": found.model_version.version,
            "site": found.site.code, "state": found.state, "done": found.done, "whole": found.whole,
            "asked_at": found.asked_at, "ended_at": found.ended_at, "said": found.said,
            "verdict": found.verdict or None, "reasons": report.get("reasons", []),
            "conditions": report.get("conditions", []),
            "signed_by": found.signed_by.printed_name if found.signed_by else None,
            "signed_at": found.signed_at, "note": found.note, "thresholds": _own(found),
        }
    )  # fmt: skip


def _own(found: Acceptance) -> OwnThresholdsAnswer | None:
    made = thresholds.proposed_by(found.pk)
    if made is None:
        return None
    return OwnThresholdsAnswer(
        state="ended" if made.ended_at else "in_force" if made.signed_at else "proposed",
        number=made.number,
        thresholds=made.thresholds,
        proposed_by=made.proposed_by.printed_name,
        signed_by=made.signed_by.printed_name if made.signed_by else None,
        ended_by=made.ended_by.printed_name if made.ended_by else None,
        reason=made.reason,
    )
