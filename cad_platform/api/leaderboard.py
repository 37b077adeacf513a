"""`/api/v1/leaderboard`: methods of the literature beside the platform's models, as the page shows them."""

from __future__ import annotations

from typing import Literal

from drf_spectacular.utils import OpenApiParameter, extend_schema
from pydantic import BaseModel, ConfigDict, Field
from rest_framework.request import Request
from rest_framework.response import Response

from cad_platform.accounts.rules import require
from cad_platform.api import schema
from cad_platform.api.answers import PlainText
from cad_platform.api.filters import once_each, parse_model
from cad_platform.api.studies import ApiView
from cad_platform.core.actor import actor_of
from cad_platform.core.answers import Answer
from cad_platform.registry import leaderboard
from cad_platform.registry.leaderboard import Choice, Entry

Measure = Literal["auc", "accuracy", "dice"]
Kind = Literal["model", "method"]
_CHOICE = [
    OpenApiParameter("measure", str, enum=list(leaderboard.MEASURES), description="auc if left out"),
    OpenApiParameter("kind", str, enum=list(leaderboard.KINDS), description="Both if left out"),
    OpenApiParameter("dataset", str, description="One of `datasets`; all if left out"),
    OpenApiParameter(
        "sort", str, enum=list(leaderboard.SORTS), description="trust, how it was measured, if left out"
    ),
    OpenApiParameter("leaky", str, enum=["yes", "no"], description="Leaky runs too, last; yes if left out"),
]


class LeaderboardChoice(BaseModel):
    """What is asked for: a misspelt filter must not mean all."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    measure: Measure = "auc"
    kind: Kind | Literal[""] = ""
    dataset: PlainText = Field("", max_length=100)
    sort: Literal["trust", "value", "name"] = "trust"
    leaky: Literal["yes", "no"] = "yes"


class LeaderboardFigure(Answer):
    """One figure of a method or of a version, with its 95 % interval."""

    kind: Kind
    name: str = Field(
        description="A version, or a method with its number in the review", examples=["ultrasound 3.0.0"]
    )
    detail: str = Field(description="What was measured, or what differs from the paper; English")
    measure: Measure
    dataset: str
    place: str = Field(
        description="How it came about: `external`, `left_out_collection`, `left_out_scanner`, `oof`, `test`, `val`, "
        "`patients` (all held-out patients), `leaky`"
    )
    elsewhere: bool = Field(description="On a collection or scanner that took no part in training")
    leaky: bool = Field(
        description="Images were divided, not patients: too high, and last whatever the order"
    )
    value: float
    low: float
    high: float
    images: int
    groups: int = Field(description="Patients, where the set tells them")
    paper: float | None = Field(description="What the paper says, where it says a number")


class LeaderboardAnswer(Answer):
    """In the order asked for. Figures on different sets do not rank methods."""

    datasets: list[str] = Field(description="All that the measure was measured on")
    results: list[LeaderboardFigure]


class Leaderboard(ApiView):
    @extend_schema(
        operation_id="get_leaderboard",
        summary="Get the figures of methods and models side by side",
        parameters=_CHOICE,
        responses={200: LeaderboardAnswer, **schema.problems(401, 403, 422, 429, 503)},
    )
    def get(self, request: Request) -> Response:
        """Those from elsewhere come first. Nothing is measured by asking."""
        actor = actor_of(request)
        require(actor, "model.view")  # who may not is told so before what was misspelt
        asked = parse_model(LeaderboardChoice, once_each(request.query_params))
        choice = Choice(asked.measure, asked.kind, asked.dataset, asked.sort, asked.leaky == "yes")
        board = leaderboard.board_of(actor, choice)
        results = [_figure(entry) for entry in board.entries]
        return Response(LeaderboardAnswer(datasets=board.datasets, results=results).as_json())


def _figure(entry: Entry) -> LeaderboardFigure:
    return LeaderboardFigure.model_validate(
        {
            "kind": entry.kind, "name": entry.name, "detail": entry.detail, "measure": entry.measure,
            "dataset": entry.dataset, "place": entry.place, "elsewhere": entry.is_elsewhere, "leaky": entry.is_leaky,
            "value": entry.value, "low": entry.low, "high": entry.high, "images": entry.images,
            "groups": entry.groups, "paper": entry.paper,
        }
    )  # fmt: skip
