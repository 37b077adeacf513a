"""Webhooks: what is sent, again and later where it was not taken, and only to whom the operator allows."""

from __future__ import annotations

import re
import socket
import time
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from django.utils.translation import override

from cad_platform.accounts.models import Role
from cad_platform.core.errors import Conflict, Invalid, NotFound, NotPermitted
from cad_platform.delivery import destination, posting, sending, services
from cad_platform.delivery.models import Delivery, DeliveryAttempt, Event, Webhook
from cad_platform.delivery.wording import error_words
from cad_platform.studies.models import Study
from tests import factories
from tests.delivery.receiver import Receiver, answer, drip, hang, is_signed, receiving

pytestmark = pytest.mark.django_db


@pytest.fixture
def study() -> Study:
    return factories.study(factories.site())


def add(to: Receiver, study: Study, settings: Any, *events: str) -> tuple[Webhook, str]:
    settings.WEBHOOK_ALLOWED_HOSTS = [*settings.WEBHOOK_ALLOWED_HOSTS, to.host]
    administrator = factories.actor(Role.ADMINISTRATOR)
    return services.add_webhook(administrator, site=study.site, url=to.url, events=events or Event.values)


def make_due() -> None:
    Delivery.objects.update(due_at=timezone.now())


class TestTaken:
    def test_a_message_names_the_study_and_is_signed(self, study: Study, settings: Any) -> None:
        with receiving() as receiver:
            _webhook, secret = add(receiver, study, settings)
            services.announce(study, Event.STUDY_ANALYSED, "one")
            assert sending.send_due() == 1
        delivery = Delivery.objects.get()
        assert delivery.state == Delivery.State.DELIVERED and delivery.delivered_at
        [(headers, body)] = receiver.received
        assert is_signed(secret, headers, body)
        assert not is_signed(secret, headers, body + b" ")
        [message] = receiver.messages()
        assert message.pop("url").endswith(f"/api/v1/studies/{study.study_instance_uid}")
        assert message == {
            "id": headers["webhook-id"],
            "event": "study.analysed",
            "occurred_at": delivery.occurred_at.isoformat(),
            "study_instance_uid": study.study_instance_uid,
        }
        assert study.patient and study.patient.patient_id.encode() not in body and b"Okafor" not in body

    def test_once_however_often_it_is_announced(self, study: Study, settings: Any) -> None:
        with receiving() as receiver:
            add(receiver, study, settings)
            assert [services.announce(study, Event.STUDY_ANALYSED, "one") for _ in range(3)] == [1, 0, 0]
            services.announce(study, Event.STUDY_ANALYSED, "two")
            assert [sending.send_due() for _ in range(3)] == [1, 1, 0]
        assert len(receiver.received) == 2

    def test_only_what_was_asked_for_and_of_the_own_site(self, study: Study, settings: Any) -> None:
        with receiving() as receiver:
            add(receiver, study, settings, Event.REPORT_SIGNED)
            assert services.announce(study, Event.STUDY_ANALYSED, "one") == 0
            assert services.announce(factories.study(factories.site()), Event.REPORT_SIGNED, "other") == 0
            assert services.announce(study, Event.REPORT_SIGNED, "two") == 1


