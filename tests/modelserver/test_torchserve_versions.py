"""A real TorchServe with one version of a model: what the adapter makes of versions that it has, does not have, or is
about to load."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from cad_platform.modelserver import administration, tokens
from cad_platform.modelserver.counters import read_counters
from cad_platform.modelserver.hosts import Fleet, Version
from cad_platform.modelserver.hosts import Host as ModelHost
from cad_platform.modelserver.known_case import KnownCases
from cad_platform.modelserver.port import Deadline, VersionNotServed, WorkerStatus
from cad_platform.modelserver.tokens import TokenSource
from cad_platform.modelserver.torchserve import TorchServeModelServer
from embedded.state import free_port
from embedded.torchserve import current_token
from inference.contract import ModelManifest, ModelServerUnavailable
from inference.runtime import wire
from inference.runtime.analyse import probe_tensor
from inference.runtime.handler import INPUT
from inference.runtime.store import DEFAULT_STORE, read_manifest, version_folder
from tests.torchserve_host import Host, torchserve_host

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def manifest() -> ModelManifest:
    return read_manifest("ultrasound")


@pytest.fixture(scope="module")
def absent(manifest: ModelManifest) -> ModelManifest:
    """Known to the platform, loaded nowhere."""
    return manifest.model_copy(update={"version": "99.0.0"})


@pytest.fixture(scope="module")
def host(manifest: ModelManifest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    store = tmp_path_factory.mktemp("store")
    shutil.copytree(version_folder(manifest), version_folder(manifest, store))
    with torchserve_host(tmp_path_factory.mktemp("host"), store) as host:
        host.wait()
        yield host


def adapter(host: Host, *others: str) -> TorchServeModelServer:
    own = TokenSource(str(host.server.token_file))
    hosts = [ModelHost("own", host.server.url, tokens=own), *(ModelHost(url, url) for url in others)]
    return TorchServeModelServer(Fleet(hosts))


def test_a_version_that_the_only_host_does_not_have_is_not_served_here_at_once(
    host: Host, manifest: ModelManifest, absent: ModelManifest
) -> None:
    models = adapter(host)
    begun = time.monotonic()
    for _ in range(20):
        with pytest.raises(
            VersionNotServed, match=r"not served here: no model server has ultrasound 99\.0\.0"
        ):
            models.prove(absent, Deadline(10))
    assert time.monotonic() - begun < 10  # twenty back-offs would take longer
    assert not models.fleet.hosts()[0].versions[Version.of(absent)].is_resting
    models.prove(manifest, Deadline(10))


def test_a_model_that_the_host_has_in_no_version_is_the_same(host: Host, manifest: ModelManifest) -> None:
    with pytest.raises(VersionNotServed):
        adapter(host).prove(
            manifest.model_copy(update={"name": "axilla", "pipeline": manifest.name}), Deadline(10)
        )


def test_a_host_that_is_away_may_have_what_the_other_has_not(
    host: Host, manifest: ModelManifest, absent: ModelManifest
) -> None:
    models = adapter(host, f"http://127.0.0.1:{free_port()}")
    with pytest.raises(
        ModelServerUnavailable, match=r"the hosts that answer do not have ultrasound 99\.0\.0"
    ):
        models.prove(absent, Deadline(20))
    models.prove(manifest, Deadline(20))


def test_a_hung_neighbour_costs_the_patience_of_a_hedge(host: Host, manifest: ModelManifest) -> None:
    """It takes connections and says nothing, as if it were stopped; `tests/resilience/test_fleet.py` stops one."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        models = adapter(host, f"http://127.0.0.1:{listening.getsockname()[1]}")
        models.fleet.pace(Version.of(manifest)).learn(0.05)
        took = []
        for _ in range(20):
            begun = time.monotonic()
            models.forward(manifest, probe_tensor(manifest), Deadline(60))
            took.append(time.monotonic() - begun)
    assert sorted(took)[-2] < 5, took


