"""What administrators may read of webhooks."""

from __future__ import annotations

import uuid

from django.db.models import Count, Max, Q, QuerySet
from django.utils.translation import gettext as _

from cad_platform.accounts.models import Site
from cad_platform.accounts.rules import require
from cad_platform.core.actor import Actor
from cad_platform.core.errors import NotFound
from cad_platform.delivery.models import Delivery, Webhook


def webhooks(actor: Actor) -> QuerySet[Webhook]:
    """Every webhook that was not removed, with how much waits and was given up, and its last delivery."""
    require(actor, "webhook.manage")
    return (
        Webhook.objects.filter(removed_at__isnull=True)
        .select_related("site")
        .annotate(
            waiting=Count("deliveries", filter=Q(deliveries__state=Delivery.State.WAITING)),
            dead=Count("deliveries", filter=Q(deliveries__state=Delivery.State.DEAD)),
            last_delivered_at=Max("deliveries__delivered_at"),
        )
    )


def webhook(actor: Actor, webhook_id: uuid.UUID) -> Webhook:
    """One webhook. Raises `NotFound` or `NotPermitted`."""
    found = webhooks(actor).filter(pk=webhook_id).first()
    if found is None:
        raise NotFound(_("There is no such webhook."))
    return found


def deliveries(actor: Actor, of: Webhook) -> QuerySet[Delivery]:
    """What was and is to be sent to a webhook, the newest first, with every try."""
    require(actor, "webhook.manage")
    return Delivery.objects.filter(webhook=of).select_related("study").prefetch_related("tries")


def sites(actor: Actor) -> QuerySet[Site]:
    """Those that a webhook may belong to."""
    require(actor, "webhook.manage")
    return Site.objects.order_by("name")
