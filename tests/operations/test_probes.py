"""`/readyz`: 200 only while every component has lately proven itself."""

from __future__ import annotations

import threading
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from cad_platform.accounts.models import Role
from cad_platform.core import proofs
from cad_platform.core.models import ComponentProbe
from cad_platform.operations import housekeeping, probes, readiness, tasks
from cad_platform.registry.models import ModelVersion
from inference.runtime.store import model_names
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)

ULTRASOUND = "model:ultrasound/2.2.0"
QUEUES = ("queue:short", "queue:slide")
WORKERS = ("worker", "worker:slide", "worker:maintenance")


def prove(*components: str) -> None:
    """As a round of housekeeping leaves them."""
    for component in components:
        proofs.succeeded(component, 1.0)
    ComponentProbe.objects.filter(component__in=components).update(required=True)


def sources(monkeypatch: pytest.MonkeyPatch, required: list[str], standby: list[str] = ()) -> list[str]:
    """Have these proven instead of the registered ones; returns what is asked for, in turn."""
    asked: list[str] = []
    monkeypatch.setattr(probes, "required_checks", lambda: {n: partial(asked.append, n) for n in required})
    monkeypatch.setattr(probes, "standby_checks", lambda: {n: partial(asked.append, n) for n in standby})
    return asked


def readyz(client: Client) -> tuple[int, dict[str, Any]]:
    answer = client.get("/readyz")
    return answer.status_code, answer.json()


@pytest.fixture
def client() -> Client:
    """Of somebody signed in, to whom reasons are told."""
    client = Client()
    client.force_login(factories.user(Role.RADIOLOGIST))
    return client


def test_alive_says_nothing_of_others(client: Client) -> None:
    assert client.get("/livez").status_code == 200


def test_nothing_proven_yet_is_not_ready(client: Client) -> None:
    status, body = readyz(client)
    assert status == 503
    assert body["failed"] == ["models", "broker", *WORKERS]


def test_everything_lately_proven_is_ready(client: Client) -> None:
    prove("broker", *WORKERS, ULTRASOUND)
    status, body = readyz(client)
    assert (status, body["failed"]) == (200, [])
    assert set(body["components"]) == {"database", "broker", *WORKERS, ULTRASOUND}
    assert body["components"]["worker"]["age_s"] < 10


def test_a_proof_older_than_thirty_seconds_counts_as_failed(client: Client) -> None:
    prove("broker", *WORKERS, ULTRASOUND)
    old = timezone.now() - proofs.FRESH_FOR - timedelta(seconds=1)
    ComponentProbe.objects.filter(component="worker").update(succeeded_at=old)
    status, body = readyz(client)
    assert (status, body["failed"]) == (503, ["worker"])
    assert "31 s old" in body["components"]["worker"]["reason"]


def test_a_failure_after_the_proof_counts_and_says_why(client: Client) -> None:
    prove("broker", *WORKERS, ULTRASOUND)
    proofs.failed(ULTRASOUND, "the model server does not answer: ConnectError")
    status, body = readyz(client)
    assert (status, body["failed"]) == (503, [ULTRASOUND])
    assert body["components"][ULTRASOUND]["reason"].endswith("ConnectError")
    prove(ULTRASOUND)
    assert readyz(client)[0] == 200


