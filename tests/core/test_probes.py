"""`/readyz`: 200 only while every component has lately proven itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from cad_platform.core import probes, tasks
from cad_platform.core.models import ComponentProbe

pytestmark = pytest.mark.django_db(transaction=True)


def prove(*components: str) -> None:
    for component in components:
        probes.succeeded(component, 1.0)


def readyz(client: Client) -> tuple[int, dict[str, Any]]:
    answer = client.get("/readyz")
    return answer.status_code, answer.json()


def test_alive_says_nothing_of_others(client: Client) -> None:
    assert client.get("/livez").status_code == 200


def test_nothing_proven_yet_is_not_ready(client: Client) -> None:
    status, body = readyz(client)
    assert status == 503
    assert body["failed"] == ["models", "broker", "worker"]


def test_everything_lately_proven_is_ready(client: Client) -> None:
    prove("broker", "worker", "model:ultrasound")
    status, body = readyz(client)
    assert (status, body["failed"]) == (200, [])
    assert set(body["components"]) == {"database", "broker", "worker", "model:ultrasound"}
    assert body["components"]["worker"]["age_s"] < 10


def test_a_proof_older_than_thirty_seconds_counts_as_failed(client: Client) -> None:
    prove("broker", "worker", "model:ultrasound")
    old = timezone.now() - probes.FRESH_FOR - timedelta(seconds=1)
    ComponentProbe.objects.filter(component="worker").update(succeeded_at=old)
    status, body = readyz(client)
    assert (status, body["failed"]) == (503, ["worker"])
    assert "31 s old" in body["components"]["worker"]["reason"]


def test_a_failure_after_the_proof_counts_and_says_why(client: Client) -> None:
    prove("broker", "worker", "model:ultrasound")
    probes.failed("model:ultrasound", "the model server does not answer: ConnectError")
    status, body = readyz(client)
    assert (status, body["failed"]) == (503, ["model:ultrasound"])
    assert body["components"]["model:ultrasound"]["reason"].endswith("ConnectError")
    prove("model:ultrasound")
    assert readyz(client)[0] == 200


def test_a_dead_database_is_named_at_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The view makes one direct connection; here it leads to a socket without a server."""
    connect = psycopg.connect
    monkeypatch.setattr(
        probes.psycopg, "connect", lambda **options: connect(**options | {"host": "/nonexistent"})
    )
    status, body = readyz(client)
    assert (status, body["failed"]) == (503, ["database"])
    assert "does not answer" in body["components"]["database"]["reason"]


def test_a_round_makes_every_model_predict(broker: str) -> None:
    call_command("register_models", verbosity=0)
    probes.probe_all()
    names = {f"model:{path.parents[1].name}" for path in settings.MODEL_STORE.glob("*/*/manifest.json")}
    proven = ComponentProbe.objects.filter(succeeded_at__isnull=False, failed_at__isnull=True)
    assert set(proven.values_list("component", flat=True)) == {"broker", *names}


def test_what_fails_is_asked_again_sooner(broker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise probes.ProbeFailed("away")

    monkeypatch.setattr(probes, "_sources", [])
    assert probes.probe_all() == probes.PROBE_SECONDS
    monkeypatch.setattr(probes, "_sources", [lambda: {"model:absent": fail}])
    assert probes.probe_all() == probes.FAILING_SECONDS < probes.PROBE_SECONDS


def test_a_model_that_is_no_longer_served_is_forgotten(broker: str) -> None:
    probes.failed("model:retired", "gone")
    probes.probe_all()
    assert not ComponentProbe.objects.filter(component="model:retired").exists()


def test_the_workers_answer_is_its_proof() -> None:
    tasks.answer_probe.apply(kwargs={"sent_at": 0.0}).get()
    assert ComponentProbe.objects.get(component="worker").succeeded_at is not None


def test_traffic_is_noted_now_and_then_only() -> None:
    probes._noted.clear()
    probes.note_traffic("worker")
    first = ComponentProbe.objects.get(component="worker").succeeded_at
    probes.note_traffic("worker")
    assert ComponentProbe.objects.get(component="worker").succeeded_at == first
