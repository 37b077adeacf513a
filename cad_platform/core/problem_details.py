"""A refusal as problem details (RFC 9457): the one JSON shape of it, whoever asked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import Field

from cad_platform.core.answers import Answer
from cad_platform.core.errors import FieldError, PlatformError

MEDIA_TYPE = "application/problem+json"


class ProblemField(Answer):
    """What is wrong with one field or file."""

    reason: str
    field: str | None = Field(None, examples=["study.images[2].view"])
    file: str | None = Field(None, examples=["right-mlo.dcm"])


class Problem(Answer):
    """Problem details (RFC 9457)."""

    type: str = Field(examples=["urn:cad:problem:invalid"])
    title: str
    status: int
    detail: str
    errors: list[ProblemField] = []
    request_id: str | None = Field(None, description="Stands in the server's log beside what happened")


def problem_fields(errors: Iterable[FieldError]) -> list[ProblemField]:
    return [
        ProblemField(reason=error.reason, field=error.field or None, file=error.file or None)
        for error in errors
    ]


def as_problem(problem: PlatformError, request_id: str | None = None) -> dict[str, Any]:
    """The problem details of a refusal; what there is nothing to say about is left out."""
    return Problem(
        type=f"urn:cad:problem:{problem.code}",
        title=str(problem.title),
        status=problem.status,
        detail=str(problem.detail),
        errors=problem_fields(problem.errors),
        request_id=request_id,
    ).model_dump(exclude_none=True)