def test_a_dead_database_is_named_at_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The view makes one direct connection; here it leads to a socket without a server."""
    connect = psycopg.connect
    monkeypatch.setattr(
        readiness.psycopg, "connect", lambda **options: connect(**options | {"host": "/nonexistent"})
    )
    status, body = readyz(client)
    assert (status, body["failed"]) == (503, ["database"])
    assert "does not answer" in body["components"]["database"]["reason"]


def test_what_others_stand_in_for_leaves_the_platform_degraded_and_named(
    broker: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise proofs.ProbeFailed("ultrasound 2.2.0: ReadTimeout", "down")

    sources(monkeypatch, [ULTRASOUND])
    monkeypatch.setattr(probes, "redundant_checks", lambda: {"host:gpu-1": fail, "host:gpu-2": list})
    prove(*WORKERS)
    assert probes.probe_all() == probes.DEGRADED_SECONDS
    status, body = readyz(client)
    assert (status, body["ready"], body["state"]) == (200, True, "degraded")
    assert (body["failed"], body["degraded"]) == ([], ["host:gpu-1"])
    assert body["components"]["host:gpu-1"]["reason"] == "ultrasound 2.2.0: ReadTimeout"
    assert body["components"]["host:gpu-2"]["ok"]
    proofs.failed(ULTRASOUND, "nobody answers")
    status, body = readyz(client)
    assert (status, body["state"], body["failed"]) == (503, "down", [ULTRASOUND])
    assert body["degraded"] == ["host:gpu-1"]
    monkeypatch.setattr(probes, "redundant_checks", dict)
    probes.probe_all()
    assert (readyz(client)[1]["state"], readyz(client)[1]["degraded"]) == ("ready", [])


def test_reasons_are_for_those_who_are_signed_in(client: Client) -> None:
    prove("broker", *WORKERS, ULTRASOUND)
    proofs.failed(ULTRASOUND, "http://10.0.0.7:8080 refuses the token")
    body = readyz(Client())[1]
    assert body["failed"] == [ULTRASOUND]
    assert {component["reason"] for component in body["components"].values()} == {None}
    assert "10.0.0.7" in readyz(client)[1]["components"][ULTRASOUND]["reason"]


def test_a_round_makes_every_default_model_predict(broker: str) -> None:
    call_command("register_models", verbosity=0)
    call_command("choose_defaults", wait=0, verbosity=0)
    probes.probe_all()
    proven = ComponentProbe.objects.filter(required=True, succeeded_at__isnull=False, failed_at__isnull=True)
    defaults = {f"model:{name}/{version}" for name, version in _defaults()}
    assert set(proven.values_list("component", flat=True)) == {"broker", *defaults}
    assert {name for name, _ in _defaults()} == set(model_names(settings.MODEL_STORE))


def _defaults() -> list[tuple[str, str]]:
    return list(ModelVersion.objects.filter(is_default=True).values_list("name", "version"))


def test_what_stands_by_never_makes_the_platform_unready(
    broker: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources(monkeypatch, [ULTRASOUND], ["model:ultrasound/2.3.0"])
    probes.probe_all()
    prove(*WORKERS)
    proofs.failed(
        "model:ultrasound/2.3.0", "not served here: no model server has ultrasound 2.3.0", "not_served"
    )
    status, body = readyz(client)
    assert (status, body["failed"]) == (200, [])
    assert set(body["components"]) == {"database", "broker", "audit months", *WORKERS, ULTRASOUND, *QUEUES}


def test_what_stands_by_is_proven_in_rounds_of_its_own(broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = sources(monkeypatch, ["model:a/1"], ["model:a/2"])
    probes.probe_all()
    assert asked == ["model:a/1"]
    probes.probe_standby()
    assert asked == ["model:a/1", "model:a/2"]
    assert not ComponentProbe.objects.get(component="model:a/2").required


def test_housekeeping_has_both_rounds() -> None:
    assert {"probes", "standby probes"} <= housekeeping.registered_loops().keys()


def test_a_hanging_standby_version_delays_no_round(broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = sources(monkeypatch, ["model:a/1"])
    hanging, let_go = threading.Event(), threading.Event()

    def hang() -> None:
        hanging.set()
        let_go.wait(60)

    monkeypatch.setattr(probes, "standby_checks", lambda: {"model:a/2": hang})
    waiting = threading.Thread(target=probes.probe_standby)
    waiting.start()
    try:
        assert hanging.wait(30)
        assert probes.probe_all() == probes.PROBE_SECONDS
        assert asked == ["model:a/1"]
    finally:
        let_go.set()
        waiting.join(30)


def test_another_default_version_counts_from_the_next_round(
    broker: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    prove(*WORKERS, "model:ultrasound/2.3.0")
    proofs.failed("model:ultrasound/2.3.0", "not served here")
    sources(monkeypatch, ["model:ultrasound/2.2.0"], ["model:ultrasound/2.3.0"])
    assert readyz(client)[0] == 503
    probes.probe_all()
    assert readyz(client)[0] == 200
    sources(monkeypatch, ["model:ultrasound/2.3.0"], ["model:ultrasound/2.2.0"])
    probes.probe_all()
    assert set(readyz(client)[1]["components"]) >= {"model:ultrasound/2.3.0"}


def test_a_failure_keeps_what_kind_it_was_until_the_next_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise proofs.ProbeFailed("not served here: nobody has it", "not_served")

    monkeypatch.setattr(probes, "standby_checks", lambda: {ULTRASOUND: refuse})
    probes.probe_standby()
    assert ComponentProbe.objects.get(component=ULTRASOUND).code == "not_served"
    prove(ULTRASOUND)
    assert ComponentProbe.objects.get(component=ULTRASOUND).code == ""


def test_what_fails_is_asked_again_sooner(broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise proofs.ProbeFailed("away")

    monkeypatch.setattr(probes, "required_checks", dict)
    monkeypatch.setattr(probes, "standby_checks", dict)
    assert probes.probe_all() == probes.PROBE_SECONDS
    monkeypatch.setattr(probes, "required_checks", lambda: {"model:absent": fail})
    assert probes.probe_all() == probes.FAILING_SECONDS < probes.PROBE_SECONDS


def test_a_model_that_is_no_longer_served_is_forgotten(broker: str) -> None:
    proofs.failed("model:retired", "gone")
    probes.probe_all()
    assert not ComponentProbe.objects.filter(component="model:retired").exists()


def test_the_workers_answer_is_its_proof() -> None:
    tasks.answer_probe.apply(kwargs={"sent_at": 0.0, "queue": "short"}).get()
    assert ComponentProbe.objects.get(component="worker").succeeded_at is not None


def test_traffic_is_noted_now_and_then_only() -> None:
    proofs._noted.clear()
    proofs.note_traffic("worker")
    first = ComponentProbe.objects.get(component="worker").succeeded_at
    proofs.note_traffic("worker")
    assert ComponentProbe.objects.get(component="worker").succeeded_at == first
