"""`/api/v1/roles`: who has which role at which site, given and taken with a reason. For administrators."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, cast

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from pydantic import BaseModel, ConfigDict, Field
from rest_framework.request import Request
from rest_framework.response import Response

from cad_platform.accounts import roles, selectors
from cad_platform.accounts.models import RoleChange, User
from cad_platform.api import schema
from cad_platform.api.answers import PageAnswer, PlainText
from cad_platform.api.filters import json_of, parse_model
from cad_platform.api.record_answers import Reason, ReasonRequest
from cad_platform.api.record_lists import PagedList
from cad_platform.api.studies import ApiView
from cad_platform.core.actor import Actor, actor_of
from cad_platform.core.answers import Answer
from cad_platform.core.errors import NotFound

RoleName = Literal[
    "radiologist", "pathologist", "sonographer", "integrator", "clinical_lead", "administrator"
]
_USER = OpenApiParameter("user", OpenApiTypes.INT, OpenApiParameter.PATH, description="The person's `id`")
_REFUSALS = (400, 401, 403, 404, 409, 415, 422, 429, 503)
_NOT_THEIRS = {
    409: "It is your own role, or the last administrator's, or was taken already. Nothing was changed."
}


class RoleRequest(BaseModel):
    """Everyone but an administrator belongs to exactly one site."""

    model_config = ConfigDict(extra="forbid")

    role: RoleName
    site: PlainText | None = Field(None, max_length=40, description="The site's code")
    reason: Reason


class RoleAnswer(Answer):
    """Who has which role where."""

    id: int
    username: str
    name: str = Field(description="As it is printed under a signature")
    role: RoleName
    site: str | None = Field(description="Its code; null for an administrator")
    active: bool = Field(description="False: the role was taken, or the access closed")


class RoleChangeAnswer(Answer):
    """A role that was given or, where it is null, taken."""

    role_before: RoleName | None = Field(description="null: the account was made with the role")
    site_before: str | None
    role: RoleName | None
    site: str | None
    reason: str
    at: datetime
    by: str | None = Field(description="null: a command of the platform")


class RoleDetail(RoleAnswer):
    changes: list[RoleChangeAnswer] = Field(description="The latest first")


class RolePage(PageAnswer):
    results: list[RoleAnswer]


@extend_schema_view(
    get=extend_schema(
        operation_id="list_roles",
        summary="List who has which role at which site",
        description="By site and role.",
        parameters=[schema.PAGE],
        responses={200: RolePage, **schema.problems(401, 403, 422, 429, 503)},
    )
)
class Roles(PagedList):
    permission, answer = "user.manage", RolePage

    def found(self, actor: Actor) -> QuerySet[User]:
        return roles.people(actor)

    def row(self, each: User) -> RoleAnswer:
        return RoleAnswer(**_person(each))


class PersonRole(ApiView):
    @extend_schema(
        operation_id="get_role",
        summary="Get a person's role and every change of it",
        parameters=[_USER],
        responses={200: RoleDetail, **schema.problems(401, 403, 404, 429, 503)},
    )
    def get(self, request: Request, user: int) -> Response:
        return _now(actor_of(request), user)

    @extend_schema(
        operation_id="give_role",
        summary="Give a person a role at a site",
        parameters=[_USER],
        request=RoleRequest,
        responses={200: RoleDetail, **schema.problems(*_REFUSALS, because=_NOT_THEIRS)},
    )
    def put(self, request: Request, user: int) -> Response:
        """From their next request on. Safe to repeat: what they have already is no change."""
        actor = actor_of(request)
        found = selectors.user_by_id(actor, user)
        wanted = parse_model(RoleRequest, json_of(request))
        site = None
        if wanted.site is not None:
            site = selectors.open_sites(actor, found).filter(code=wanted.site).first()
            if site is None:
                raise NotFound("There is no such site.")
        roles.give(actor, found, role=wanted.role, site=site, reason=wanted.reason)
        return _now(actor, user)


class RoleTaken(ApiView):
    @extend_schema(
        operation_id="take_role",
        summary="Take a person's role",
        parameters=[_USER],
        request=ReasonRequest,
        responses={200: RoleDetail, **schema.problems(*_REFUSALS, because=_NOT_THEIRS)},
    )
    def post(self, request: Request, user: int) -> Response:
        """Sessions end and tokens are refused at once; what they wrote stays."""
        actor = actor_of(request)
        found = selectors.user_by_id(actor, user)
        roles.take(actor, found, parse_model(ReasonRequest, json_of(request)).reason)
        return _now(actor, user)


def _now(actor: Actor, user: int) -> Response:
    found = selectors.user_by_id(actor, user)
    changes = [_change(each) for each in roles.changes_of(actor, found)]
    return Response(RoleDetail(**_person(found), changes=changes).as_json())


def _person(user: User) -> dict[str, object]:
    return {
        "id": user.pk, "username": user.username, "name": user.printed_name, "role": user.role,
        "site": user.site.code if user.site else None, "active": user.is_active,
    }  # fmt: skip


def _change(change: RoleChange) -> RoleChangeAnswer:
    return RoleChangeAnswer(
        role_before=cast(RoleName, change.role_before) or None,
        site_before=change.site_before.code if change.site_before else None,
        role=cast(RoleName, change.role) or None,
        site=change.site.code if change.site else None,
        reason=change.reason,
        at=change.at,
        by=change.by.printed_name if change.by else None,
    )
