"""Several hosts: what one that hangs, refuses, is empty, drains or has certificates of its own costs a caller. They are
small HTTP servers; `tests/resilience/test_fleet.py` does the same to real ones."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings

from cad_platform.modelserver import pace
from cad_platform.modelserver.hosts import Fleet, Host, Version
from cad_platform.modelserver.pace import Pace
from cad_platform.modelserver.port import Deadline, VersionNotServed
from cad_platform.modelserver.tokens import TokenSource
from cad_platform.modelserver.torchserve import TorchServeModelServer
from embedded.state import free_port
from inference.contract import ModelManifest, ModelServerUnavailable
from inference.runtime.analyse import probe_tensor
from inference.runtime.store import read_manifest
from tests.modelserver.conftest import ScriptedServer, refusal

Serve = Callable[..., ScriptedServer]
HANGS = 600.0


@pytest.fixture(scope="module")
def manifest() -> ModelManifest:
    return read_manifest("ultrasound", settings.MODEL_STORE)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits of a version that answers in milliseconds, so that no test waits for long."""
    monkeypatch.setattr(pace, "HEDGE_FLOOR_SECONDS", 0.2)
    monkeypatch.setattr(pace, "FLOOR_SECONDS", 1.0)


@pytest.fixture
def hung() -> Iterator[str]:
    """The address of a host that takes connections and says nothing, as a stopped process's does."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def fleet(*addresses: str | ScriptedServer, known: bool = True) -> TorchServeModelServer:
    """`known`: the version's pace is that of an ultrasound image."""
    urls = [each if isinstance(each, str) else each.url for each in addresses]
    models = TorchServeModelServer(Fleet([Host(url, url) for url in urls]))
    if known:
        models.fleet.pace(Version("ultrasound", read_manifest("ultrasound").version)).learn(0.03)
    return models


def predict(models: TorchServeModelServer, manifest: ModelManifest, seconds: float = 30) -> float:
    """Make a forward pass; the seconds that it took."""
    begun = time.monotonic()
    models.forward(manifest, probe_tensor(manifest), Deadline(seconds))
    return time.monotonic() - begun


def rests(models: TorchServeModelServer, manifest: ModelManifest, number: int = 0) -> bool:
    return models.fleet.hosts()[number].versions[Version.of(manifest)].is_resting


