"""Reading a request's body and filters; paging of the list of studies."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from django.http import QueryDict
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from rest_framework.exceptions import ParseError
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request

from cad_platform.api.answers import PlainText, StudyState
from cad_platform.core.days import NotATime, moment_from
from cad_platform.core.errors import FieldError, Invalid, NotFound
from cad_platform.studies.post import ModalityCode

_PAGING = {"cursor", "page_size", "format"}
#: Of lists that are asked for by page.
PAGE_SIZE = 50


_Model = TypeVar("_Model", bound=BaseModel)
Moment = Annotated[datetime, BeforeValidator(moment_from)]
#: Those that are moments: a request with a time that there is not cannot be understood (400).
_MOMENTS = {"received_after", "received_before"}


class StudyFilters(BaseModel):
    """Query parameters; a patient's name or id is none of them."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    modality: ModalityCode | None = None
    state: StudyState | None = None
    priority: Literal["routine", "urgent", "stat"] | None = None
    accession_number: PlainText | None = Field(None, min_length=1, max_length=256)
    received_after: Moment | None = None
    received_before: Moment | None = None
    withdrawn: bool | None = Field(None, description="Only withdrawn studies, or only others")


def parse_filters(query: QueryDict) -> StudyFilters:
    """Raises `Invalid` for an unknown or repeated parameter, lest a misspelt filter mean "all", and `NotATime`."""
    given = once_each(query)
    try:
        return parse_model(StudyFilters, {name: given[name] for name in given if name not in _PAGING})
    except Invalid as problem:
        if any(error.field in _MOMENTS for error in problem.errors):
            raise NotATime(problem.detail, errors=problem.errors) from None
        raise


def once_each(query: QueryDict) -> dict[str, str]:
    """The parameters of an address. Raises `Invalid` where one is repeated."""
    repeated = [name for name in query if len(query.getlist(name)) > 1]
    if repeated:
        raise Invalid(
            "A filter is given twice.", errors=tuple(FieldError("Once only.", n[:60]) for n in repeated)
        )
    return {name: str(query[name]) for name in query}


class _Paging(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    page: int = Field(1, ge=1, le=10**9)


def page_asked(request: Request) -> str:
    """The number of the page that an address asks for. Raises `Invalid`, for an unknown parameter too."""
    return str(parse_model(_Paging, once_each(request.query_params)).page)


def parse_model(model: type[_Model], content: Any) -> _Model:
    """Validate with every error naming its field. Raises `Invalid`."""
    try:
        return TypeAdapter(model).validate_python(content)
    except ValidationError as error:
        raise Invalid(
            "The request is not accepted.",
            errors=tuple(
                FieldError(item["msg"], ".".join(str(step)[:60] for step in item["loc"]))
                for item in error.errors(include_url=False, include_context=False, include_input=False)[:20]
            ),
        ) from None


def json_of(request: Request) -> Any:
    """The JSON body; one nested too deeply to be read is malformed, not our mistake. Raises `ParseError`."""
    try:
        return request.data
    except RecursionError:
        raise ParseError("The JSON is nested too deeply.") from None


class StudyPages(CursorPagination):
    """Newest first. A cursor names a moment, never a person, and a study that arrives moves no page."""

    ordering = ("-received_at", "-id")
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200

    def decode_cursor(self, request: Request) -> Any:
        """Raises `NotFound` for a cursor that we did not make."""
        cursor = super().decode_cursor(request)
        if cursor is not None and cursor.position is not None:
            try:
                moment = moment_from(str(cursor.position))
            except ValueError:
                raise NotFound("The cursor is not valid; start again from the first page.") from None
            cursor = cursor._replace(position=str(moment))  # type: ignore[arg-type]
        return cursor
