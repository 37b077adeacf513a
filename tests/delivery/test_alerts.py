"""Alerts reach who asks for them: by webhook and by e-mail, again and later where they were not taken."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from django.utils import timezone

from cad_platform.accounts.models import Role, Site
from cad_platform.core.errors import Invalid
from cad_platform.delivery import sending, services, tasks
from cad_platform.delivery.models import Delivery, DeliveryAttempt, Event, Webhook
from cad_platform.quality import watching
from cad_platform.quality.measures import Measured
from cad_platform.quality.models import Alert, AlertRule
from tests import factories
from tests.delivery.receiver import receiving

pytestmark = pytest.mark.django_db


class MailServer(socketserver.ThreadingTCPServer):
    """Speaks as much SMTP as takes a message; answers RCPT with the next of `answers`."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, *answers: str) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.answers, self.messages = list(answers), list[str]()


class _Conversation(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        self.say("220 mail.example ready")
        while line := self.rfile.readline().decode().strip():
            word = line.split()[0].upper()
            if word == "RCPT":
                self.say(self.server.answers.pop(0) if self.server.answers else "250 ok")
            elif word == "DATA":
                self.say("354 go on")
                lines = []
                while (text := self.rfile.readline().decode().rstrip("\r\n")) != ".":
                    lines.append(text)
                self.server.messages.append("\n".join(lines))
                self.say("250 taken")
            elif word == "QUIT":
                return self.say("221 bye")
            else:
                self.say("250 ok")
        return None

    def say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@contextmanager
def mail_server(settings: Any, *answers: str) -> Iterator[MailServer]:
    with MailServer(*answers) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        settings.MAIL_SERVER = f"smtp://127.0.0.1:{server.server_address[1]}"
        settings.MAIL_ALLOWED_DOMAINS = ["hospital.example"]
        yield server
        server.shutdown()


@pytest.fixture
def site() -> Site:
    return factories.site()


def alert_at(site: Site | None, device: str = "") -> Alert:
    rule = AlertRule.objects.get(measure="drift")
    version = factories.model_version()
    found = Measured(0.4, True, {"ks": 0.3}, device)
    assert watching.settle(rule, site.pk if site else None, version.pk, found, datetime.now(UTC))
    return Alert.objects.latest("raised_at")


def add(site: Site, url: str, *events: str) -> Webhook:
    return services.add_webhook(
        factories.actor(Role.ADMINISTRATOR), site=site, url=url, events=events or [Event.ALERT_RAISED]
    )[0]


def test_a_webhook_is_told_what_was_measured(site: Site, settings: Any) -> None:
    with receiving() as receiver:
        settings.WEBHOOK_ALLOWED_HOSTS = [receiver.host]
        add(site, receiver.url, *Event.values)
        alert = alert_at(site, "Acme 3")
        for _ in range(2):
            tasks.alert_raised(alert_id=str(alert.pk))
        assert sending.send_due() == 1
    [message] = receiver.messages()
    assert message["event"] == "quality.alert" and message["url"].endswith(f"/quality/alerts/{alert.pk}/")
    assert message["alert"] == {
        "measure": "drift", "site": site.code, "model": "mammography", "version": "1.0.0",
        "device": "Acme 3", "value": 0.4, "threshold": 0.25,
    }  # fmt: skip


def test_a_mail_is_sent_again_where_it_was_not_taken(site: Site, settings: Any) -> None:
    with mail_server(settings, "451 later") as server:
        add(site, "mailto:physics@hospital.example")
        tasks.alert_raised(alert_id=str(alert_at(site).pk))
        sending.send_due()
        delivery = Delivery.objects.get()
        assert delivery.state == Delivery.State.WAITING
        assert DeliveryAttempt.objects.get().error == "The receiver answered 451."
        Delivery.objects.update(due_at=timezone.now())
        sending.send_due()
    delivery.refresh_from_db()
    assert delivery.state == Delivery.State.DELIVERED
    [message] = server.messages
    assert "Subject: Alert: Scores drift (PSI) (mammography 1.0.0)" in message
    assert f"<{delivery.pk}@" in message and site.name in message and "0.4" in message


def test_nobody_listening_is_a_failure_and_given_up(site: Site, settings: Any) -> None:
    settings.WEBHOOK_MAX_ATTEMPTS = 1
    with mail_server(settings):
        add(site, "mailto:physics@hospital.example")
    settings.MAIL_SERVER = "smtp://127.0.0.1:1"
    tasks.alert_raised(alert_id=str(alert_at(site).pk))
    sending.send_due()
    assert Delivery.objects.get().state == Delivery.State.DEAD
    assert "The connection failed" in DeliveryAttempt.objects.get().error


def test_only_at_its_site_and_of_no_site_to_all(site: Site, settings: Any) -> None:
    with mail_server(settings):
        add(site, "mailto:a@hospital.example")
        add(factories.site(), "mailto:b@hospital.example")
        assert tasks.alert_raised(alert_id=str(alert_at(site).pk)) == 1
        assert tasks.alert_raised(alert_id=str(alert_at(None).pk)) == 2
    assert tasks.alert_raised(alert_id="00000000-0000-0000-0000-000000000000") == 0


@pytest.mark.parametrize(
    ("url", "events", "field"),
    [
        ("mailto:a@elsewhere.example", [Event.ALERT_RAISED], "url"),
        ("mailto:a@hospital.example,b@hospital.example", [Event.ALERT_RAISED], "url"),
        ("mailto:a@hospital.example?bcc=b@x.example", [Event.ALERT_RAISED], "url"),
        ("mailto:", [Event.ALERT_RAISED], "url"),
        ("mailto:a@hospital.example", [Event.REPORT_SIGNED, Event.ALERT_RAISED], "events"),
        ("mailto:a@hospital.example", [], "events"),
    ],
)
def test_what_is_no_address_of_alerts_is_refused(
    site: Site, settings: Any, url: str, events: list[str], field: str
) -> None:
    settings.MAIL_SERVER, settings.MAIL_ALLOWED_DOMAINS = "smtp://127.0.0.1:25", ["hospital.example"]
    with pytest.raises(Invalid) as refused:
        services.add_webhook(factories.actor(Role.ADMINISTRATOR), site=site, url=url, events=events)
    assert refused.value.errors[0].field == field


def test_without_a_mail_server_none_is_added(site: Site, settings: Any) -> None:
    settings.MAIL_SERVER, settings.MAIL_ALLOWED_DOMAINS = "", ["hospital.example"]
    with pytest.raises(Invalid):
        add(site, "mailto:a@hospital.example")
