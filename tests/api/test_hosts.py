"""`/api/v1/hosts`: the model servers, for administrators with a session and for nobody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from cad_platform.accounts.models import Role, Scope
from cad_platform.audit.models import AuditEvent
from cad_platform.modelserver.models import HostedVersion, ModelHost
from tests import factories
from tests.modelserver.conftest import ScriptedServer, serve  # noqa: F401
from tests.posted_files import token_for

pytestmark = pytest.mark.django_db
BASE = "/api/v1/hosts"
VERSION = "versions/ultrasound/2.2.0"
ADDRESS = {"url": "https://gpu-9:8443", "name": "gpu-9"}

#: name → (method, path below the host, body, status for those who may)
ADDRESSES: dict[str, tuple[str, str, Any, int]] = {
    "list": ("get", "", None, 200),
    "add": ("post", "", ADDRESS, 201),
    "one": ("get", "/{host}", None, 200),
    "remove": ("delete", "/{host}", None, 204),
    "drain": ("post", "/{host}/drain", None, 200),
    "resume": ("post", "/{host}/resume", None, 200),
    "load": ("post", "/{host}/versions", {"model": "ultrasound", "version": "2.3.0"}, 202),
    "unload": ("delete", f"/{{host}}/{VERSION}", None, 200),
    "scale": ("post", f"/{{host}}/{VERSION}/scale", {"minimum": 1, "maximum": 2}, 202),
    "default": ("post", f"/{{host}}/{VERSION}/default", None, 200),
    "restart": ("post", f"/{{host}}/{VERSION}/restart", None, 202),
}


@pytest.fixture
def management(serve: Callable[..., ScriptedServer]) -> ScriptedServer:  # noqa: F811
    return serve(*[(200, b"{}")] * 4)


@pytest.fixture
def host(management: ScriptedServer) -> ModelHost:
    rows = [
        ModelHost.objects.create(
            name=name, url=f"http://{name}:8080", management_url=management.url, source=ModelHost.Source.ADDED
        )
        for name in ("gpu-1", "gpu-2")
    ]
    for row in rows:
        HostedVersion.objects.create(
            host=row,
            name="ultrasound",
            version="2.2.0",
            is_loaded=True,
            succeeded_at=timezone.now(),
            workers=1,
        )
    return rows[0]


def session(role: str = Role.ADMINISTRATOR, **options: Any) -> Client:
    client = Client(**options)
    client.force_login(factories.user(role))
    return client


def ask(client: Client, name: str, host: ModelHost, **changed: Any) -> Any:
    method, path, body, _ = ADDRESSES[name]
    address = BASE + path.format(host=host.pk)
    body = changed.pop("body", body)
    options = {} if body is None else {"data": body}
    return getattr(client, method)(address, content_type="application/json", **options)


@pytest.mark.parametrize("role", Role.values)
@pytest.mark.parametrize("name", ADDRESSES)
def test_for_administrators_only(name: str, role: str, host: ModelHost, management: ScriptedServer) -> None:
    answer = ask(session(role), name, host)
    if role == Role.ADMINISTRATOR:
        assert answer.status_code == ADDRESSES[name][3], answer.content
    else:
        assert (answer.status_code, answer["Content-Type"]) == (403, "application/problem+json")
        assert management.asked == [] and ModelHost.objects.count() == 2
        assert not AuditEvent.objects.filter(action__startswith="host.", outcome="success").exists()


@pytest.mark.parametrize("name", ADDRESSES)
def test_nobody_is_401_and_a_token_403(name: str, host: ModelHost, management: ScriptedServer) -> None:
    assert ask(Client(), name, host).status_code == 401
    token = token_for(factories.user(Role.INTEGRATOR), Scope.STUDIES_READ, Scope.STUDIES_WRITE)
    assert ask(Client(headers={"Authorization": f"Bearer {token}"}), name, host).status_code == 403
    assert management.asked == []


@pytest.mark.parametrize("name", [name for name, entry in ADDRESSES.items() if entry[0] != "get"])
def test_a_session_needs_its_csrf_token_to_write(
    name: str, host: ModelHost, management: ScriptedServer
) -> None:
    assert ask(session(enforce_csrf_checks=True), name, host).status_code == 403
    assert management.asked == []


@pytest.mark.parametrize("name", [name for name, entry in ADDRESSES.items() if "{host}" in entry[1]])
def test_a_host_that_does_not_exist(name: str, host: ModelHost) -> None:
    missing = ask(session(), name, ModelHost(pk=host.pk + 999))
    assert (missing.status_code, missing["Content-Type"]) == (404, "application/problem+json")


def test_what_is_known_of_a_host(host: ModelHost) -> None:
    HostedVersion.objects.filter(host=host).update(
        is_right=False,
        reason="answers its known case wrongly: logits deviates by 0.3, allowed are 0.002",
        worker_details=[{"id": "9000", "status": "READY", "since": "…", "memory_mb": 440, "gpu": False}],
    )
    found = ask(session(), "one", host).json()
    assert (found["state"], found["drained"]) == ("down", None)
    assert "known case wrongly" in found["reason"]
    (version,) = found["versions"]
    assert (version["right"], version["workers"][0]["memory_mb"]) == (False, 440)
    assert "key_file" not in str(found) and "token" not in str(found)


def test_drained_is_told(host: ModelHost) -> None:
    drained = ask(session(), "drain", host).json()["drained"]
    assert (drained["done"], drained["by_counters"]) == (False, False)
    assert ask(session(), "resume", host).json()["drained"] is None


def test_the_same_address_twice_is_409_and_one_host(host: ModelHost) -> None:
    client = session()
    assert ask(client, "add", host).status_code == 201
    assert ask(client, "add", host).status_code == 409
    assert ModelHost.objects.filter(name="gpu-9").count() == 1


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("add", {"url": "gpu-9"}),
        ("add", {"name": "x"}),
        ("add", {"url": "http://u:p@gpu-9"}),
        ("add", {"url": "http://a", "management_url": "file:///etc"}),
        ("add", {"url": "http://a", "token": "secret"}),
        ("load", {"model": "../x", "version": "1"}),
        ("load", {"model": "a", "version": "1&url=http://evil"}),
        ("scale", {"minimum": 0, "maximum": 1}),
        ("scale", {"minimum": 2, "maximum": 1}),
        ("scale", {"minimum": 1, "maximum": 1000}),
        ("scale", {}),
    ],
)
def test_what_makes_no_sense_is_422_and_nothing_is_told(
    name: str, body: Any, host: ModelHost, management: ScriptedServer
) -> None:
    assert ask(session(), name, host, body=body).status_code == 422
    assert management.asked == []
