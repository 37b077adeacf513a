"""What administrators tell hosts to load and with how many workers, what hosts count, and when one is drained."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from cad_platform.accounts.models import Role
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, Invalid, NotFound, NotPermitted, Unavailable
from cad_platform.modelserver import counters, loading, rounds, services
from cad_platform.modelserver.fleet import host_of
from cad_platform.modelserver.hosts import Version
from cad_platform.modelserver.models import HostedVersion, ModelHost
from cad_platform.modelserver.states import LONGEST_CALL, SETTLING, drained
from embedded.state import free_port
from tests import factories
from tests.modelserver.conftest import Answer, ScriptedServer, refusal

pytestmark = pytest.mark.django_db(transaction=True)

Serve = Callable[..., ScriptedServer]
SYSTEM = Actor.system("test")
VERSION = Version("ultrasound", "2.2.0")
DONE: Answer = (200, b'{"status": "done"}')


def described(ready: int = 1, pending: int = 0, minimum: int = 1) -> Answer:
    worker = {
        "id": "9000",
        "startTime": "2026-11-29T10:00:00.000Z",
        "status": "READY",
        "memoryUsage": 440 * 2**20,
    }
    model = {"modelVersion": "2.2.0", "minWorkers": minimum, "maxWorkers": 4, "workers": [worker] * ready}
    return 200, json.dumps([model | {"jobQueueStatus": {"pendingRequests": pending}}]).encode()


def counted(requests: int) -> Answer:
    return 200, f'ts_inference_requests_total{{model_name="ultrasound",}} {requests}.0\n'.encode()


def host(management: str = "", name: str = "gpu-1", **values: Any) -> ModelHost:
    values = {"url": f"http://{name}:8080", "source": "added"} | values
    return ModelHost.objects.create(name=name, management_url=management, **values)


def holding(row: ModelHost, **values: Any) -> HostedVersion:
    values = {"is_loaded": True, "succeeded_at": timezone.now(), "workers": 2, "min_workers": 2} | values
    return HostedVersion.objects.create(host=row, name=VERSION.name, version=VERSION.version, **values)


#: Service → what it is called with beside actor, host and version; what the host is asked.
TOLD: dict[str, tuple[Callable[..., None], tuple[int, ...], list[str]]] = {
    "host.register": (
        loading.register,
        (2,),
        ["POST /models?url=ultrasound-2.2.0.mar&initial_workers=2&synchronous=false"],
    ),
    "host.scale": (
        loading.scale,
        (1, 3),
        ["PUT /models/ultrasound/2.2.0?min_worker=1&max_worker=3&synchronous=false"],
    ),
    "host.make_default": (loading.make_default, (), ["PUT /models/ultrasound/2.2.0/set-default"]),
    "host.restart": (
        loading.restart_workers,
        (),
        [
            "PUT /models/ultrasound/2.2.0?min_worker=0&max_worker=0&synchronous=true",
            "PUT /models/ultrasound/2.2.0?min_worker=2&max_worker=2&synchronous=false",
        ],
    ),
    "host.unregister": (loading.unregister, (), ["DELETE /models/ultrasound/2.2.0"]),
}


@pytest.mark.parametrize("action", TOLD)
def test_a_host_is_told_and_it_is_recorded(serve: Serve, action: str) -> None:
    service, arguments, asked = TOLD[action]
    server = serve(*[DONE] * 2)
    row = host(server.url)
    holding(row)
    holding(host(name="other"))
    service(factories.actor(Role.ADMINISTRATOR), row, VERSION, *arguments)
    assert server.asked == asked
    event = AuditEvent.objects.get(action=action)
    assert (event.outcome, event.detail["host"], event.detail["version"]) == ("success", "gpu-1", "2.2.0")


@pytest.mark.parametrize("action", TOLD)
def test_only_administrators_tell_hosts_anything(serve: Serve, action: str) -> None:
    service, arguments, _ = TOLD[action]
    server = serve()
    row = host(server.url)
    holding(row)
    for role in Role.values:
        if role != Role.ADMINISTRATOR:
            with pytest.raises(NotPermitted):
                service(factories.actor(role), row, VERSION, *arguments)
    assert server.asked == []


@pytest.mark.parametrize("action", TOLD)
@pytest.mark.parametrize(
    ("answer", "raised"),
    [
        (refusal(409, "ConflictStatusException"), Conflict),
        (refusal(403, "InvalidKeyException"), Conflict),
        (refusal(507, "InsufficientStorageException"), Unavailable),
        (refusal(503, "ServiceUnavailableException"), Unavailable),
        (None, Unavailable),
    ],
)
def test_what_a_host_does_not_do_is_said_and_recorded_as_an_attempt(
    serve: Serve, action: str, answer: Answer | None, raised: type[Exception]
) -> None:
    service, arguments, _ = TOLD[action]
    row = host(serve(*[answer] * 3).url if answer else f"http://127.0.0.1:{free_port()}")
    before = holding(row)
    holding(host(name="other"))
    with pytest.raises(raised, match="gpu-1"):
        service(SYSTEM, row, VERSION, *arguments)
    assert AuditEvent.objects.get(action=action).outcome == "failure"
    after = HostedVersion.objects.get(pk=before.pk)
    assert (after.is_loaded, after.restarted_at) == (True, None)


def test_a_host_without_a_management_address_is_told_nothing() -> None:
    row = host()
    holding(row)
    with pytest.raises(Conflict, match="management address"):
        loading.scale(SYSTEM, row, VERSION, 1, 1)


@pytest.mark.parametrize(("minimum", "maximum"), [(0, 0), (0, 2), (3, 2), (-1, 1), (1, 33)])
def test_numbers_of_workers_that_make_no_sense_are_refused(minimum: int, maximum: int) -> None:
    with pytest.raises(Invalid):
        loading.scale(SYSTEM, host(), VERSION, minimum, maximum)
    assert not AuditEvent.objects.filter(action="host.scale").exists()


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a&url=http://evil", "-a", "a" * 61])
def test_what_is_no_name_of_a_model_is_refused(serve: Serve, name: str) -> None:
    server = serve()
    for version in (Version(name, "1"), Version("a", name)):
        with pytest.raises(Invalid):
            loading.register(SYSTEM, host(server.url, f"h{version}"), version)
    assert server.asked == []


def test_a_version_that_a_host_was_never_asked_for_is_not_found(serve: Serve) -> None:
    with pytest.raises(NotFound):
        loading.scale(SYSTEM, host(serve().url), VERSION, 1, 1)


@pytest.mark.parametrize(
    "elsewhere",
    [
        None,
        {"is_loaded": False},
        {"is_resting": True},
        {"is_right": False},
        {"draining": True},
    ],
)
def test_the_last_host_that_serves_a_version_keeps_it(
    serve: Serve, elsewhere: dict[str, bool] | None
) -> None:
    server = serve(DONE)
    row = host(server.url)
    holding(row)
    if elsewhere is not None:
        draining = timezone.now() if elsewhere.pop("draining", False) else None
        holding(host(name="other", draining_since=draining), **elsewhere)
    with pytest.raises(Conflict, match="No other model server"):
        loading.unregister(SYSTEM, row, VERSION)
    assert server.asked == []


def test_two_that_are_told_at_once_to_forget_a_version_do_not_both(serve: Serve) -> None:
    rows = [host(serve(0.3, DONE).url, name) for name in ("a", "b")]
    for row in rows:
        holding(row)
    together = threading.Barrier(2)

    def forget(row: ModelHost) -> bool:
        together.wait(20)
        try:
            loading.unregister(SYSTEM, row, VERSION)
        except Conflict:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(forget, rows)) == [False, True]
    assert HostedVersion.objects.filter(is_loaded=True).count() == 1


def test_two_restarts_at_once_are_one(serve: Serve) -> None:
    server = serve(*[DONE] * 4)
    row = host(server.url)
    holding(row)
    together = threading.Barrier(2)

    def restart(_: int) -> bool:
        together.wait(20)
        try:
            loading.restart_workers(SYSTEM, row, VERSION)
        except Conflict:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(restart, range(2))) == [False, True]
    assert len(server.asked) == 2  # to none, and to two


class TestRounds:
    def test_workers_as_the_host_says(self, serve: Serve) -> None:
        row = host(serve(described(ready=2, pending=3), described()).url)
        found = holding(row)
        rounds._ask(host_of(row))
        found.refresh_from_db()
        assert (found.ready_workers, found.min_workers, found.max_workers, found.pending) == (2, 1, 4, 3)
        assert found.is_default
        assert found.worker_details[0]["memory_mb"] == 440
        row.refresh_from_db()
        assert row.device == "cpu"

    def test_workers_that_hang_are_started_again_once_and_recorded(self, serve: Serve) -> None:
        server = serve(*[described(), described(), DONE, DONE], *[described()] * 4)
        row = host(server.url)
        found = holding(row, is_resting=True, changed_at=timezone.now() - timedelta(minutes=2))
        for _ in range(2):
            rounds._ask(host_of(row))
        assert [asked for asked in server.asked if asked.startswith("PUT")] == [
            "PUT /models/ultrasound/2.2.0?min_worker=0&max_worker=0&synchronous=true",
            "PUT /models/ultrasound/2.2.0?min_worker=1&max_worker=4&synchronous=false",
        ]
        found.refresh_from_db()
        assert found.restarted_at is not None
        assert AuditEvent.objects.get(action="host.restart").actor_label == "system:fleet"

    @pytest.mark.parametrize(
        ("why", "values"),
        [
            ("it answers", {"is_resting": False}),
            ("for a moment only", {"changed_at": timezone.now() + timedelta(hours=1)}),
            ("it was tried", {"restarted_at": timezone.now() + timedelta(hours=1)}),
        ],
    )
    def test_others_are_left_alone(self, serve: Serve, why: str, values: dict[str, Any]) -> None:
        server = serve(described(), described())
        row = host(server.url)
        long_ago = timezone.now() - timedelta(minutes=2)
        holding(row, **({"is_resting": True, "changed_at": long_ago} | values))
        rounds._ask(host_of(row))
        assert not [asked for asked in server.asked if asked.startswith("PUT")], why

    def test_a_host_whose_workers_are_not_ready_starts_them_itself(self, serve: Serve) -> None:
        server = serve(described(ready=0), described(ready=0))
        row = host(server.url)
        holding(row, is_resting=True, changed_at=timezone.now() - timedelta(minutes=2))
        rounds._ask(host_of(row))
        assert not [asked for asked in server.asked if asked.startswith("PUT")]

    def test_since_when_nothing_has_come_to_a_host(self, serve: Serve) -> None:
        row = host(metrics_url=serve(counted(7), counted(7), counted(8), (500, b"")).url)
        holding(row, pending=0)

        def quiet_since() -> Any:
            rounds._count(host_of(row))
            row.refresh_from_db()
            return row.quiet_since

        first = quiet_since()
        assert first is not None and quiet_since() == first
        assert quiet_since() > first
        assert quiet_since() is None and row.counted_at is None  # it cannot be asked

    def test_what_waits_in_a_queue_is_not_quiet(self, serve: Serve) -> None:
        row = host(metrics_url=serve(counted(7), counted(7)).url)
        holding(row, pending=1)
        rounds._count(host_of(row))
        row.refresh_from_db()
        first = row.quiet_since
        rounds._count(host_of(row))
        row.refresh_from_db()
        assert (row.pending, row.quiet_since > first) == (1, True)


class TestDrained:
    NOW = timezone.now()
    LONG_AGO = NOW - timedelta(hours=1)

    def row(self, **values: Any) -> ModelHost:
        values = {"draining_since": self.LONG_AGO, "counted_at": self.NOW, "pending": 0} | values
        return ModelHost(**values)

    def test_a_host_that_does_not_drain(self) -> None:
        assert drained(self.row(draining_since=None), self.NOW) is None

    @pytest.mark.parametrize(
        ("values", "is_done"),
        [
            ({"quiet_since": LONG_AGO}, True),
            ({"quiet_since": NOW - LONGEST_CALL}, True),
            ({"quiet_since": NOW - LONGEST_CALL / 2}, False),
            ({"quiet_since": LONG_AGO, "pending": 1}, False),
            ({"quiet_since": None}, False),
            # It was quiet before; a process that has not read its row yet may still ask it.
            ({"quiet_since": LONG_AGO, "draining_since": NOW - SETTLING / 2}, False),
        ],
    )
    def test_by_its_counters(self, values: dict[str, Any], is_done: bool) -> None:
        found = drained(self.row(**values), self.NOW)
        assert found is not None and (found.is_done, found.by_counters) == (is_done, True)

    @pytest.mark.parametrize("unread", [{"counted_at": None}, {"counted_at": LONG_AGO}, {"pending": None}])
    def test_by_the_time_where_it_does_not_count(self, unread: dict[str, Any]) -> None:
        found = drained(self.row(quiet_since=self.LONG_AGO, **unread), self.NOW)
        assert found is not None and (found.is_done, found.by_counters) == (True, False)
        found = drained(self.row(draining_since=self.NOW - LONGEST_CALL, **unread), self.NOW)
        assert found is not None and not found.is_done

    def test_the_command_waits_for_it_or_fails(self, capsys: pytest.CaptureFixture[str]) -> None:
        row = host()
        with pytest.raises(CommandError, match="may be in flight"):
            call_command("fleet", "drain", "gpu-1", "--wait", "0")
        ModelHost.objects.filter(pk=row.pk).update(draining_since=timezone.now() - timedelta(hours=1))
        call_command("fleet", "drain", "gpu-1", "--wait", "0")
        assert "nothing of the platform in flight" in capsys.readouterr().out


class TestCounters:
    def test_requests_of_every_version_are_added_up(self) -> None:
        text = (
            "# TYPE ts_inference_requests_total counter\n"
            'ts_inference_requests_total{model_name="a",model_version="1",hostname="h",} 3.0\n'
            'ts_inference_requests_total{model_name="b",model_version="1",hostname="h",} 4.0 1700000000\n'
            'MemoryUsed{Level="Host",Hostname="h",} 1000.5\nMemoryAvailable{Level="Host",Hostname="h",} 3000.0\n'
        )
        assert counters.parsed(text) == counters.Counters(7, 1000, 4000)

    def test_graphics_cards_before_the_machine(self) -> None:
        text = (
            'GPUMemoryUsed{DeviceId="0",} 8000\nGPUMemoryUsed{DeviceId="1",} 0\n'
            'GPUMemoryUtilization{DeviceId="0",} 10.0\nGPUMemoryUtilization{DeviceId="1",} 0.0\nMemoryUsed 5\n'
        )
        assert counters.parsed(text) == counters.Counters(0, 8000, 160000)

    @pytest.mark.parametrize("text", ["", "<html>no</html>", "x NaN\n", "{} 1", "a b c"])
    def test_what_is_no_counter_counts_nothing(self, text: str) -> None:
        assert counters.parsed(text) == counters.Counters(0, None, None)

    def test_of_mlserver_and_triton(self) -> None:
        assert counters.parsed('model_infer_request_success_total{model="a"} 2.0\n').requests_total == 2
        assert counters.parsed('nv_inference_request_success{model="a"} 5\n').requests_total == 5


def test_the_command_tells_hosts(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    server = serve(*[DONE] * 9)
    services.add_host(SYSTEM, "http://other:8080", name="other")
    row = services.add_host(SYSTEM, "http://a:8080", name="a", management_url=server.url)
    holding(row)
    call_command("fleet", "register", "a", "ultrasound", "2.3.0", "--workers", "2")
    call_command("fleet", "scale", "a", "ultrasound", "2.2.0", "--min", "1", "--max", "2")
    call_command("fleet", "default", "a", "ultrasound", "2.2.0")
    call_command("fleet", "restart", "a", "ultrasound", "2.2.0")
    call_command("fleet", "list")
    assert len(server.asked) == 5
    assert "2 workers" in capsys.readouterr().out
    with pytest.raises(CommandError, match="No other"):
        call_command("fleet", "unregister", "a", "ultrasound", "2.2.0")
