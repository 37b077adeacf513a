"""Servers of the Open Inference Protocol (KServe v2) in the fleet: a real one, and the ways to fail that it hides."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cad_platform.core.actor import Actor
from cad_platform.core.errors import Invalid
from cad_platform.modelserver import services
from cad_platform.modelserver.fleet import host_of
from cad_platform.modelserver.hosts import Fleet, Host, Version
from cad_platform.modelserver.known_case import KnownCases
from cad_platform.modelserver.port import Deadline, OnlyWrongAnswers, VersionNotServed
from cad_platform.modelserver.tokens import TokenSource
from cad_platform.modelserver.torchserve import TorchServeModelServer
from inference.contract import AnalysisError, ModelManifest, ModelServerUnavailable
from inference.runtime.analyse import probe_tensor
from inference.runtime.onnx_session import OnnxForward
from inference.runtime.store import read_manifest, verified_weights
from tests.modelserver.conftest import Answer, ScriptedServer, refusal
from tests.peers import mlserver

Serve = Callable[..., ScriptedServer]
STORE = Path("model_store").absolute()
VERSION = read_manifest("ultrasound", STORE).version


@pytest.fixture(scope="module")
def manifest() -> ModelManifest:
    return read_manifest("ultrasound", STORE)


@pytest.fixture(scope="module")
def server(manifest: ModelManifest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    weights = verified_weights(manifest, STORE)
    with mlserver(tmp_path_factory.mktemp("peer") / "server", weights, manifest) as url:
        yield url


def adapter(*addresses: str, cases: bool = False, token: str = "") -> TorchServeModelServer:
    hosts = [Host(url, url, tokens=TokenSource(token=token), speaks_open_inference=True) for url in addresses]
    return TorchServeModelServer(Fleet(hosts), cases=KnownCases(STORE) if cases else None)


def predict(models: TorchServeModelServer, manifest: ModelManifest, seconds: float = 20) -> Any:
    return models.forward(manifest, probe_tensor(manifest), Deadline(seconds))


def said(**changed: object) -> Answer:
    output = {"name": "logits", "shape": [1, 3], "datatype": "FP32", "data": [0.0, 1.0, 2.0]} | changed
    return 200, json.dumps(
        {"model_name": "ultrasound", "model_version": VERSION, "outputs": [output]}
    ).encode()


ERROR = f'{{"error": "Model ultrasound with version {VERSION} not found"}}'.encode()


class TestARealOne:
    pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

    def test_it_answers_the_known_case_and_work_as_the_network_does(
        self, server: str, manifest: ModelManifest
    ) -> None:
        models = adapter(server, cases=True)
        answered = predict(models, manifest).outputs
        assert models.fleet.hosts()[0].versions[Version.of(manifest)].is_right
        expected = OnnxForward(verified_weights(manifest, STORE))(probe_tensor(manifest)).outputs
        assert answered.keys() == expected.keys()
        for name, values in expected.items():
            assert answered[name] == pytest.approx(values, abs=1e-4)
        models.prove(manifest, Deadline(20))

    def test_a_version_that_it_does_not_have_is_not_served(
        self, server: str, manifest: ModelManifest
    ) -> None:
        models = adapter(server)
        for absent in ({"version": "9.9.9"}, {"name": "axilla", "pipeline": "ultrasound"}):
            with pytest.raises(VersionNotServed):
                predict(models, manifest.model_copy(update=absent))
        assert not models.fleet.hosts()[0].versions[Version.of(manifest)].is_resting

    def test_an_input_that_the_network_does_not_take_is_the_requests_fault(
        self, server: str, manifest: ModelManifest
    ) -> None:
        tensor = probe_tensor(manifest)[:, :, :50, :51]
        with pytest.raises((AnalysisError, ModelServerUnavailable)):
            adapter(server).forward(manifest, tensor, Deadline(5))

    def test_one_that_answers_wrongly_gets_no_work(self, manifest: ModelManifest, tmp_path: Path) -> None:
        weights = verified_weights(manifest, STORE)
        wrong = mlserver(tmp_path / "server", weights, manifest, ANSWERS_WRONGLY="1")
        with wrong as url, pytest.raises(OnlyWrongAnswers):
            predict(adapter(url, cases=True), manifest)


def test_a_prediction_names_the_version_and_brings_the_token(serve: Serve, manifest: ModelManifest) -> None:
    server = serve(said())
    output = predict(adapter(server.url, token="secret"), manifest)
    assert server.asked == [f"POST /v2/models/ultrasound/versions/{VERSION}/infer"]
    assert server.tokens == ["Bearer secret"]
    assert output.outputs["logits"].tolist() == [[0.0, 1.0, 2.0]]
    assert output.model_ms > 0


@pytest.mark.parametrize("datatype", ["FP64", "FP32", "FP16", "INT64"])
def test_every_type_that_networks_speak(serve: Serve, manifest: ModelManifest, datatype: str) -> None:
    output = predict(adapter(serve(said(datatype=datatype, data=[[0, 1, 2]])).url), manifest)
    assert output.outputs["logits"].tolist() == [[0, 1, 2]]


@pytest.mark.parametrize(
    "answer",
    [
        said(shape=[1, 4]),
        said(shape=[-1, 3]),
        said(shape="13"),
        said(datatype="BYTES"),
        said(data=["a", "b", "c"]),
        said(name=1),
        (200, b"{}"),
        (200, b"[]"),
        (200, b"hello"),
        (200, b'{"outputs": []}'),
        (200, said()[1].replace(VERSION.encode(), b"2.1.0")),
    ],
)
def test_an_answer_that_is_none_of_the_protocols_is_an_error(
    serve: Serve, manifest: ModelManifest, answer: Answer
) -> None:
    with pytest.raises(AnalysisError, match="cannot be read"):
        predict(adapter(serve(answer).url), manifest)


@pytest.mark.parametrize("status", [400, 404])
def test_a_version_that_is_not_there(serve: Serve, manifest: ModelManifest, status: int) -> None:
    server = serve(*[(status, ERROR)] * 2)
    with pytest.raises(VersionNotServed):
        predict(adapter(server.url), manifest)
    assert server.asked[1] == f"GET /v2/models/ultrasound/versions/{VERSION}/ready"


def test_a_refusal_by_a_version_that_is_ready_is_the_requests_fault(
    serve: Serve, manifest: ModelManifest
) -> None:
    server = serve((400, b'{"error": "wrong shape"}'), (200, b""))
    with pytest.raises(AnalysisError, match=r"refused the input \(status 400\)") as given:
        predict(adapter(server.url), manifest)
    assert not given.value.retryable


@pytest.mark.parametrize(
    "answer", [(404, b"<html>nothing here</html>"), (503, b""), (500, ERROR), refusal(429, "")]
)
def test_away_is_followed_by_the_next_host(serve: Serve, manifest: ModelManifest, answer: Answer) -> None:
    away, well = serve(*[answer] * 9), serve(*[said()] * 9)
    models = adapter(away.url, well.url)
    for _ in range(5):
        predict(models, manifest)
    assert len(well.asked) == 5


def test_what_is_too_large_goes_to_the_next_host(serve: Serve, manifest: ModelManifest) -> None:
    small, large = serve(*[(413, b"")] * 9), serve(*[said()] * 9)
    models = adapter(small.url, large.url)
    for _ in range(3):
        predict(models, manifest)
    assert len(large.asked) == 3


@pytest.mark.django_db
def test_an_administrator_says_how_a_host_is_asked() -> None:
    actor = Actor.system("test")
    row = services.add_host(actor, "http://kserve:8080", protocol="open_inference")
    assert host_of(row).speaks_open_inference
    assert not host_of(services.add_host(actor, "http://torchserve:8080")).speaks_open_inference
    with pytest.raises(Invalid):
        services.add_host(actor, "http://a:1", protocol="grpc")
    with pytest.raises(Invalid):
        services.add_host(actor, "http://a:1", protocol="open_inference", management_url="http://a:2")
