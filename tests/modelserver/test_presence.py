"""Rounds of probes that cost nothing: a worker says that it is there; its network computes every few minutes, and for
whoever has work."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from cad_platform.api.host_answers import WorkerAnswer
from cad_platform.core import proofs
from cad_platform.modelserver import hosts, rounds
from cad_platform.modelserver.administration import Worker
from cad_platform.modelserver.fleet import StoredFleet, host_of
from cad_platform.modelserver.hosts import Fleet, Host, Served, Version
from cad_platform.modelserver.models import HostedVersion, ModelHost
from cad_platform.modelserver.port import Deadline
from cad_platform.modelserver.torchserve import TorchServeModelServer
from cad_platform.operations import probes
from inference.contract import AnalysisError, ModelManifest
from inference.runtime import wire
from inference.runtime.analyse import probe_tensor
from inference.runtime.presence import Presence
from inference.runtime.store import read_manifest
from tests.modelserver.conftest import PREDICTION, Answer, ScriptedServer, refusal

Serve = Callable[..., ScriptedServer]
COMPUTED = (200, PREDICTION)


def there(pid: int = 7, memory_mb: int = 330, **device: int) -> Answer:
    return 200, wire.encode({}, {"pid": pid, "memory_mb": memory_mb, **device})


@pytest.fixture(scope="module")
def manifest() -> ModelManifest:
    return read_manifest("ultrasound")


def adapter(*servers: ScriptedServer) -> TorchServeModelServer:
    fleet = Fleet([Host(server.url, server.url) for server in servers])
    fleet.pace(Version("ultrasound", read_manifest("ultrasound").version)).learn(0.03)
    return TorchServeModelServer(fleet)


def served(models: TorchServeModelServer, manifest: ModelManifest, number: int = 0) -> Served:
    return models.fleet.hosts()[number].versions[Version.of(manifest)]


def idle(one: Served) -> None:
    """It has not worked in the last seconds."""
    one.computed_at = time.monotonic() - 2 * hosts._AT_WORK_SECONDS


def look(models: TorchServeModelServer, manifest: ModelManifest, seconds: float = 20) -> bool:
    return models.prove(manifest, Deadline(seconds), lightly=True)


def test_a_network_computes_once_and_then_its_worker_is_only_there(
    serve: Serve, manifest: ModelManifest
) -> None:
    server = serve(COMPUTED, there(), there(memory_mb=340))
    models = adapter(server)
    assert look(models, manifest)
    for memory in (330, 340):
        idle(served(models, manifest))
        assert not look(models, manifest)
        assert served(models, manifest).workers == {7: Presence(7, memory)}
    assert len(server.paths) == 3


def test_who_has_just_worked_is_not_asked_at_all(serve: Serve, manifest: ModelManifest) -> None:
    server = serve()
    models = adapter(server)
    models.forward(manifest, probe_tensor(manifest), Deadline(20))
    assert not look(models, manifest)
    assert len(server.paths) == 1


def test_every_few_minutes_it_computes_again(
    serve: Serve, manifest: ModelManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = adapter(serve(COMPUTED, COMPUTED))
    assert look(models, manifest)
    idle(served(models, manifest))
    monkeypatch.setattr(hosts, "COMPARE_SECONDS", hosts._AT_WORK_SECONDS)
    assert look(models, manifest)


def test_a_proof_that_is_asked_for_by_itself_computes_always(serve: Serve, manifest: ModelManifest) -> None:
    models = adapter(serve())
    for _ in range(3):
        assert models.prove(manifest, Deadline(20))


@pytest.mark.parametrize(
    "answer",
    [refusal(400, "BadRequestException"), COMPUTED, (200, b"hello"), (200, wire.encode({}, {"pid": 1}))],
    ids=["a refusal", "a prediction", "no message", "half of it"],
)
def test_a_worker_that_cannot_say_so_is_asked_for_a_forward_pass(
    serve: Serve, manifest: ModelManifest, answer: Answer
) -> None:
    """As one of an earlier release of this platform."""
    server = serve(COMPUTED, answer)
    models = adapter(server)
    look(models, manifest)
    for _ in range(2):
        idle(served(models, manifest))
        assert look(models, manifest)
    assert len(server.paths) == 4  # it is not asked again whether it is there


@pytest.mark.parametrize("status", [500, 503, 507])
def test_a_dead_worker_is_noticed_and_comes_back_by_a_forward_pass_alone(
    serve: Serve, manifest: ModelManifest, status: int
) -> None:
    # How many it takes is chance: an answer that comes as the time of a look is over counts for nothing.
    fails = [refusal(status, "InternalServerException")] * 50
    server = serve(COMPUTED, *fails)
    models = adapter(server)
    look(models, manifest)
    one = served(models, manifest)
    idle(one)
    for _ in range(10):
        if not one.is_resting:
            with pytest.raises(AnalysisError):
                look(models, manifest, 0.5)
    server.script.clear()
    assert one.is_resting and not one.workers and not one.need_only_be_there
    asked = len(server.paths)
    assert look(models, manifest)
    assert not one.is_resting
    assert len(server.paths) == asked + 1  # not whether it is there


def test_a_hung_worker_is_noticed_while_another_host_is_there(
    serve: Serve, manifest: ModelManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cad_platform.modelserver import pace

    monkeypatch.setattr(pace, "FLOOR_SECONDS", 0.5)
    models = adapter(serve(COMPUTED, 600.0), serve(COMPUTED, there()))
    look(models, manifest)
    deadline = time.monotonic() + 20
    while served(models, manifest).computed_at < 0 or served(models, manifest, 1).computed_at < 0:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for number in (0, 1):
        idle(served(models, manifest, number))
    assert not look(models, manifest)
    while not served(models, manifest).is_resting:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not served(models, manifest, 1).is_resting


def test_the_time_of_a_light_round_is_no_figure_of_the_network(serve: Serve, manifest: ModelManifest) -> None:
    models = adapter(serve(COMPUTED, there()))
    look(models, manifest)
    before = models.fleet.pace(Version.of(manifest)).measured_p99
    idle(served(models, manifest))
    look(models, manifest)
    assert models.fleet.pace(Version.of(manifest)).measured_p99 == before


@pytest.mark.django_db(transaction=True)
class TestRows:
    def test_work_of_another_process_is_proof_and_an_idle_round_writes_nothing(
        self, serve: Serve, manifest: ModelManifest
    ) -> None:
        server = serve(COMPUTED, there())
        row = ModelHost.objects.create(name="a", url=server.url, source=ModelHost.Source.ADDED)
        found = HostedVersion.objects.create(
            host=row,
            name=manifest.name,
            version=manifest.version,
            is_loaded=True,
            changed_at=timezone.now(),
            succeeded_at=timezone.now(),
        )
        models = TorchServeModelServer(StoredFleet())
        assert not look(models, manifest)
        assert not server.paths  # another process has just had its answer
        HostedVersion.objects.update(failed_at=timezone.now() + timedelta(seconds=1))
        models = TorchServeModelServer(StoredFleet())
        assert look(models, manifest)  # and a failure since
        deadline = time.monotonic() + 20
        while not HostedVersion.objects.filter(calls=1).exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        HostedVersion.objects.update(failed_at=None, succeeded_at=timezone.now() - timedelta(seconds=60))
        found.refresh_from_db()
        before = found.succeeded_at
        models.fleet._read_at = 0.0  # type: ignore[attr-defined]
        idle(served(models, manifest))
        assert not look(models, manifest)
        time.sleep(0.2)
        found.refresh_from_db()
        assert (found.calls, found.succeeded_at) == (1, before)

    def test_the_memory_that_workers_tell_stands_beside_them_and_their_cards(self) -> None:
        row = ModelHost.objects.create(name="a", url="http://a:8080", source=ModelHost.Source.ADDED)
        host = host_of(row)
        workers = host.versions[Version("ultrasound", "1")].workers
        workers[7] = Presence(7, 330, gpu=0, device_used_mb=2000, device_total_mb=16000)
        workers[8] = Presence(8, 340, gpu=0, device_used_mb=2100, device_total_mb=16000)
        host.versions[Version("mammography", "1")].workers[9] = Presence(9, 500, 1, 1000, 8000)
        rounds._count(host)
        row.refresh_from_db()
        assert (row.memory_used_mb, row.memory_total_mb) == (3100, 24000)
        workers.clear()
        host.versions[Version("mammography", "1")].workers.clear()
        rounds._count(host)
        row.refresh_from_db()
        assert (row.memory_used_mb, row.memory_total_mb) == (None, None)

    @pytest.mark.parametrize(
        ("worker", "shown"),
        [
            (Worker("9000", "READY", "", 0, False, 7), 330),
            (Worker("9000", "READY", "", 440, False, 7), 440),  # its host says
            (Worker("9000", "READY", "", 0, False, 8), 0),  # another process by now
            (Worker("9000", "READY", "", 0, False), 0),
        ],
    )
    def test_a_workers_own_word_where_its_host_says_nothing(self, worker: Worker, shown: int) -> None:
        kept = rounds._kept(worker, Served(workers={7: Presence(7, 330)}))
        assert WorkerAnswer(**kept).memory_mb == shown  # as the API tells it


def test_a_check_that_measured_nothing_leaves_the_earlier_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded: list[float | None] = []
    monkeypatch.setattr(proofs, "succeeded", lambda component, took, **_: recorded.append(took))
    for said in (None, proofs.UNMEASURED):
        _works, record = probes._run(("model:x/1", lambda said=said: said))
        record(required=True)
    assert recorded[0] is not None and recorded[1] is None