def test_its_own_key_file_is_enough_and_its_tokens_are_renewed_before_they_end(
    host: Host, manifest: ModelManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = TokenSource(str(host.server.key_file))
    known = ModelHost("own", host.server.url, management_url=host.server.management_url, tokens=own)
    models = TorchServeModelServer(Fleet([known]))
    before = own.token(), own.token("management")
    administration.renew_tokens(known)
    assert (own.token(), own.token("management")) == before  # an hour is left
    monkeypatch.setattr(tokens, "RENEW_BEFORE", timedelta(hours=2))
    administration.renew_tokens(known)
    assert own.token() != before[0] and own.token("management") != before[1]
    host.server.maintain()  # who has the published file reads the new ones there
    models.forward(manifest, probe_tensor(manifest), Deadline(30))
    adapter(host).forward(manifest, probe_tensor(manifest), Deadline(30))
    assert models.workers(manifest) == WorkerStatus(ready=1, workers=1)


def test_a_real_host_answers_its_known_case_counts_and_does_what_it_is_told(
    host: Host, manifest: ModelManifest
) -> None:
    own = ModelHost(
        "own",
        host.server.url,
        management_url=host.server.management_url,
        metrics_url=host.server.metrics_url,
        tokens=TokenSource(str(host.server.key_file)),
    )
    version = Version.of(manifest)
    models = TorchServeModelServer(Fleet([own]), cases=KnownCases(DEFAULT_STORE))

    def predict() -> None:
        models.forward(manifest, probe_tensor(manifest), Deadline(60))

    def until(ready: int) -> administration.Described:
        deadline = time.monotonic() + 120
        while True:
            found = administration.describe(own, version)
            if found is not None and found.status == WorkerStatus(ready, ready):
                return found
            assert time.monotonic() < deadline, found
            time.sleep(0.25)

    predict()
    assert own.versions[version].is_right
    before = read_counters(own)
    predict()
    after = read_counters(own)
    assert before is not None and after is not None
    assert before.requests_total is not None and after.requests_total == before.requests_total + 1

    administration.scale(own, version, 2, 2)
    found = until(2)
    assert (found.min_workers, found.max_workers, found.pending) == (2, 2, 0)
    assert all(worker.since for worker in found.workers)
    first = {worker.since for worker in found.workers}
    administration.restart_workers(own, version, 1, 1)
    assert not first & {worker.since for worker in until(1).workers}
    predict()

    administration.make_default(own, version)
    assert administration.default_version(own, version.name) == version.version
    for refused in (version, Version("nowhere", "1.0")):
        with pytest.raises(administration.ManagementFailed) as given:
            administration.register(own, refused, 1)
        assert given.value.refused, given.value
    administration.unregister(own, version)
    assert administration.describe(own, version) is None
    with pytest.raises(VersionNotServed):
        predict()
    administration.register(own, version, 1)
    until(1)
    predict()
    assert own.versions[version].is_right


@pytest.mark.long
def test_a_host_that_starts_is_away_and_never_says_that_it_has_not_what_it_loads(
    host: Host, manifest: ModelManifest, absent: ModelManifest
) -> None:
    """Otherwise the restart of a host would end healthy jobs. Asked from the first millisecond on, every 20."""
    body = wire.encode({INPUT: probe_tensor(manifest)})
    said: dict[str, list[int | str]] = {manifest.version: [], absent.version: []}
    ready = threading.Event()

    def ask(version: str) -> None:
        with httpx.Client(trust_env=False, timeout=60) as client:
            while not ready.is_set():
                token = current_token(host.server.token_file) or ""
                try:
                    answer = client.post(
                        f"{host.server.url}/predictions/ultrasound/{version}",
                        content=body,
                        headers={"Authorization": f"Bearer {token}"},
                    )
                    said[version].append(answer.status_code)
                except httpx.ConnectError:
                    said[version].append("refused")
                except httpx.HTTPError as error:
                    said[version].append(type(error).__name__)
                time.sleep(0.02)

    host.stop()
    askers = [threading.Thread(target=ask, args=(version,)) for version in said]
    host.start()
    for asker in askers:
        asker.start()
    try:
        host.wait()
        time.sleep(1)
    finally:
        ready.set()
        for asker in askers:
            asker.join(60)
    assert said[manifest.version][0] == "refused" and said[manifest.version][-1] == 200
    assert 404 not in said[manifest.version]
    assert said[absent.version][0] == "refused" and said[absent.version][-1] == 404
