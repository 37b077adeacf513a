"""`/api/v1/webhooks`: where sites are told of what happens, what was sent there, and sending it again. For
administrators."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any, Literal, cast

from django.core.paginator import Paginator
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from pydantic import BaseModel, ConfigDict, Field
from rest_framework.request import Request
from rest_framework.response import Response

from cad_platform.accounts.rules import require
from cad_platform.api import schema
from cad_platform.api.answers import PageAnswer, PlainText
from cad_platform.api.filters import PAGE_SIZE, json_of, page_asked, parse_model
from cad_platform.api.record_lists import told_of
from cad_platform.api.studies import ApiView
from cad_platform.core.actor import Actor, actor_of
from cad_platform.core.answers import Answer
from cad_platform.core.errors import NotFound
from cad_platform.delivery import selectors, services
from cad_platform.delivery.models import Delivery, Webhook

EventName = Literal["study.analysed", "report.signed", "study.corrected", "quality.alert"]
_WEBHOOK = OpenApiParameter("webhook", OpenApiTypes.UUID, OpenApiParameter.PATH)
_REFUSALS = (401, 403, 404, 429, 503)
_WAITS = {409: "The event waits to be sent already. Nothing was changed."}


class WebhookRequest(BaseModel):
    """Where a site wants to be told of what."""

    model_config = ConfigDict(extra="forbid")

    site: PlainText = Field(max_length=40, description="The site's code")
    url: PlainText = Field(
        max_length=500,
        description="https, at a host that the operator allows; for alerts also `mailto:person@hospital.example`",
    )
    events: list[EventName] = Field(min_length=1, max_length=10)


class SendAgainRequest(BaseModel):
    """The body may be left out: all that were given up."""

    model_config = ConfigDict(extra="forbid")

    delivery: uuid.UUID | None = Field(None, description="Only this one, whatever became of it")


class WebhookAnswer(Answer):
    id: uuid.UUID
    site: str
    url: str
    events: list[EventName]
    created_at: datetime
    paused_at: datetime | None = Field(description="Since then what happens waits")
    waiting: int
    given_up: int
    last_delivered_at: datetime | None


class NewWebhookAnswer(WebhookAnswer):
    secret: str = Field(description="What messages are signed with; in this answer and never again")


class WebhookList(Answer):
    results: list[WebhookAnswer]


class TryAnswer(Answer):
    at: datetime
    status: int | None = Field(description="HTTP status; null without an answer")
    error: str = Field(description="Empty: it was taken")
    seconds: float


class DeliveryAnswer(Answer):
    id: uuid.UUID = Field(description="As `webhook-id` in the message, however often it is sent")
    event: EventName
    occurred_at: datetime
    state: Literal["waiting", "delivered", "dead"] = Field(description="`dead`: given up")
    due_at: datetime | None = Field(description="When it is sent next, where it waits")
    delivered_at: datetime | None
    tries: list[TryAnswer] = Field(description="The latest first")


class DeliveryPage(PageAnswer):
    results: list[DeliveryAnswer]


class SentAgainAnswer(Answer):
    count: int = Field(description="So many events are sent again")


class Webhooks(ApiView):
    @extend_schema(
        operation_id="list_webhooks",
        summary="List the webhooks",
        responses={200: WebhookList, **schema.problems(401, 403, 429, 503)},
    )
    def get(self, request: Request) -> Response:
        """Of every site."""
        found = selectors.webhooks(actor_of(request))
        return Response(WebhookList(results=[WebhookAnswer(**_told(each)) for each in found]).as_json())

    @extend_schema(
        operation_id="add_webhook",
        summary="Have a site's events told to an address",
        request=WebhookRequest,
        responses={201: NewWebhookAnswer, **schema.problems(400, 415, 422, *_REFUSALS)},
    )
    def post(self, request: Request) -> Response:
        """Sent twice, there are two."""
        actor = actor_of(request)
        require(actor, "webhook.manage")  # who may not is told so before what was misspelt
        wanted = parse_model(WebhookRequest, json_of(request))
        site = selectors.sites(actor).filter(code=wanted.site).first()
        if site is None:
            raise NotFound("There is no such site.")
        made, secret = services.add_webhook(actor, site=site, url=wanted.url, events=wanted.events)
        told = _told(selectors.webhook(actor, made.pk))
        return Response(NewWebhookAnswer(**told, secret=secret).as_json(), status=201)


class WebhookDetail(ApiView):
    @extend_schema(
        operation_id="get_webhook",
        summary="Get a webhook",
        parameters=[_WEBHOOK],
        responses={200: WebhookAnswer, **schema.problems(*_REFUSALS)},
    )
    def get(self, request: Request, webhook: uuid.UUID) -> Response:
        return _now(actor_of(request), webhook)

    @extend_schema(
        operation_id="remove_webhook",
        summary="Tell a webhook nothing any more",
        parameters=[_WEBHOOK],
        responses={204: None, **schema.problems(*_REFUSALS)},
    )
    def delete(self, request: Request, webhook: uuid.UUID) -> Response:
        """Also not what waits. There is no way back: added again, it has another secret."""
        services.remove(actor_of(request), webhook)
        return Response(status=204)


class WebhookPause(ApiView):
    @extend_schema(
        operation_id="pause_webhook",
        summary="Send nothing to a webhook for now",
        parameters=[_WEBHOOK],
        request=None,
        responses={200: WebhookAnswer, **schema.problems(*_REFUSALS)},
    )
    def post(self, request: Request, webhook: uuid.UUID) -> Response:
        """What happens waits. Safe to repeat."""
        actor = actor_of(request)
        services.set_paused(actor, webhook, paused=True)
        return _now(actor, webhook)


class WebhookResume(ApiView):
    @extend_schema(
        operation_id="resume_webhook",
        summary="Send to a webhook again",
        parameters=[_WEBHOOK],
        request=None,
        responses={200: WebhookAnswer, **schema.problems(*_REFUSALS)},
    )
    def post(self, request: Request, webhook: uuid.UUID) -> Response:
        """What waited too. Safe to repeat."""
        actor = actor_of(request)
        services.set_paused(actor, webhook, paused=False)
        return _now(actor, webhook)


class Deliveries(ApiView):
    @extend_schema(
        operation_id="list_deliveries",
        summary="List what was and is to be sent to a webhook",
        parameters=[_WEBHOOK, schema.PAGE],
        responses={200: DeliveryPage, **schema.problems(422, *_REFUSALS)},
    )
    def get(self, request: Request, webhook: uuid.UUID) -> Response:
        """The newest first, each with every try."""
        actor = actor_of(request)
        found = selectors.deliveries(actor, selectors.webhook(actor, webhook))
        shown = Paginator(found, PAGE_SIZE).get_page(page_asked(request))
        return Response(DeliveryPage.model_validate(told_of(shown, _sent)).as_json())


class WebhookSendAgain(ApiView):
    @extend_schema(
        operation_id="send_again",
        summary="Send what a webhook did not take again",
        parameters=[_WEBHOOK],
        request=SendAgainRequest,
        responses={200: SentAgainAnswer, **schema.problems(400, 409, 415, 422, *_REFUSALS, because=_WAITS)},
    )
    def post(self, request: Request, webhook: uuid.UUID) -> Response:
        """The same messages with the same ids."""
        actor = actor_of(request)
        require(actor, "webhook.manage")
        wanted = parse_model(SendAgainRequest, json_of(request))
        count = services.send_again(actor, webhook, wanted.delivery)
        return Response(SentAgainAnswer(count=count).as_json())


def _now(actor: Actor, webhook: uuid.UUID) -> Response:
    return Response(WebhookAnswer(**_told(selectors.webhook(actor, webhook))).as_json())


def _told(webhook: Webhook) -> dict[str, Any]:
    return {
        "id": webhook.pk,
        "site": webhook.site.code,
        "url": webhook.url,
        "events": webhook.topics,
        "created_at": webhook.created_at,
        "paused_at": webhook.paused_at,
        "waiting": webhook.waiting,  # type: ignore[attr-defined]
        "given_up": webhook.dead,  # type: ignore[attr-defined]
        "last_delivered_at": webhook.last_delivered_at,  # type: ignore[attr-defined]
    }


def _sent(delivery: Delivery) -> DeliveryAnswer:
    return DeliveryAnswer(
        id=delivery.pk,
        event=cast(EventName, delivery.event),
        occurred_at=delivery.occurred_at,
        state=cast(Any, delivery.state),
        due_at=delivery.due_at if delivery.state == Delivery.State.WAITING else None,
        delivered_at=delivery.delivered_at,
        tries=[
            TryAnswer(at=each.at, status=each.status, error=each.error, seconds=each.seconds)
            for each in delivery.tries.all()
        ],
    )
