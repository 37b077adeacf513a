"""The fleet as administrators see it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from cad_platform.accounts.models import Role
from cad_platform.audit.models import AuditEvent
from cad_platform.modelserver.models import HostedVersion, ModelHost
from cad_platform.modelserver.words import host_words
from tests import factories
from tests.modelserver.conftest import ScriptedServer, refusal

pytestmark = pytest.mark.django_db
WRONG = "answers its known case wrongly: logits deviates by 0.3, allowed are 0.002"


@pytest.fixture
def browser() -> Client:
    client = Client()
    client.force_login(factories.user(Role.ADMINISTRATOR))
    return client


@pytest.fixture
def management(serve: Callable[..., ScriptedServer]) -> ScriptedServer:
    return serve(*[(200, b"{}")] * 4)


@pytest.fixture
def host(management: ScriptedServer) -> ModelHost:
    """One with a version, beside another with the same."""
    rows = [
        ModelHost.objects.create(
            name=name,
            url=f"http://{name}:8080",
            management_url=management.url,
            source=ModelHost.Source.ADDED,
            memory_used_mb=2048,
            memory_total_mb=81920,
            device="cuda",
        )
        for name in ("gpu-1", "gpu-2")
    ]
    worker = {
        "id": "9000",
        "status": "READY",
        "since": "2026-11-29T08:00:00.000Z",
        "memory_mb": 440,
        "gpu": True,
    }
    for row in rows:
        HostedVersion.objects.create(
            host=row,
            name="ultrasound",
            version="2.2.0",
            is_loaded=True,
            succeeded_at=timezone.now(),
            workers=1,
            worker_details=[worker],
        )
    return rows[0]


def page(browser: Client, name: str = "fleet", *arguments: int) -> str:
    answer = browser.get(reverse(name, args=arguments))
    assert answer.status_code == 200
    return unescape(re.sub(r"\s+", " ", answer.content.decode()))


def said(answer: Any) -> list[str]:
    return [str(message) for message in get_messages(answer.wsgi_request)]


def version(host: ModelHost) -> HostedVersion:
    return host.versions.get()


def test_the_list_says_how_each_host_is(browser: Client, host: ModelHost) -> None:
    found = page(browser)
    assert "gpu-1" in found and "Ready" in found and "1 of 1" in found
    assert "2.0 of 80.0 GB" in found and "cuda" in found
    HostedVersion.objects.filter(host=host).update(is_right=False, reason=WRONG)
    found = page(browser, "fleet-rows")
    assert "Down" in found and "0 of 1" in found
    assert (
        "ultrasound 2.2.0: it answers its known case wrongly and gets no work: logits deviates by 0.3"
        in found
    )


def test_a_hosts_page_shows_versions_and_workers_and_since_when(browser: Client, host: ModelHost) -> None:
    found = page(browser, "fleet-host", host.pk)
    assert "ultrasound 2.2.0" in found and "Answers" in found
    assert "9000" in found and "440 MB" in found and "2026-11-29 " in found
    HostedVersion.objects.filter(host=host).update(is_right=False, reason=WRONG)
    assert "Wrong answers" in page(browser, "fleet-host", host.pk)


def test_draining_is_told_until_nothing_is_in_flight(browser: Client, host: ModelHost) -> None:
    browser.post(reverse("fleet-drain", args=[host.pk]))
    found = page(browser, "fleet-host", host.pk)
    assert "Draining" in found and "Calls may be in flight" in found and "Give it work again" in found
    long_ago = timezone.now() - timedelta(hours=1)
    ModelHost.objects.filter(pk=host.pk).update(
        draining_since=long_ago, counted_at=timezone.now(), pending=0, quiet_since=long_ago
    )
    assert "Nothing is in flight, as its counters show" in page(browser, "fleet-host", host.pk)
    browser.post(reverse("fleet-resume", args=[host.pk]))
    assert "Draining" not in page(browser, "fleet-host", host.pk)


def test_a_host_is_added_and_removed(browser: Client, host: ModelHost) -> None:
    answer = browser.post(reverse("fleet"), {"url": "gpu-9", "name": "x"})
    assert answer.status_code == 422 and "no address of a model server" in answer.content.decode()
    answer = browser.post(reverse("fleet"), {"url": "http://gpu-9:8080", "name": "gpu-9"})
    added = ModelHost.objects.get(name="gpu-9")
    assert answer["Location"] == reverse("fleet-host", args=[added.pk])
    assert "Known from" in page(browser, "fleet-host", added.pk)
    browser.post(reverse("fleet-remove", args=[added.pk]))
    assert not ModelHost.objects.filter(name="gpu-9").exists()


def test_a_host_of_the_settings_offers_no_removal(browser: Client, host: ModelHost) -> None:
    ModelHost.objects.filter(pk=host.pk).update(source=ModelHost.Source.LISTED)
    assert "Remove…" not in page(browser, "fleet-host", host.pk)


@pytest.mark.parametrize(
    ("name", "fields", "action"),
    [
        ("fleet-scale", {"minimum": "1", "maximum": "2"}, "host.scale"),
        ("fleet-restart", {}, "host.restart"),
        ("fleet-default", {}, "host.make_default"),
        ("fleet-unload", {}, "host.unregister"),
    ],
)
def test_what_a_host_is_told_of_a_version(
    browser: Client,
    host: ModelHost,
    management: ScriptedServer,
    name: str,
    fields: dict[str, str],
    action: str,
) -> None:
    address = reverse(name, args=[host.pk, version(host).pk])
    answer = browser.post(address, fields)
    assert answer["Location"] == reverse("fleet-host", args=[host.pk])
    assert said(answer) == ["The model server was told. What it does is seen here in a few seconds."]
    assert AuditEvent.objects.filter(action=action).count() == 1 and management.asked


def test_a_refusal_stands_above_the_page(
    browser: Client, host: ModelHost, management: ScriptedServer
) -> None:
    management.script[:] = [refusal(400, "BadRequestException")]
    answer = browser.post(
        reverse("fleet-scale", args=[host.pk, version(host).pk]), {"minimum": "1", "maximum": "2"}
    )
    (sentence,) = said(answer)
    assert sentence.startswith("gpu-1 did not do it")
    answer = browser.post(reverse("fleet-scale", args=[host.pk, version(host).pk]), {"minimum": "9"})
    assert said(answer)[-1] == "A version has 1 to 32 workers."


def test_a_version_is_loaded(browser: Client, host: ModelHost, management: ScriptedServer) -> None:
    address = reverse("fleet-load", args=[host.pk])
    assert browser.post(address, {"model": "ultrasound", "workers": "0"}).status_code == 422
    browser.post(address, {"model": "ultrasound", "version": "2.3.0", "workers": "2"})
    assert management.asked == ["POST /models?url=ultrasound-2.3.0.mar&initial_workers=2&synchronous=false"]


def test_a_version_of_another_host_is_not_found(browser: Client, host: ModelHost) -> None:
    other = ModelHost.objects.exclude(pk=host.pk).get()
    assert browser.post(reverse("fleet-restart", args=[host.pk, version(other).pk])).status_code == 404


@pytest.mark.parametrize("role", [role for role in Role.values if role != Role.ADMINISTRATOR])
def test_nobody_else_sees_or_tells(role: str, host: ModelHost, management: ScriptedServer) -> None:
    client = Client()
    client.force_login(factories.user(role))
    of_host = ("fleet-drain", "fleet-resume", "fleet-remove", "fleet-load")
    of_version = ("fleet-scale", "fleet-default", "fleet-restart", "fleet-unload")
    for name in ("fleet", "fleet-rows"):
        assert client.get(reverse(name)).status_code == 403
    assert client.get(reverse("fleet-host", args=[host.pk])).status_code == 403
    assert client.post(reverse("fleet"), {"url": "http://gpu-9"}).status_code == 403
    fields = {"minimum": "1", "maximum": "1", "model": "a", "version": "1", "workers": "1"}
    for name in of_host:
        assert client.post(reverse(name, args=[host.pk]), fields).status_code == 403, name
    for name in of_version:
        address = reverse(name, args=[host.pk, version(host).pk])
        assert client.post(address, fields).status_code == 403, name
    assert management.asked == [] and ModelHost.objects.filter(draining_since=None).count() == 2


@pytest.mark.parametrize(
    "reason",
    [
        "it has not answered yet",
        "it does not have ultrasound 2.2.0, mammography 2.2.0",
        "ultrasound 2.2.0: ReadTimeout; mammography 2.2.0: status 503",
        f"ultrasound 2.2.0: {WRONG}",
        "ultrasound 2.2.0: answers its known case wrongly: the model server's answer cannot be read",
        "the model server refuses the token",
    ],
)
def test_reasons_are_said_in_chinese(reason: str) -> None:
    with translation.override("zh-hans"):
        words = host_words(reason)
    assert re.search("[一-鿿]", words) and words != reason
    assert "ReadTimeout" not in words
