"""The administrators' pages, API and commands about webhooks."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command
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
    gone = browser.post(reverse("webhook-remove", args=[webhook.pk]), follow=True).content.decode()
    assert "The webhook is removed." in gone and receiver.url not in gone
    assert browser.get(reverse("webhook", args=[webhook.pk])).status_code == 404
    assert browser.post(reverse("webhook-access", args=[webhook.pk])).status_code == 404
    actions = set(AuditEvent.objects.filter(action__startswith="webhook.").values_list("action", flat=True))
    assert actions == {"webhook.create", "webhook.replay", "webhook.pause", "webhook.remove"}


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


API = "/api/v1/webhooks"


def post(client: Client, path: str, body: Any = None) -> Any:
    return client.post(path, *([] if body is None else [body]), content_type="application/json")


def test_the_way_of_a_webhook_through_the_api(browser: Client, settings: Any) -> None:
    settings.WEBHOOK_MAX_ATTEMPTS = 1
    study = factories.study(factories.site())
    with receiving(answer(500), answer(200)) as receiver:
        settings.WEBHOOK_ALLOWED_HOSTS = [receiver.host]
        wanted = {"site": study.site.code, "url": receiver.url, "events": ["study.analysed"]}
        made = post(browser, API, wanted)
        webhook = Webhook.objects.get()
        assert made.status_code == 201 and made.json()["secret"] == secret_of(webhook.pk), made.content
        one = f"{API}/{webhook.pk}"
        assert (
            secret_of(webhook.pk) not in browser.get(API).content.decode() + browser.get(one).content.decode()
        )
        services.announce(study, Event.STUDY_ANALYSED, "one")
        sending.send_due()
        (sent,) = browser.get(f"{one}/deliveries").json()["results"]
        assert (sent["state"], sent["tries"][0]["status"], sent["due_at"]) == ("dead", 500, None)
        assert study.study_instance_uid not in str(sent)
        assert (browser.get(one).json()["given_up"], browser.get(one).json()["waiting"]) == (1, 0)
        assert post(browser, f"{one}/send-again").json() == {"count": 1}
        assert post(browser, f"{one}/send-again", {"delivery": sent["id"]}).status_code == 409
        sending.send_due()
    assert browser.get(f"{one}/deliveries").json()["results"][0]["state"] == "delivered"
    assert post(browser, f"{one}/send-again", {"delivery": sent["id"]}).json() == {"count": 1}
    for _ in range(2):
        assert post(browser, f"{one}/pause").json()["paused_at"]
        assert browser.get(API).json()["results"][0]["paused_at"]
    assert post(browser, f"{one}/resume").json()["paused_at"] is None
    services.announce(study, Event.STUDY_ANALYSED, "two")
    assert browser.delete(one).status_code == 204
    assert browser.get(API).json() == {"results": []}
    assert browser.get(one).status_code == browser.delete(one).status_code == 404
    assert post(browser, f"{one}/resume").status_code == 404
    assert services.announce(study, Event.STUDY_ANALYSED, "three") == 0
    assert sending.send_due() == 0, "what waited is not sent"
    assert AuditEvent.objects.get(action="webhook.remove").detail["waiting"] == 2


def test_what_the_api_refuses(browser: Client) -> None:
    site = factories.site()
    wanted = {"site": site.code, "url": "https://ris.example/", "events": ["report.signed"]}
    for wrong, status in (
        ({}, 422),  # a host that nobody allowed
        ({"site": "nowhere"}, 404),
        ({"events": []}, 422),
        ({"events": ["study.lost"]}, 422),
        ({"colour": "red"}, 422),
    ):
        assert post(browser, API, wanted | wrong).status_code == status, wrong
    assert not Webhook.objects.exists()
    nothing = f"{API}/00000000-0000-0000-0000-000000000000"
    assert browser.get(nothing).status_code == browser.get(f"{nothing}/deliveries").status_code == 404
    for step in ("pause", "resume", "send-again"):
        assert post(browser, f"{nothing}/{step}").status_code == 404
    for role in set(Role.values) - {Role.ADMINISTRATOR}:
        client = Client()
        client.force_login(factories.user(role, site))
        assert client.get(API).status_code == client.get(nothing).status_code == 403, role
        assert post(client, API, {"nonsense": 1}).status_code == 403
        assert post(client, f"{nothing}/send-again").status_code == client.delete(nothing).status_code == 403
    assert Client().get(API).status_code == 401


def test_the_way_of_a_webhook_by_command(settings: Any) -> None:
    def told(*arguments: object) -> str:
        out = io.StringIO()
        call_command("webhooks", *map(str, arguments), stdout=out)
        return out.getvalue()

    settings.WEBHOOK_MAX_ATTEMPTS = 1
    study = factories.study(factories.site("north"))
    assert told("list") == "There is none.\n"
    with receiving(answer(500), answer(200)) as receiver:
        settings.WEBHOOK_ALLOWED_HOSTS = [receiver.host]
        made = told("add", "north", receiver.url, "study.analysed", "report.signed")
        webhook = Webhook.objects.get()
        assert secret_of(webhook.pk) in made and secret_of(webhook.pk) not in told("list")
        assert "study.analysed, report.signed  active  0 waiting, 0 given up, last delivered never" in told(
            "list"
        )
        services.announce(study, Event.STUDY_ANALYSED, "one")
        sending.send_due()
        assert "500  The receiver answered 500." in told("show", webhook.pk)
        assert told("send-again", webhook.pk) == "1 events are sent again\n"
        sending.send_due()
    assert "200  taken" in told("show", webhook.pk) and "1 waiting" not in told("list")
    delivery = Delivery.objects.get().pk
    assert told("send-again", webhook.pk, "--delivery", delivery) == "1 events are sent again\n"
    with pytest.raises(CommandError, match="waits"):
        told("send-again", webhook.pk, "--delivery", delivery)
    assert "paused" in told("pause", webhook.pk) and "  paused  " in told("list")
    assert "resumed" in told("resume", webhook.pk) and "  active  " in told("list")
    assert "removed" in told("remove", webhook.pk) and told("list") == "There is none.\n"
    for wrong in (
        ("add", "nowhere", "https://ris.example/", "report.signed"),
        ("add", "north", "https://ris.example/", "report.signed"),
        ("pause", "00000000-0000-0000-0000-000000000000"),
    ):
        with pytest.raises(CommandError):
            told(*wrong)
    event = AuditEvent.objects.filter(action="webhook.create").get()
    assert event.actor_label == "system:webhooks"
