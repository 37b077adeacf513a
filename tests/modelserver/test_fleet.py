"""The fleet's rows: who comes and goes, what one process tells the others, and what a host's versions make of it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone

from cad_platform.accounts.models import Role
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, Invalid, NotPermitted
from cad_platform.core.proofs import ProbeFailed
from cad_platform.modelserver import discovery, fleet, rounds, selectors, services
from cad_platform.modelserver.fleet import StoredFleet
from cad_platform.modelserver.hosts import Said, Version
from cad_platform.modelserver.models import HostedVersion, ModelHost
from cad_platform.modelserver.port import Deadline
from cad_platform.modelserver.torchserve import TorchServeModelServer
from inference.contract import ModelManifest
from inference.runtime.analyse import probe_tensor
from inference.runtime.store import read_manifest
from tests import factories
from tests.modelserver.conftest import ScriptedServer, refusal

pytestmark = pytest.mark.django_db(transaction=True)

Serve = Callable[..., ScriptedServer]
SYSTEM = Actor.system("test")
ULTRASOUND = Version("ultrasound", "2.2.0")


@pytest.fixture(autouse=True)
def by_hosts(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.MODEL_SERVER = "torchserve"
    settings.TORCHSERVE_URLS = settings.TORCHSERVE_MANAGEMENT_URLS = settings.TORCHSERVE_KEY_FILES = []
    settings.TORCHSERVE_METRICS_URLS = []
    monkeypatch.setattr(fleet, "REFRESH_SECONDS", 0.0)


@pytest.fixture
def manifest(settings: Any) -> ModelManifest:
    return read_manifest("ultrasound", settings.MODEL_STORE)


def names() -> list[str]:
    return list(ModelHost.objects.values_list("name", flat=True))


def known(host: str, version: Version = ULTRASOUND, **values: object) -> HostedVersion:
    """A row of a version on a host, as traffic leaves it."""
    row = ModelHost.objects.get(name=host)
    values = {"is_loaded": True, "succeeded_at": timezone.now()} | values
    return HostedVersion.objects.create(host=row, name=version.name, version=version.version, **values)


def predict(models: TorchServeModelServer, manifest: ModelManifest) -> None:
    models.forward(manifest, probe_tensor(manifest), Deadline(20))


def wait_until(true: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class TestDiscovery:
    def test_the_hosts_of_the_settings_each_with_its_own_files(self, settings: Any) -> None:
        settings.TORCHSERVE_URLS = ["http://a:8080/", "https://b:8443"]
        settings.TORCHSERVE_MANAGEMENT_URLS = ["http://a:8081"]
        settings.TORCHSERVE_KEY_FILES = ["/keys/a.json", "/keys/b.json"]
        settings.TORCHSERVE_CA_FILE = "/keys/ca.pem"
        discovery.reconcile()
        rows = ModelHost.objects.order_by("url").values_list("url", "management_url", "key_file", "ca_file")
        assert list(rows) == [
            ("http://a:8080", "http://a:8081", "/keys/a.json", "/keys/ca.pem"),
            ("https://b:8443", "", "/keys/b.json", "/keys/ca.pem"),
        ]

    def test_a_list_that_changed_needs_no_restart(self, settings: Any) -> None:
        settings.TORCHSERVE_URLS = ["http://a:8080", "http://b:8080"]
        models = StoredFleet()
        assert [host.name for host in models.hosts()] == ["a:8080", "b:8080"]
        first = models.hosts()[1]
        settings.TORCHSERVE_URLS = ["http://b:8080", "http://c:8080"]
        discovery.reconcile()
        assert [host.name for host in models.hosts()] == ["b:8080", "c:8080"]
        assert models.hosts()[0] is first  # with all that is known of it

    def test_hosts_behind_a_name_come_and_go(self, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        addresses = ["10.0.0.2", "10.0.0.1", "fd00::1"]

        def resolve(name: str, *_: object, **__: object) -> list[tuple[Any, ...]]:
            assert name == "torchserve.cad.svc"
            if not addresses:
                raise socket.gaierror("temporary failure")
            return [(2, 1, 6, "", (address, 0)) for address in addresses]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        settings.TORCHSERVE_URLS = ["dns+https://torchserve.cad.svc:8080"]
        settings.TORCHSERVE_MANAGEMENT_URLS = ["dns+https://torchserve.cad.svc:8081"]
        settings.TORCHSERVE_KEY_FILES = ["/keys/{host}.json"]
        discovery.reconcile()
        assert names() == ["10.0.0.1:8080", "10.0.0.2:8080", "[fd00::1]:8080"]
        row = ModelHost.objects.get(name="10.0.0.1:8080")
        assert row.management_url == "https://10.0.0.1:8081"
        assert (row.key_file, row.server_name) == ("/keys/10.0.0.1.json", "torchserve.cad.svc")
        addresses.remove("10.0.0.2")
        discovery.reconcile()
        assert names() == ["10.0.0.1:8080", "[fd00::1]:8080"]
        addresses.clear()
        discovery.reconcile()  # a name server that is away takes no host away
        assert names() == ["10.0.0.1:8080", "[fd00::1]:8080"]

    def test_processes_that_start_together_make_one_row_a_host(self, settings: Any) -> None:
        settings.TORCHSERVE_URLS = [f"http://h{number}:8080" for number in range(5)]
        together = threading.Barrier(4)

        def start() -> int:
            together.wait(20)
            try:
                return len(StoredFleet().hosts())
            finally:
                connection.close()

        with ThreadPoolExecutor(4) as pool:
            found = [future.result(60) for future in [pool.submit(start) for _ in range(4)]]
        assert found == [5, 5, 5, 5]
        assert ModelHost.objects.count() == 5

    def test_what_an_administrator_added_stays(self, settings: Any) -> None:
        services.add_host(SYSTEM, "http://own:8080", name="own")
        discovery.reconcile()
        assert names() == ["own"]

    def test_what_is_no_address_is_said(self, settings: Any) -> None:
        """As soon as a process starts: a job must not fail for it."""
        for wrong in ("gpu-1:8080", "dns+gpu-1:8080", "http://", "http://gpu-1:port"):
            settings.TORCHSERVE_URLS = [wrong]
            with pytest.raises(ImproperlyConfigured, match="no address"):
                discovery.check_settings()
            with pytest.raises(ImproperlyConfigured, match="no address"):
                discovery.reconcile()


class TestServices:
    def test_adding_draining_and_removing_are_audited(self) -> None:
        host = services.add_host(SYSTEM, "https://gpu-1:8443/", name="gpu-1")
        services.drain(SYSTEM, host)
        services.drain(SYSTEM, host)
        services.resume(SYSTEM, host)
        services.remove_host(SYSTEM, host)
        actions = (
            AuditEvent.objects.filter(object_type="host").order_by("id").values_list("action", flat=True)
        )
        assert list(actions) == ["host.add", "host.drain", "host.resume", "host.remove"]

    def test_they_are_for_administrators(self) -> None:
        reader = factories.actor(Role.RADIOLOGIST)
        with pytest.raises(NotPermitted):
            services.add_host(reader, "http://a:8080")
        host = services.add_host(factories.actor(Role.ADMINISTRATOR), "http://a:8080")
        for service in (services.drain, services.resume, services.remove_host):
            with pytest.raises(NotPermitted):
                service(reader, host)
        with pytest.raises(NotPermitted):
            selectors.fleet_of(reader)

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "gpu-1",
            "ftp://gpu-1",
            "http://",
            "http://user:pw@gpu-1",  # pragma: allowlist secret
            "http://gpu-1:99999",
            "http://a?b",
        ],
    )
    def test_what_is_no_address_is_refused(self, url: str) -> None:
        with pytest.raises(Invalid):
            services.add_host(SYSTEM, url)

    def test_an_address_is_known_once(self) -> None:
        services.add_host(SYSTEM, "http://a:8080")
        with pytest.raises(Conflict):
            services.add_host(SYSTEM, "http://a:8080/", name="another")

    def test_a_host_of_the_settings_is_taken_out_there(self, settings: Any) -> None:
        settings.TORCHSERVE_URLS = ["http://a:8080"]
        discovery.reconcile()
        with pytest.raises(Conflict, match="settings"):
            services.remove_host(SYSTEM, ModelHost.objects.get())

    def test_the_command_does_the_same(self, capsys: pytest.CaptureFixture[str]) -> None:
        call_command("fleet", "add", "http://a:8080", "--name", "gpu-1")
        call_command("fleet", "drain", "gpu-1")
        call_command("fleet", "list")
        said = capsys.readouterr().out
        assert "gpu-1" in said and "draining" in said
        call_command("fleet", "resume", "gpu-1")
        call_command("fleet", "remove", "gpu-1")
        assert names() == []
        with pytest.raises(CommandError, match="gpu-1"):
            call_command("fleet", "drain", "gpu-1")


class TestProcesses:
    """Two fleets in one process are two processes' memories."""

    def test_a_host_that_was_added_gets_work_and_one_that_drains_none(
        self, serve: Serve, manifest: ModelManifest
    ) -> None:
        first, second = serve(), serve()
        services.add_host(SYSTEM, first.url, name="first")
        models = TorchServeModelServer(StoredFleet())
        predict(models, manifest)
        services.add_host(SYSTEM, second.url, name="second")
        services.drain(SYSTEM, ModelHost.objects.get(name="first"))
        for _ in range(3):
            predict(models, manifest)
        assert (len(first.paths), len(second.paths)) == (1, 3)

    def test_what_one_process_learns_of_a_host_the_others_know(
        self, serve: Serve, manifest: ModelManifest
    ) -> None:
        sick, well = serve(*[refusal(500, "InternalServerException")] * 50), serve()
        services.add_host(SYSTEM, sick.url, name="sick")
        services.add_host(SYSTEM, well.url, name="well")
        one, other = (TorchServeModelServer(StoredFleet()) for _ in range(2))
        predict(other, manifest)
        version = Version.of(manifest)
        # The other may have met the sick one once itself.
        while not any(host.versions[version].is_resting for host in one.fleet.hosts()):
            predict(one, manifest)
        wait_until(lambda: HostedVersion.objects.filter(host__name="sick", is_resting=True).exists())
        asked = len(sick.paths)
        for _ in range(10):
            predict(other, manifest)
        assert len(sick.paths) == asked
        # A known case brings it back, for both.
        sick.script.clear()
        one.prove(manifest, Deadline(20))
        wait_until(lambda: not HostedVersion.objects.filter(is_resting=True).exists())
        assert not [host for host in other.fleet.hosts() if host.versions[version].is_resting]

    def test_what_one_process_has_just_seen_is_not_undone_by_what_another_wrote_before(self) -> None:
        services.add_host(SYSTEM, "http://a:8080", name="a")
        one, other = StoredFleet(), StoredFleet()
        (host,) = one.hosts()
        (others,) = other.hosts()
        for said, told in ((Said.ANSWERED, one), (Said.ANSWERED, other)):
            told.note(host if told is one else others, ULTRASOUND, said)
        served = host.versions[ULTRASOUND]
        with ThreadPoolExecutor(3) as threads:
            with transaction.atomic():
                row = HostedVersion.objects.select_for_update().get()
                # Several calls end at once while the row cannot be written; the last of them opens the circuit.
                for said in (Said.ABSENT, Said.ANSWERED, Said.FAILED_FOR_CERTAIN):
                    served.take(said)
                    threads.submit(one.note, host, ULTRASOUND, said)
                wait_until(lambda: one._unwritten[host, ULTRASOUND].writers > 1)
                HostedVersion.objects.filter(pk=row.pk).update(changed_at=timezone.now())
            for _ in range(20):
                assert one.hosts() and served.is_resting
        assert HostedVersion.objects.get().is_resting
        assert one.hosts() and served.is_resting
        assert other.hosts() and others.versions[ULTRASOUND].is_resting

    def test_a_version_that_is_not_loaded_is_no_sickness(self, serve: Serve, manifest: ModelManifest) -> None:
        empty, full = serve(*[refusal(404, "ModelVersionNotFoundException")] * 9), serve()
        services.add_host(SYSTEM, empty.url, name="empty")
        services.add_host(SYSTEM, full.url, name="full")
        models = TorchServeModelServer(StoredFleet())
        models.prove(manifest, Deadline(20))
        wait_until(lambda: HostedVersion.objects.filter(is_loaded__isnull=False).count() == 2)
        rows = HostedVersion.objects.order_by("host__name").values_list("is_loaded", "is_resting", "failures")
        assert list(rows) == [(False, False, 0), (True, False, 0)]

    def test_the_pace_that_one_measured_the_others_start_with(self) -> None:
        services.add_host(SYSTEM, "http://a:8080", name="a")
        known("a", p99_ms=2000.0)
        models = StoredFleet()
        models.hosts()
        assert models.pace(ULTRASOUND).limit(60) == 8.0

    def test_a_host_that_was_taken_out_meanwhile_is_written_nowhere(self) -> None:
        host = services.add_host(SYSTEM, "http://a:8080", name="a")
        models = StoredFleet()
        (known_host,) = models.hosts()
        services.remove_host(SYSTEM, host)
        models.note(known_host, ULTRASOUND, Said.ANSWERED)
        assert models.hosts() == () and not HostedVersion.objects.exists()


