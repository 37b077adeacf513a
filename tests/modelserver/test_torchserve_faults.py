"""What the TorchServe adapter makes of hosts that are away, busy, slow or of another opinion."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from django.conf import settings

from cad_platform.modelserver import torchserve
from cad_platform.modelserver.breaker import Circuit, CircuitBreaker
from cad_platform.modelserver.hosts import Fleet, Host, Version
from cad_platform.modelserver.port import Abandoned, Deadline, DeadlineExceeded, VersionNotServed
from cad_platform.modelserver.tokens import TokenSource
from cad_platform.modelserver.torchserve import TorchServeModelServer
from embedded.state import free_port
from inference.contract import AnalysisError, ModelManifest, ModelServerUnavailable
from inference.runtime.analyse import probe_tensor
from inference.runtime.store import read_manifest
from tests.modelserver.conftest import ScriptedServer, refusal

Serve = Callable[..., ScriptedServer]


@pytest.fixture(scope="module")
def manifest() -> ModelManifest:
    return read_manifest("ultrasound", settings.MODEL_STORE)


def host_at(url: str, tokens: TokenSource | None = None) -> Host:
    return Host(url, url, tokens=tokens or TokenSource(token="secret"))


def adapter(*servers: ScriptedServer, **options: float) -> TorchServeModelServer:
    return TorchServeModelServer(Fleet([host_at(server.url) for server in servers]), **options)


def predict(models: TorchServeModelServer, manifest: ModelManifest, deadline: Deadline) -> None:
    models.forward(manifest, probe_tensor(manifest), deadline)


def breaker(models: TorchServeModelServer, manifest: ModelManifest, number: int = 0) -> CircuitBreaker:
    return models.fleet.hosts()[number].versions[Version.of(manifest)].breaker


def give_breaker(
    models: TorchServeModelServer, manifest: ModelManifest, breaker: CircuitBreaker, number: int = 0
) -> CircuitBreaker:
    models.fleet.hosts()[number].versions[Version.of(manifest)].breaker = breaker
    return breaker


def test_a_prediction_names_the_version_and_brings_the_token(serve: Serve, manifest: ModelManifest) -> None:
    server = serve()
    predict(adapter(server), manifest, Deadline(5))
    assert server.paths == [f"/predictions/ultrasound/{manifest.version}"]
    assert server.tokens == ["Bearer secret"]


def test_without_a_token_there_is_no_header(serve: Serve, manifest: ModelManifest) -> None:
    """An empty one is malformed: it never left this process, and the host seemed away."""
    server = serve()
    predict(TorchServeModelServer(Fleet([host_at(server.url, TokenSource())])), manifest, Deadline(5))
    assert server.tokens == [""]


def test_calls_share_one_connection(serve: Serve, manifest: ModelManifest) -> None:
    server = serve()
    models = adapter(server)
    for _ in range(5):
        predict(models, manifest, Deadline(5))
    assert len(server.connections) == 1


@pytest.mark.parametrize("status", [404, 429, 500, 502, 503, 504, 507])
def test_away_is_tried_again(serve: Serve, manifest: ModelManifest, status: int) -> None:
    server = serve(refusal(status, "ServiceUnavailableException"), refusal(status, "InternalServerException"))
    predict(adapter(server), manifest, Deadline(10))
    assert len(server.paths) == 3


def test_what_stays_away_is_unavailable_and_retryable(serve: Serve, manifest: ModelManifest) -> None:
    server = serve(*[refusal(503, "ServiceUnavailableException")] * torchserve.TRIES)
    with pytest.raises(ModelServerUnavailable, match="503") as caught:
        predict(adapter(server), manifest, Deadline(10))
    assert caught.value.retryable
    assert len(server.paths) == torchserve.TRIES


def test_nobody_listening_is_unavailable(manifest: ModelManifest) -> None:
    models = TorchServeModelServer(Fleet([host_at(f"http://127.0.0.1:{free_port()}")]))
    with pytest.raises(ModelServerUnavailable):
        predict(models, manifest, Deadline(10))


def not_loaded(kind: str = "ModelVersionNotFoundException") -> tuple[int, bytes]:
    return refusal(404, kind)


@pytest.mark.parametrize("kind", ["ModelNotFoundException", "ModelVersionNotFoundException"])
def test_a_version_that_no_host_has_is_not_served_here_at_once(
    serve: Serve, manifest: ModelManifest, kind: str
) -> None:
    servers = [serve(not_loaded(kind)) for _ in range(3)]
    wanted = f"no model server has ultrasound {manifest.version}"
    with pytest.raises(VersionNotServed, match=wanted) as caught:
        predict(adapter(*servers), manifest, Deadline(10))
    assert not caught.value.retryable
    assert [len(server.paths) for server in servers] == [1, 1, 1]


def test_a_host_without_the_version_is_asked_once_and_the_others_serve_it(
    serve: Serve, manifest: ModelManifest
) -> None:
    without, busy = serve(*[not_loaded()] * 50), serve(*[refusal(503, "")] * 2)
    predict(adapter(without, busy), manifest, Deadline(10))
    assert len(without.paths) <= 1 and len(busy.paths) == 3


def test_an_absent_version_opens_no_circuit_and_costs_the_host_nothing(
    serve: Serve, manifest: ModelManifest
) -> None:
    """Fifty jobs of a version that was not loaded made 23 attempts of healthy jobs fail."""
    server = serve(*[not_loaded()] * 50)
    models = adapter(server)
    for _ in range(50):
        with pytest.raises(VersionNotServed):
            predict(models, manifest, Deadline(10))
    assert breaker(models, manifest).state is Circuit.CLOSED
    predict(models, manifest, Deadline(10))


def test_a_404_closes_the_circuit_as_every_answer_does(serve: Serve, manifest: ModelManifest) -> None:
    models = adapter(serve(not_loaded()))
    now = 0.0
    give_breaker(models, manifest, CircuitBreaker(failures=1, clock=lambda: now)).failed()
    now = 2.0
    with pytest.raises(VersionNotServed):
        predict(models, manifest, Deadline(10))
    assert breaker(models, manifest).state is Circuit.CLOSED


def test_a_host_that_rests_may_have_what_the_others_have_not(serve: Serve, manifest: ModelManifest) -> None:
    models = adapter(serve(*[not_loaded()] * 20), serve())
    give_breaker(models, manifest, CircuitBreaker(failures=1, clock=lambda: 0.0), 1).failed()
    with pytest.raises(ModelServerUnavailable, match="the hosts that answer do not have"):
        predict(models, manifest, Deadline(10))


def test_a_404_of_a_proxy_before_the_host_is_away(serve: Serve, manifest: ModelManifest) -> None:
    page = (404, b"<html>default backend</html>")
    with pytest.raises(ModelServerUnavailable, match="404"):
        predict(adapter(serve(*[page] * 20)), manifest, Deadline(10))


def test_a_refused_input_is_not_tried_again(serve: Serve, manifest: ModelManifest) -> None:
    server = serve((400, b"the network takes uint8"))
    with pytest.raises(AnalysisError, match="refused the input") as caught:
        predict(adapter(server), manifest, Deadline(5))
    assert not caught.value.retryable
    assert len(server.paths) == 1


@pytest.mark.parametrize("answer", [refusal(400, "InvalidKeyException"), refusal(401, ""), refusal(403, "")])
def test_a_refused_token_is_read_again_and_used_at_once(
    serve: Serve, manifest: ModelManifest, answer: tuple[int, bytes], tmp_path: Path
) -> None:
    key_file = tmp_path / "token.json"
    key_file.write_text('{"inference": {"key": "old", "expiration time": "2099-01-01T00:00:00Z"}}')
    server = serve(answer)
    models = TorchServeModelServer(Fleet([host_at(server.url, TokenSource(str(key_file)))]))
    predict(models, manifest, Deadline(5))
    assert len(server.paths) == 2
    assert breaker(models, manifest).state is Circuit.CLOSED


def test_a_token_refused_for_good_is_no_endless_loop(serve: Serve, manifest: ModelManifest) -> None:
    server = serve(*[refusal(400, "InvalidKeyException")] * 20)
    with pytest.raises(ModelServerUnavailable, match="token"):
        predict(adapter(server), manifest, Deadline(10))
    assert len(server.paths) <= torchserve.TRIES + 1


def test_a_slow_answer_is_given_up(serve: Serve, manifest: ModelManifest) -> None:
    server = serve(*[1.0] * 20)
    begun = time.monotonic()
    with pytest.raises((ModelServerUnavailable, DeadlineExceeded)):
        predict(adapter(server, call_seconds=0.1), manifest, Deadline(0.6))
    assert time.monotonic() - begun < 3


def test_an_answer_that_is_no_tensor_message_is_an_error(serve: Serve, manifest: ModelManifest) -> None:
    with pytest.raises(AnalysisError, match="cannot be read"):
        predict(adapter(serve((200, b"<html>a proxy</html>"))), manifest, Deadline(5))


def test_another_host_answers_for_one_that_is_away(serve: Serve, manifest: ModelManifest) -> None:
    away, healthy = serve(*[refusal(503, "")] * 50), serve()
    models = adapter(away, healthy)
    for _ in range(30):
        predict(models, manifest, Deadline(30))
    assert len(healthy.paths) == 30
    # After five failures in a row its circuit is open; a few trials follow.
    assert breaker(models, manifest).state is not Circuit.CLOSED or len(away.paths) < 5
    assert len(away.paths) < 15


def test_an_open_circuit_fails_at_once_and_a_trial_closes_it(serve: Serve, manifest: ModelManifest) -> None:
    server = serve(*[refusal(503, "")] * 5)
    models = adapter(server)
    now = 0.0  # the circuit's own clock: a slow machine must not close it
    give_breaker(models, manifest, CircuitBreaker(clock=lambda: now))
    for _ in range(2):
        with pytest.raises(ModelServerUnavailable):
            predict(models, manifest, Deadline(10))
    assert breaker(models, manifest).state is Circuit.OPEN
    asked = len(server.paths)
    with pytest.raises(ModelServerUnavailable, match="resting"):
        predict(models, manifest, Deadline(10))
    assert len(server.paths) == asked
    now = 2.0
    predict(models, manifest, Deadline(5))
    assert breaker(models, manifest).state is Circuit.CLOSED


def test_no_more_calls_at_a_time_than_allowed(serve: Serve, manifest: ModelManifest) -> None:
    server = serve(*[0.1] * 8)
    models = adapter(server, concurrency=2)
    threads = [threading.Thread(target=predict, args=(models, manifest, Deadline(20))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.paths) == 8
    assert server.most_at_once <= 2


def test_abandoned_work_stops_before_the_next_call(serve: Serve, manifest: ModelManifest) -> None:
    server = serve()
    deadline = Deadline(10)
    deadline.abandon("the job went on without this attempt")
    with pytest.raises(Abandoned):
        predict(adapter(server), manifest, deadline)
    assert server.paths == []


def test_without_a_host_nothing_answers_and_the_job_may_wait(manifest: ModelManifest) -> None:
    with pytest.raises(ModelServerUnavailable, match="no model server is known"):
        predict(TorchServeModelServer(Fleet()), manifest, Deadline(10))


def test_tensors_travel_unchanged(serve: Serve, manifest: ModelManifest) -> None:
    output = adapter(serve()).forward(manifest, np.zeros((1, 1, 256, 256), np.uint8), Deadline(5))
    assert output.model_ms == 1.5
    assert output.outputs["logits"].shape == (1, 3)