def wait_until(true: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_hung_host_costs_its_callers_the_patience_of_a_hedge_and_rests_after_one_time_out(
    serve: Serve, manifest: ModelManifest, hung: str
) -> None:
    """Before: 60 s a call, and five calls in a row by each process."""
    models = fleet(hung, serve())
    times = [predict(models, manifest) for _ in range(20)]
    assert max(times) < 5
    wait_until(lambda: rests(models, manifest))
    later = [predict(models, manifest) for _ in range(20)]
    assert max(later) < 1
    assert models.fleet.hosts()[0].versions[Version.of(manifest)].breaker.state != "closed"


def test_a_department_at_a_hung_host_waits_for_nobody(
    serve: Serve, manifest: ModelManifest, hung: str
) -> None:
    models = fleet(hung, serve())
    times: list[float] = []
    threads = [threading.Thread(target=lambda: times.append(predict(models, manifest))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(times) == 12 and max(times) < 5


def test_one_hung_host_alone_is_given_up_after_the_versions_own_time(
    manifest: ModelManifest, hung: str
) -> None:
    models = fleet(hung)
    begun = time.monotonic()
    with pytest.raises(ModelServerUnavailable, match="ReadTimeout"):
        predict(models, manifest, 60)
    assert time.monotonic() - begun < 6  # one time-out of a second, and pauses


def test_a_slow_host_that_answers_others_meanwhile_is_busy_not_hung(
    serve: Serve, manifest: ModelManifest
) -> None:
    models = fleet(serve(HANGS))
    threads = [threading.Thread(target=predict, args=(models, manifest)) for _ in range(2)]
    threads[0].start()
    time.sleep(0.3)
    threads[1].start()
    for thread in threads:
        thread.join(30)
    assert not rests(models, manifest)


def test_a_rival_is_sent_once_and_the_first_answer_counts(serve: Serve, manifest: ModelManifest) -> None:
    late, slow, third = serve(HANGS), serve(0.4), serve(0.4)
    models = fleet(late, slow, third)
    models.fleet.hosts()[1].calls += 1  # busier than the first
    models.fleet.hosts()[2].calls += 1
    assert predict(models, manifest) < 5
    assert len(late.paths) == 1
    assert len(slow.paths) + len(third.paths) == 1


@pytest.mark.parametrize("trouble", ["refuses", "full", "dead", "out of memory", "token"])
def test_one_host_in_trouble_costs_nothing(serve: Serve, manifest: ModelManifest, trouble: str) -> None:
    said = {
        "refuses": refusal(500, "InternalServerException"),
        "full": refusal(503, "ServiceUnavailableException"),
        "out of memory": refusal(507, "OutOfMemory"),
        "token": refusal(400, "InvalidKeyException"),
    }
    bad = f"http://127.0.0.1:{free_port()}" if trouble == "dead" else serve(*[said[trouble]] * 200)
    models = fleet(bad, serve())
    times = [predict(models, manifest) for _ in range(30)]
    # No pause before the next host: thirty back-offs would take longer than that.
    assert sum(times) < 5
    assert rests(models, manifest)
    assert not rests(models, manifest, 1)


def test_a_circuit_is_of_one_version(serve: Serve, manifest: ModelManifest) -> None:
    server = serve(*[refusal(503, "")] * 5)
    models = fleet(server)
    for _ in range(2):
        with pytest.raises(ModelServerUnavailable):
            predict(models, manifest)
    other = manifest.model_copy(update={"version": "9.9.9"})
    assert rests(models, manifest) and not rests(models, other)
    predict(models, other)


def test_an_empty_host_is_well_and_asked_after_those_that_have_it(
    serve: Serve, manifest: ModelManifest
) -> None:
    empty, full = serve(*[refusal(404, "ModelVersionNotFoundException")] * 50), serve()
    models = fleet(empty, full)
    for _ in range(20):
        predict(models, manifest)
    assert len(full.paths) == 20 and len(empty.paths) <= 1
    assert not rests(models, manifest)


def test_a_host_that_lacked_it_is_asked_again_before_one_in_trouble_a_second_time(
    serve: Serve, manifest: ModelManifest
) -> None:
    """It may have been loaded since."""
    loaded_since = serve(refusal(404, "ModelVersionNotFoundException"))
    models = fleet(loaded_since, f"http://127.0.0.1:{free_port()}")
    with pytest.raises(ModelServerUnavailable, match="the hosts that answer do not have"):
        predict(models, manifest)
    predict(models, manifest)
    assert len(loaded_since.paths) == 2


def test_each_host_is_asked_with_its_own_token(serve: Serve, manifest: ModelManifest, tmp_path: Path) -> None:
    """Each TorchServe mints its own: with one source for all, a dead host could not be failed over (0 of 10)."""
    servers = [serve(), serve()]
    hosts = [Host(server.url, server.url, tokens=TokenSource(token=server.url)) for server in servers]
    models = TorchServeModelServer(Fleet(hosts))
    for _ in range(20):
        predict(models, manifest)
    for server in servers:
        assert server.tokens and set(server.tokens) == {f"Bearer {server.url}"}


def test_a_draining_host_gets_no_new_work_and_alone_leaves_the_job_waiting(
    serve: Serve, manifest: ModelManifest
) -> None:
    first, second = serve(), serve()
    models = fleet(first, second)
    models.fleet.hosts()[0].is_draining = True
    for _ in range(5):
        predict(models, manifest)
    assert (len(first.paths), len(second.paths)) == (0, 5)
    models.fleet.hosts()[1].is_draining = True
    with pytest.raises(ModelServerUnavailable, match="drained"):
        predict(models, manifest)


def test_a_known_case_goes_to_every_host_and_brings_one_back_that_rests(
    serve: Serve, manifest: ModelManifest
) -> None:
    first, second = serve(), serve()
    models = fleet(first, second)
    models.fleet.hosts()[0].versions[Version.of(manifest)].breaker.open()
    predict(models, manifest)
    assert len(first.paths) == 0
    models.prove(manifest, Deadline(10))
    wait_until(lambda: len(first.paths) == 1 and not rests(models, manifest))
    wait_until(lambda: len(second.paths) == 2)


def test_a_known_case_needs_one_host_and_waits_for_no_hung_one(
    serve: Serve, manifest: ModelManifest, hung: str
) -> None:
    models = fleet(hung, serve())
    begun = time.monotonic()
    models.prove(manifest, Deadline(10))
    assert time.monotonic() - begun < 1


def test_a_version_that_no_host_has_is_not_served_by_any(serve: Serve, manifest: ModelManifest) -> None:
    models = fleet(*[serve(*[refusal(404, "ModelNotFoundException")] * 5) for _ in range(2)])
    with pytest.raises(VersionNotServed):
        models.prove(manifest, Deadline(10))


class TestPace:
    def test_unknown_is_patient(self) -> None:
        assert Pace().limit(60) == pace.UNKNOWN_SECONDS
        assert Pace().hedge_after() == pace.HEDGE_UNKNOWN_SECONDS

    def test_the_limit_follows_the_versions_own_slowest_and_has_a_floor(self) -> None:
        known = Pace()
        for _ in range(pace.ENOUGH):
            known.took(0.03)
        assert known.limit(60) == pace.FLOOR_SECONDS
        for _ in range(100):
            known.took(2.0)
        assert known.limit(60) == 8.0
        assert known.hedge_after() == 3.0
        assert known.limit(5) == 5

    def test_what_others_measured_counts_until_enough_is_known_here(self) -> None:
        known = Pace()
        known.learn(3.0)
        assert known.limit(60) == 12.0
        for _ in range(pace.ENOUGH):
            known.took(0.03)
        assert known.limit(60) == pace.FLOOR_SECONDS


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A hospital's own authority, which is its only server too: its certificate, and that with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "models.hospital.example")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [
                    x509.DNSName("models.hospital.example"),
                    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
                ]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("authority")
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    (folder / "ca.pem").write_bytes(pem)
    (folder / "server.pem").write_bytes(
        pem
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return folder / "ca.pem", folder / "server.pem"


class TestCertificates:
    @pytest.fixture
    def url(self, serve: Serve, authority: tuple[Path, Path]) -> str:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority[1])
        return serve(tls=context).url

    def test_a_hospitals_own_authority_counts_for_its_hosts(
        self, url: str, manifest: ModelManifest, authority: tuple[Path, Path]
    ) -> None:
        models = TorchServeModelServer(Fleet([Host("own", url, ca_file=str(authority[0]))]))
        predict(models, manifest)

    def test_without_it_nothing_is_sent(self, url: str, manifest: ModelManifest) -> None:
        with pytest.raises(ModelServerUnavailable, match="ConnectError"):
            predict(fleet(url), manifest)

    def test_a_number_behind_a_name_must_show_a_certificate_of_the_name(
        self, url: str, manifest: ModelManifest, authority: tuple[Path, Path]
    ) -> None:
        ca_file = str(authority[0])
        named = Host("named", url, ca_file=ca_file, server_name="models.hospital.example")
        predict(TorchServeModelServer(Fleet([named])), manifest)
        other = Host("other", url, ca_file=ca_file, server_name="elsewhere.example")
        with pytest.raises(ModelServerUnavailable):
            predict(TorchServeModelServer(Fleet([other])), manifest)

    def test_a_bundle_that_is_not_there_is_that_hosts_trouble_alone(
        self, serve: Serve, url: str, manifest: ModelManifest, tmp_path: Path
    ) -> None:
        bad = Host("bad", url, ca_file=str(tmp_path / "none.pem"))
        models = TorchServeModelServer(Fleet([bad, Host("good", serve().url)]))
        for _ in range(5):
            predict(models, manifest)
