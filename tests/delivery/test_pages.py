"""The administrators' pages about webhooks."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from cad_platform.accounts.models import Role
from cad_platform.audit.models import AuditEvent
from cad_platform.delivery import sending, services
from cad_platform.delivery.models import Delivery, Event, Webhook
from cad_platform.delivery.signature import secret_of
from tests import factories
from tests.delivery.receiver import answer, receiving

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser() -> Client:
    client = Client()
    client.force_login(factories.user(Role.ADMINISTRATOR))
    return client


def test_the_way_of_a_webhook(browser: Client, settings: Any) -> None:
    settings.WEBHOOK_MAX_ATTEMPTS = 1
    study = factories.study(factories.site())
    with receiving(answer(500), answer(200)) as receiver:
        settings.WEBHOOK_ALLOWED_HOSTS = [receiver.host]
        made = browser.post(
            reverse("webhooks"),
            {"site": study.site_id, "url": receiver.url, "events": [Event.STUDY_ANALYSED]},
        )
        webhook = Webhook.objects.get()
        assert secret_of(webhook.pk) in made.content.decode()
        assert secret_of(webhook.pk) not in browser.get(reverse("webhooks")).content.decode()
        services.announce(study, Event.STUDY_ANALYSED, "one")
        sending.send_due()
        shown = browser.get(reverse("webhook", args=[webhook.pk])).content.decode()
        assert "The receiver answered 500." in shown and "Given up" in shown
        browser.post(reverse("webhook-replay", args=[webhook.pk]))
        sending.send_due()
    assert Delivery.objects.get().state == Delivery.State.DELIVERED
    browser.post(reverse("webhook-replay", args=[webhook.pk]), {"delivery": str(Delivery.objects.get().pk)})
    assert Delivery.objects.get().state == Delivery.State.WAITING
    browser.post(reverse("webhook-access", args=[webhook.pk]), {"access": "pause"})
    assert "Paused" in browser.get(reverse("webhooks")).content.decode()
    actions = set(AuditEvent.objects.filter(action__startswith="webhook.").values_list("action", flat=True))
    assert actions == {"webhook.create", "webhook.replay", "webhook.pause"}


def test_a_host_that_is_not_allowed_is_said_at_its_field(browser: Client) -> None:
    site = factories.site()
    answered = browser.post(
        reverse("webhooks"), {"site": site.pk, "url": "https://ris.example/", "events": [Event.REPORT_SIGNED]}
    )
    assert answered.status_code == 422
    assert "CAD_WEBHOOK_ALLOWED_HOSTS" in str(answered.context["form"].errors["url"])


@pytest.mark.parametrize("role", [Role.RADIOLOGIST, Role.INTEGRATOR])
def test_nobody_else_sees_them(role: str) -> None:
    client = Client()
    client.force_login(factories.user(role))
    assert client.get(reverse("webhooks")).status_code == 403
