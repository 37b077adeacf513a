"""A refusal as problem details (RFC 9457): the one JSON shape of it, whoever asked."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import Field

from cad_platform.core.answers import Answer
from cad_platform.core.errors import FieldError, FileStatus, PlatformError

MEDIA_TYPE = "application/problem+json"


class ProblemField(Answer):
    """What is wrong with one field or file."""

    reason: str
    field: str | None = Field(None, examples=["study.images[2].view"])
    file: str | None = Field(None, examples=["right-mlo.dcm"])


class ProblemFile(Answer):
    """What became of one file of the post."""

    file: str
    status: FileStatus
    reason: str | None = None
    sop_instance_uid: str | None = None


class Problem(Answer):
    """Problem details (RFC 9457)."""

    type: str = Field(examples=["urn:cad:problem:invalid"])
    title: str
    status: int
    detail: str
    errors: list[ProblemField] = []
    files: list[ProblemFile] | None = Field(None, description="Every file of a post, in its order")
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
        files=[
            ProblemFile(
                file=outcome.file,
                status=outcome.status,
                reason=outcome.reason or None,
                sop_instance_uid=outcome.sop_instance_uid or None,
            )
            for outcome in problem.files
        ]
        or None,
        request_id=request_id,
    ).model_dump(exclude_none=True)