class TestNotTaken:
    @pytest.mark.parametrize(
        ("behaviour", "status", "error"),
        [
            (answer(500), 500, "The receiver answered 500."),
            (answer(404), 404, "The receiver answered 404."),
            (answer(302, Location="http://127.0.0.1:1/"), 302, "points elsewhere"),
            (hang(3), None, "No answer within"),
            (drip, None, "No answer within"),
            (lambda handler: handler.connection.close(), None, "The connection failed"),
        ],
        ids=["fails", "knows nothing", "redirects", "hangs", "drips", "hangs up"],
    )
    def test_it_is_sent_again_later(
        self,
        study: Study,
        settings: Any,
        monkeypatch: pytest.MonkeyPatch,
        behaviour: Any,
        status: int | None,
        error: str,
    ) -> None:
        monkeypatch.setattr(posting, "SECONDS", 0.6)
        with receiving(behaviour, answer(200)) as receiver:
            add(receiver, study, settings)
            services.announce(study, Event.STUDY_ANALYSED, "one")
            started = time.monotonic()
            sending.send_due()
            assert time.monotonic() - started < 2.5
            delivery = Delivery.objects.get()
            attempt = DeliveryAttempt.objects.get()
            assert (delivery.state, attempt.status) == (Delivery.State.WAITING, status)
            assert error in attempt.error
            assert delivery.due_at > timezone.now() and sending.send_due() == 0
            make_due()
            sending.send_due()
        delivery.refresh_from_db()
        assert delivery.state == Delivery.State.DELIVERED
        assert len({headers["webhook-id"] for headers, _ in receiver.received}) == 1

    def test_nobody_listening_is_a_failure_like_others(self, study: Study, settings: Any) -> None:
        with receiving() as receiver:
            add(receiver, study, settings)
        services.announce(study, Event.STUDY_ANALYSED, "one")
        sending.send_due()
        assert "The connection failed" in DeliveryAttempt.objects.get().error

    def test_the_pauses_grow_up_to_hours(self) -> None:
        pauses = [sending.pause_after(attempt).total_seconds() for attempt in range(1, 12)]
        assert 8 <= pauses[0] <= 12 and 24 <= pauses[1] <= 36
        assert max(pauses) <= timedelta(hours=8).total_seconds()

    def test_after_so_many_tries_it_is_given_up_and_a_person_sends_it_again(
        self, study: Study, settings: Any
    ) -> None:
        settings.WEBHOOK_MAX_ATTEMPTS = 3
        administrator = factories.actor(Role.ADMINISTRATOR)
        with receiving(answer(503), answer(503), answer(503), answer(200)) as receiver:
            webhook, _secret = add(receiver, study, settings)
            services.announce(study, Event.STUDY_ANALYSED, "one")
            for _ in range(5):
                make_due()
                sending.send_due()
            delivery = Delivery.objects.get()
            assert (delivery.state, len(receiver.received)) == (Delivery.State.DEAD, 3)
            assert services.send_again(administrator, webhook.pk) == 1
            with pytest.raises(Conflict):
                services.send_again(administrator, webhook.pk, delivery.pk)
            sending.send_due()
        delivery.refresh_from_db()
        assert (delivery.state, delivery.tries.count()) == (Delivery.State.DELIVERED, 4)

    def test_one_that_hangs_keeps_no_other_waiting(
        self, study: Study, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(posting, "SECONDS", 0.6)
        with receiving(hang(3)) as slow, receiving() as quick:
            add(slow, study, settings)
            add(quick, study, settings)
            for occurrence in ("one", "two", "three"):
                services.announce(study, Event.STUDY_ANALYSED, occurrence)
            assert sending.send_due() == 2
            assert (len(slow.received), len(quick.received)) == (1, 1)

    def test_who_dies_while_sending_has_it_sent_again(self, study: Study, settings: Any) -> None:
        with receiving() as receiver:
            add(receiver, study, settings)
            services.announce(study, Event.STUDY_ANALYSED, "one")
            assert len(sending._claim()) == 1  # and nothing further
            assert sending.send_due() == 0
            make_due()
            assert sending.send_due() == 1
        assert Delivery.objects.get().state == Delivery.State.DELIVERED

    def test_a_paused_one_waits(self, study: Study, settings: Any) -> None:
        administrator = factories.actor(Role.ADMINISTRATOR)
        with receiving() as receiver:
            webhook, _secret = add(receiver, study, settings)
            services.set_paused(administrator, webhook.pk, paused=True)
            services.announce(study, Event.STUDY_ANALYSED, "one")
            assert sending.send_due() == 0
            services.set_paused(administrator, webhook.pk, paused=False)
            assert sending.send_due() == 1


class TestWhereItMayLead:
    @pytest.mark.parametrize(
        "url",
        [
            "https://elsewhere.example/hook",
            "http://ris.example/hook",
            "https://ris.example:8443/hook",
            "https://ris.example.evil.example/hook",
            "https://user@ris.example/hook",
            "https://elsewhere.example\\@ris.example/hook",
            "https://elsewhere.example#@ris.example/hook",
            "ftp://ris.example/hook",
            "https:///hook",
            "https://ris.example/h ook",
            "https://ris.example/hook\r\nX: y",
            "https://ris.example:port/",
            "javascript:alert(1)",
            "",
        ],
    )
    def test_only_to_hosts_that_are_allowed(self, study: Study, settings: Any, url: str) -> None:
        settings.WEBHOOK_ALLOWED_HOSTS = ["ris.example", "http://pacs.example:8080"]
        with pytest.raises(Invalid):
            services.add_webhook(
                factories.actor(Role.ADMINISTRATOR), site=study.site, url=url, events=Event.values
            )
        assert not Webhook.objects.exists()

    @pytest.mark.parametrize("url", ["https://ris.example/hook?a=b", "http://pacs.example:8080/"])
    def test_those_that_are_allowed(self, study: Study, settings: Any, url: str) -> None:
        settings.WEBHOOK_ALLOWED_HOSTS = ["ris.example", "http://pacs.example:8080"]
        services.add_webhook(
            factories.actor(Role.ADMINISTRATOR), site=study.site, url=url, events=Event.values
        )

    @pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::1", "0.0.0.0", "fe80::1"])
    def test_no_name_leads_to_this_machine(
        self, settings: Any, monkeypatch: pytest.MonkeyPatch, address: str
    ) -> None:
        settings.WEBHOOK_ALLOWED_HOSTS = ["http://ris.example"]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        found = [(family, socket.SOCK_STREAM, 6, "", (address, 80))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: found)
        with pytest.raises(destination.NotAllowed):
            destination.resolve(destination.destination_of("http://ris.example/"))

    def test_the_address_is_looked_up_once(
        self, study: Study, settings: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with receiving() as receiver:
            settings.WEBHOOK_ALLOWED_HOSTS = [receiver.host]
            asked: list[Any] = []
            real = socket.getaddrinfo

            def ask(*args: Any, **kwargs: Any) -> Any:
                asked.append(args[0])
                return real(*args, **kwargs)

            monkeypatch.setattr(socket, "getaddrinfo", ask)
            assert posting.post(receiver.url, b"{}", {}).error == ""
        # `create_connection` passes the address, which is a number by then, through the same function.
        assert asked == ["127.0.0.1", "127.0.0.1"]

    def test_a_host_that_is_allowed_no_more_gets_nothing(self, study: Study, settings: Any) -> None:
        with receiving() as receiver:
            add(receiver, study, settings)
            settings.WEBHOOK_ALLOWED_HOSTS = []
            services.announce(study, Event.STUDY_ANALYSED, "one")
            sending.send_due()
            assert receiver.received == []
        assert "CAD_WEBHOOK_ALLOWED_HOSTS" in DeliveryAttempt.objects.get().error


def test_why_a_message_was_not_taken_is_said_in_the_readers_language(study: Study, settings: Any) -> None:
    unknown = posting.post("https://elsewhere.example/x", b"{}", {}).error
    settings.WEBHOOK_ALLOWED_HOSTS = ["http://127.0.0.1:9", "no-such-host.invalid"]
    refused = posting.post("http://127.0.0.1:9/x", b"{}", {}).error
    nowhere = posting.post("https://no-such-host.invalid/x", b"{}", {}).error
    with receiving(answer(503)) as receiver:
        settings.WEBHOOK_ALLOWED_HOSTS = [receiver.host]
        failed = posting.post(receiver.url, b"{}", {}).error
    with override("zh-hans"):
        said = [error_words(error) for error in (unknown, refused, nowhere, failed, "")]
    assert said[4] == "" and all(re.search("[一-鿿]", words) for words in said[:4])
    assert "connection" not in said[1] and "503" in said[3]
    assert error_words(failed) == failed


def test_only_administrators_manage_them(study: Study) -> None:
    for role in (Role.RADIOLOGIST, Role.INTEGRATOR):
        with pytest.raises(NotPermitted):
            services.add_webhook(factories.actor(role, study.site), site=study.site, url="", events=[])
    with pytest.raises(NotFound):
        services.set_paused(factories.actor(Role.ADMINISTRATOR), study.pk, paused=True)