class TestStates:
    def state(self, host: str) -> tuple[str, str]:
        found = {each.host.name: each for each in selectors.fleet_of(SYSTEM)}
        return str(found[host].state), found[host].reason

    @pytest.fixture(autouse=True)
    def two(self) -> None:
        for name in ("a", "b"):
            services.add_host(SYSTEM, f"http://{name}:8080", name=name)

    def test_a_host_that_was_never_asked_is_down(self) -> None:
        assert self.state("a") == ("down", "it has not answered yet")

    def test_one_that_answers_is_ready(self) -> None:
        known("a")
        assert self.state("a") == ("ready", "")

    def test_one_of_whose_versions_one_rests_is_degraded_and_all_down(self) -> None:
        known("a")
        other = known("a", Version("mammography", "2.2.0"), is_resting=True, reason="ReadTimeout")
        assert self.state("a") == ("degraded", "mammography 2.2.0: ReadTimeout")
        HostedVersion.objects.exclude(pk=other.pk).update(is_resting=True, reason="status 503")
        assert self.state("a")[0] == "down"

    def test_one_that_lacks_what_another_has_is_degraded(self) -> None:
        known("a", is_loaded=False, succeeded_at=None, changed_at=timezone.now())
        assert self.state("a") == ("ready", "")  # nobody has it: no word about this host
        known("b")
        assert self.state("a") == ("degraded", "it does not have ultrasound 2.2.0")

    def test_one_that_drains_says_so(self) -> None:
        known("a")
        services.drain(SYSTEM, ModelHost.objects.get(name="a"))
        assert self.state("a")[0] == "draining"

    def test_what_nobody_asks_for_any_more_says_nothing(self) -> None:
        long_ago = timezone.now() - timedelta(hours=1)
        known("a", Version("ultrasound", "1.0.0"), is_resting=True, succeeded_at=None, failed_at=long_ago)
        known("a")
        assert self.state("a") == ("ready", "")

    def test_readiness_asks_for_each_host(self) -> None:
        known("a")
        known("b", is_resting=True, reason="ReadTimeout")
        a, b = ModelHost.objects.order_by("name")
        assert rounds.component_of(b.name) == "host:b"
        rounds.check(a.pk)
        with pytest.raises(ProbeFailed, match="ReadTimeout") as caught:
            rounds.check(b.pk)
        assert caught.value.code == "down"
