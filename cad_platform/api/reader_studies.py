"""`/api/v1/reader-studies`: several readers, several cases, analysed by the laboratory. Administrators only."""

from __future__ import annotations

import uuid
from datetime import datetime
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
from cad_platform.quality import acceptance, picking, reader_studies
from cad_platform.quality.models import ReaderStudy
from cad_platform.registry import selectors

_ONE = OpenApiParameter("study_id", OpenApiTypes.UUID, OpenApiParameter.PATH)
_REFUSALS = (400, 401, 403, 415, 422, 429, 503)


class AnalyseRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: PlainText = Field(min_length=1, max_length=reader_studies.LONGEST_NAME)
    table: str = Field(
        max_length=reader_studies.LONGEST_TABLE,
        description="CSV: columns `reader`, `modality`, `case`, `truth` (1 or 0) and `score`, one row a reading; at "
        "most 20,000 readings, and none missing",
    )
    design: Literal["crossed", "nested"] = Field(
        "crossed",
        description="`crossed`: every reader has read every case. `nested`: each case was read by one reader. With "
        "every modality both times; a table of the other kind is refused",
    )


class AnalyseSignedRequest(BaseModel):
    """Which signed reports are compared with which version's scores."""

    model_config = ConfigDict(extra="forbid")

    name: PlainText = Field(min_length=1, max_length=reader_studies.LONGEST_NAME)
    model: PlainText = Field(max_length=100, examples=["ultrasound"])
    version: PlainText = Field(max_length=100, examples=["3.0.0"])
    site: PlainText = Field(max_length=40, description="Its code")
    answer: Literal["shown", "none"] = Field(
        description="What readers had in view when they signed: this version's answer, or no model's"
    )
    since: PlainText = Field("", max_length=10, description="Day of the study, as in 2026-01-31")
    until: PlainText = Field("", max_length=10)
    source: Literal["", "table", "pathology"] = Field("", description="What the truth is known from")


class SignedReportsAnswer(Answer):
    """What a study of signed reports was made of. Each reader has cases of their own; readers and cases are
    numbered."""

    name: str = Field(description="The model")
    version: str
    site: str
    since: str
    until: str
    known_from: Literal["", "table", "pathology"]
    answer: Literal["shown", "none"]
    signed: int = Field(description="Signed reports of these days, whether it is known what is true or not")
    known: int = Field(description="Known studies that fitted")
    by_source: dict[str, int] = Field(description="Cases by what the truth is known from")
    left_out: dict[str, int] = Field(
        description="Known studies that are no cases: `unsigned`, `open` (BI-RADS 0), `knew` (BI-RADS 6, or a "
        "specimen's report was signed before), `in_view` (another answer than asked for), `no_score`, `again` (of "
        "the same patient), `few` (of readers with fewer than 5 cases with the disease, or without)"
    )


class ReaderStudyAnswer(Answer):
    id: uuid.UUID
    name: str
    made_by: str
    made_at: datetime
    readings: int
    table_sha256: str = Field(description="Of the table; one that was sent is not kept")
    design: Literal["crossed", "nested"] = Field(description="`nested`: each case has one reader")
    made_of: SignedReportsAnswer | None = Field(description="null: a table was sent")


class ReaderStudyList(Answer):
    results: list[ReaderStudyAnswer]


class ReaderStudyReport(Answer):
    """All of it, as `python -m inference mrmc` writes it."""

    study: ReaderStudyAnswer
    report: dict[str, object]
    table: str = Field(description="CSV, where it was made of signed reports; empty otherwise")
    curves: dict[str, dict[str, list[tuple[float, float]]]] = Field(
        description="Reader, modality, corners of the ROC curve: 1 − specificity, sensitivity"
    )


class ReaderStudies(ApiView):
    @extend_schema(
        operation_id="list_reader_studies",
        summary="List the latest reader studies",
        responses={200: ReaderStudyList, **schema.problems(401, 403, 429, 503)},
    )
    def get(self, request: Request) -> Response:
        """The latest hundred."""
        found = reader_studies.studies(actor_of(request))[:100]
        return Response(ReaderStudyList(results=[_answer(each) for each in found]).as_json())

    @extend_schema(
        operation_id="analyse_reader_study",
        summary="Analyse a table of readings",
        request=AnalyseRequest,
        responses={201: ReaderStudyReport, **schema.problems(*_REFUSALS)},
    )
    def post(self, request: Request) -> Response:
        """Obuchowski and Rockette's analysis with Hillis' degrees of freedom; answered when it is done."""
        wanted = parse_model(AnalyseRequest, json_of(request))
        made = reader_studies.analyse(
            actor_of(request), wanted.name, wanted.table, is_nested=wanted.design == "nested"
        )
        return Response(_report(made).as_json(), status=201)


class SignedReaderStudies(ApiView):
    @extend_schema(
        operation_id="analyse_signed_reports",
        summary="Compare what readers signed of known studies with a version's scores",
        request=AnalyseSignedRequest,
        responses={201: ReaderStudyReport, **schema.problems(*_REFUSALS, 404)},
    )
    def post(self, request: Request) -> Response:
        """Readers' BI-RADS categories against the scores of the same studies, each reader with cases of their own
        (nested in readers). Not with the model against without: each examination is signed once."""
        actor = actor_of(request)
        require(actor, "reader_study.manage")  # who may not is told so before what was misspelt
        wanted = parse_model(AnalyseSignedRequest, json_of(request))
        version = selectors.version_named(actor, wanted.model, wanted.version)
        site, choice = acceptance.site_called(wanted.site), picking.choice_from(wanted.model_dump())
        made = reader_studies.analyse_signed(actor, wanted.name, version, site, choice, wanted.answer)
        return Response(_report(made).as_json(), status=201)


class ReaderStudyDetail(ApiView):
    @extend_schema(
        operation_id="get_reader_study",
        summary="Get the report of a reader study",
        parameters=[_ONE],
        responses={200: ReaderStudyReport, **schema.problems(401, 403, 404, 429, 503)},
    )
    def get(self, request: Request, study_id: uuid.UUID) -> Response:
        found = reader_studies.downloaded(actor_of(request), study_id, "json")
        return Response(_report(found).as_json())


def _answer(found: ReaderStudy) -> ReaderStudyAnswer:
    return ReaderStudyAnswer(
        id=found.pk,
        name=found.name,
        made_by=found.made_by.printed_name,
        made_at=found.made_at,
        readings=found.readings,
        table_sha256=found.table_sha256,
        design="nested" if found.is_nested else "crossed",
        made_of=SignedReportsAnswer.model_validate(found.source) if found.source else None,
    )


def _report(found: ReaderStudy) -> ReaderStudyReport:
    return ReaderStudyReport(
        study=_answer(found), report=found.report, table=found.table, curves=found.curves
    )
