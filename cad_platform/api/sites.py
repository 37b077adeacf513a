"""`/api/v1/sites`: the hospitals and departments, made, changed and closed. For administrators."""

from __future__ import annotations

from typing import Annotated

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from rest_framework.request import Request
from rest_framework.response import Response

from cad_platform.accounts import selectors, services
from cad_platform.accounts.models import Site
from cad_platform.accounts.services import MAX_IDLE_LOCK_MINUTES
from cad_platform.api import schema
from cad_platform.api.answers import PageAnswer, PlainText
from cad_platform.api.filters import json_of, parse_model
from cad_platform.api.record_lists import PagedList
from cad_platform.api.studies import ApiView
from cad_platform.core.actor import Actor, actor_of
from cad_platform.core.answers import Answer
from cad_platform.core.errors import NotFound
from cad_platform.studies.post import trimmed

_SITE = OpenApiParameter("site", str, OpenApiParameter.PATH, description="Its code")
_ACCESS = (401, 403, 404, 429, 503)
_TAKEN = {409: "There is a site with this code already. Nothing was changed."}
_Name = Annotated[str, AfterValidator(trimmed), Field(min_length=1, max_length=200)]
_ZONE = "A name of the IANA database; empty for the installation's"


class SiteChange(BaseModel):
    """How a site's files are read where they do not say so themselves, how many marks its readers see, and when its
    workplaces are locked."""

    model_config = ConfigDict(extra="forbid")

    name: _Name
    default_issuer: PlainText = Field(
        max_length=256, description="What its files call the issuer of its patient ids (0010,0021)"
    )
    default_character_set: PlainText = Field(
        max_length=32,
        description="A DICOM defined term, for names that are not ASCII; empty: they are not read",
    )
    false_marks_per_exam: float = Field(description="One of the rates that models are measured at")
    time_zone: PlainText = Field(max_length=64, description=_ZONE)
    idle_lock_minutes: int = Field(ge=0, le=MAX_IDLE_LOCK_MINUTES, description="0: never")


class NewSite(BaseModel):
    model_config = ConfigDict(extra="forbid")

    code: PlainText = Field(
        min_length=1, max_length=40, pattern=r"^[-a-zA-Z0-9_]+$", description="It is never changed"
    )
    name: _Name
    time_zone: PlainText = Field("", max_length=64, description=_ZONE)


class SiteAnswer(Answer):
    """A hospital or department."""

    code: str
    name: str
    active: bool = Field(description="False: nobody of it is let in, and its tokens are refused")
    default_issuer: str
    default_character_set: str
    false_marks_per_exam: float
    time_zone: str = Field(description="Empty: the installation's")
    idle_lock_minutes: int


class SitePage(PageAnswer):
    results: list[SiteAnswer]


@extend_schema_view(
    get=extend_schema(
        operation_id="list_sites",
        summary="List the hospitals and departments",
        description="By name.",
        parameters=[schema.PAGE],
        responses={200: SitePage, **schema.problems(401, 403, 422, 429, 503)},
    )
)
class Sites(PagedList):
    permission, answer = "user.manage", SitePage

    def found(self, actor: Actor) -> QuerySet[Site]:
        return selectors.sites(actor)

    def row(self, each: Site) -> SiteAnswer:
        return _answer(each)

    @extend_schema(
        operation_id="create_site",
        summary="Make a site",
        request=NewSite,
        responses={
            201: SiteAnswer,
            **schema.problems(400, 401, 403, 409, 415, 422, 429, 503, because=_TAKEN),
        },
    )
    def post(self, request: Request) -> Response:
        """Its files are read as the defaults say until it is changed. Sent twice, the second is 409."""
        actor = actor_of(request)
        selectors.sites(actor)  # who may not is told so before what was misspelt
        wanted = parse_model(NewSite, json_of(request))
        made = services.create_site(actor, code=wanted.code, name=wanted.name, time_zone=wanted.time_zone)
        return Response(_answer(selectors.site_by_id(actor, made.pk)).as_json(), status=201)


class SiteDetail(ApiView):
    @extend_schema(
        operation_id="get_site",
        summary="Get a site",
        parameters=[_SITE],
        responses={200: SiteAnswer, **schema.problems(*_ACCESS)},
    )
    def get(self, request: Request, site: str) -> Response:
        return Response(_answer(_named(actor_of(request), site)).as_json())

    @extend_schema(
        operation_id="change_site",
        summary="Change a site",
        parameters=[_SITE],
        request=SiteChange,
        responses={200: SiteAnswer, **schema.problems(400, 401, 403, 404, 415, 422, 429, 503)},
    )
    def put(self, request: Request, site: str) -> Response:
        """Everything but its code and whether it is active. Safe to repeat."""
        actor = actor_of(request)
        found = _named(actor, site)
        wanted = parse_model(SiteChange, json_of(request))
        return Response(_answer(services.update_site(actor, found.pk, **wanted.model_dump())).as_json())


class SiteDeactivation(ApiView):
    @extend_schema(
        operation_id="deactivate_site",
        summary="Let nobody of a site in any more",
        parameters=[_SITE],
        request=None,
        responses={200: SiteAnswer, **schema.problems(*_ACCESS)},
    )
    def post(self, request: Request, site: str) -> Response:
        """Sessions end and tokens are refused at once; studies and reports stay. Safe to repeat."""
        actor = actor_of(request)
        return Response(_answer(services.deactivate_site(actor, _named(actor, site).pk)).as_json())


class SiteActivation(ApiView):
    @extend_schema(
        operation_id="activate_site",
        summary="Let the people and systems of a site in again",
        parameters=[_SITE],
        request=None,
        responses={200: SiteAnswer, **schema.problems(*_ACCESS)},
    )
    def post(self, request: Request, site: str) -> Response:
        """Safe to repeat."""
        actor = actor_of(request)
        return Response(_answer(services.activate_site(actor, _named(actor, site).pk)).as_json())


def _named(actor: Actor, code: str) -> Site:
    found = selectors.sites(actor).filter(code=code).first() if "\x00" not in code else None
    if found is None:
        raise NotFound("There is no such site.")
    return found


def _answer(site: Site) -> SiteAnswer:
    return SiteAnswer(
        code=site.code, name=site.name, active=site.is_active, default_issuer=site.default_issuer,
        default_character_set=site.default_character_set, false_marks_per_exam=site.false_marks_per_exam,
        time_zone=site.time_zone, idle_lock_minutes=site.idle_lock_minutes,
    )  # fmt: skip
