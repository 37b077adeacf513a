"""The handler in a real TorchServe: the same numbers as in process, and bad bodies that harm no one."""

from __future__ import annotations

import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedded.process import Child
from embedded.state import StateFolder
from embedded.torchserve import TorchServe, current_token
from inference.runtime import presence, wire
from inference.runtime.analyse import probe_tensor
from inference.runtime.archive import build_archives
from inference.runtime.forward import ForwardOutput
from inference.runtime.handler import INPUT, MODEL_MS, TensorHandler
from inference.runtime.onnx_session import OnnxForward
from inference.runtime.store import model_names, read_manifest
from inference.runtime.torch_forward import TOGETHER_ON_GPU
from tests.inference.tiny_network import fields, write_onnx

START_SECONDS = 240
MOST_ROWS_TOGETHER = OnnxForward.bytes_together // fields(1).nbytes


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archives")
    build_archives(folder)
    return folder


@dataclass(frozen=True)
class Server:
    url: str
    token: str

    def post(self, model: str, body: bytes) -> tuple[int, bytes, str]:
        version = read_manifest(model).version
        request = urllib.request.Request(
            f"{self.url}/predictions/{model}/{version}",
            data=body,
            headers={"Content-Type": wire.CONTENT_TYPE, "Authorization": f"Bearer {self.token}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read(), answer.headers["Content-Type"]
        except urllib.error.HTTPError as error:
            return error.code, error.read(), error.headers["Content-Type"]


@pytest.fixture(scope="module")
def server(archives: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    state = StateFolder(tmp_path_factory.mktemp("state"))
    torchserve = TorchServe(state, archives)
    torchserve.prepare()
    child = Child(torchserve.command(), tmp_path_factory.mktemp("log") / "torchserve.log")
    try:
        deadline = time.monotonic() + START_SECONDS
        while not torchserve.ready():
            assert child.running() and time.monotonic() < deadline, child.log_tail()
            torchserve.maintain()
            time.sleep(0.25)
        token = current_token(torchserve.token_file, "inference")
        assert token is not None
        yield Server(torchserve.url, token)
    finally:
        child.stop()


def random_input(model: str, count: int = 1) -> np.ndarray:
    shape = probe_tensor(read_manifest(model)).shape[1:]
    return np.random.default_rng(7).integers(0, 256, (count, *shape), dtype=np.uint8)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("model", model_names())
def test_the_server_answers_as_the_session_in_process(
    server: Server, forwards: Callable[[str], OnnxForward], model: str
) -> None:
    tensor = random_input(model, 2)
    status, body, content_type = server.post(model, wire.encode({INPUT: tensor}))
    assert status == 200 and content_type == wire.CONTENT_TYPE
    tensors, values = wire.decode(body)
    expected = forwards(model)(tensor)
    assert tensors.keys() == expected.outputs.keys() and values[MODEL_MS] > 0
    for name, rows in expected.outputs.items():
        np.testing.assert_allclose(tensors[name], rows, atol=1e-4)


@pytest.mark.timeout(400)
def test_a_bad_body_is_refused_and_the_worker_lives(server: Server) -> None:
    good = wire.encode({INPUT: random_input("histopathology")})
    for bad in (
        b"",
        b"rubbish",
        good[:-1],
        wire.encode({"other": random_input("histopathology")}),
        wire.encode({INPUT: random_input("histopathology").astype(np.float32)}),
        wire.encode({INPUT: random_input("ultrasound")}),
        wire.encode({INPUT: np.zeros((0, 50, 50, 3), np.uint8)}),
        wire.encode({INPUT: np.zeros((), np.uint8)}),
    ):
        status, _, _ = server.post("histopathology", bad)
        assert status == 400
    assert server.post("histopathology", good)[0] == 200


@pytest.mark.timeout(400)
def test_a_lone_request_does_not_wait_for_company(server: Server) -> None:
    body = wire.encode({INPUT: random_input("histopathology")})
    took = []
    for _ in range(8):
        begun = time.perf_counter()
        status, answer, _ = server.post("histopathology", body)
        took.append((time.perf_counter() - begun) * 1000 - wire.decode(answer)[1][MODEL_MS])
        assert status == 200
    assert min(took) < 60


@dataclass
class Context:
    """What TorchServe hands to a handler, as far as ours uses it."""

    system_properties: dict[str, Any]
    refused: dict[int, int] = field(default_factory=dict)

    def set_response_status(self, code: int, phrase: str, idx: int) -> None:
        self.refused[idx] = code

    def set_response_content_type(self, idx: int, value: str) -> None:
        assert value == wire.CONTENT_TYPE


@pytest.fixture
def context(tmp_path: Path) -> Context:
    write_onnx(tmp_path / "model.onnx")
    return Context({"model_dir": str(tmp_path), "gpu_id": None})


@pytest.fixture
def handler(context: Context) -> TensorHandler:
    ready = TensorHandler()
    ready.initialize(context)
    return ready


def test_a_batch_answers_each_request_and_refuses_only_the_bad_ones(
    handler: TensorHandler, context: Context, tmp_path: Path
) -> None:
    tensors = [fields(count, seed) for seed, count in enumerate((1, 3, MOST_ROWS_TOGETHER + 2, 1, 2))]
    bodies = [wire.encode({INPUT: tensor}) for tensor in tensors]
    bad = [
        wire.encode({INPUT: fields(1).astype(np.float32)}),
        wire.encode({INPUT: fields(1)[:0]}),
        wire.encode({INPUT: fields(1)[:, :40]}),
        b"rubbish",
    ]
    requests = [{"body": body} for pair in zip(bodies, bad, strict=False) for body in pair]
    requests.append({"body": bodies[-1]})
    answers = handler.handle(requests, context)
    assert context.refused == {1: 400, 3: 400, 5: 400, 7: 400}
    alone = OnnxForward(tmp_path / "model.onnx")
    for tensor, answer in zip(tensors, answers[::2], strict=True):
        outputs, values = wire.decode(answer)
        assert values[MODEL_MS] > 0
        for name, rows in alone(tensor).outputs.items():
            np.testing.assert_allclose(outputs[name], rows, atol=1e-5)


def test_who_asks_whether_a_worker_is_there_gets_no_forward_pass(
    handler: TensorHandler, context: Context
) -> None:
    told = presence.read(handler.handle([{"body": presence.question()}], context)[0])
    assert (told.pid, told.gpu) == (os.getpid(), None) and 10 < told.memory_mb < 100_000
    # Beside work, in one batch; what holds nothing else is no question.
    there, work, refused = handler.handle(
        [
            {"body": presence.question()},
            {"body": wire.encode({INPUT: fields(1)})},
            {"body": wire.encode({}, {"other": 1})},
        ],
        context,
    )
    assert presence.read(there).pid == os.getpid()
    assert wire.decode(work)[1][MODEL_MS] > 0
    assert refused.startswith(b"a request holds one tensor") and context.refused == {2: 400}


def test_a_worker_on_a_graphics_card_tells_what_is_taken_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The card's own figures are stood in for: none is here."""
    asked: list[int] = []

    def mem_get_info(device: int) -> tuple[int, int]:
        asked.append(device)
        return 60 * 2**30, 80 * 2**30

    monkeypatch.setattr("torch.cuda.mem_get_info", mem_get_info)
    teller = presence.Teller(gpu=1)
    told = presence.read(teller.answer())
    assert (told.gpu, told.device_used_mb, told.device_total_mb) == (1, 20 * 1024, 80 * 1024)
    assert teller.answer() and asked == [1]  # it does not look again so soon


@pytest.mark.timeout(400)
def test_a_real_worker_tells_what_it_weighs(server: Server) -> None:
    status, body, _ = server.post("ultrasound", presence.question())
    told = presence.read(body)
    assert status == 200 and told.pid != os.getpid() and 50 < told.memory_mb < 450


def test_large_requests_run_by_themselves(handler: TensorHandler, context: Context) -> None:
    sizes: list[int] = []
    forward = handler.forward
    assert forward is not None

    class Watched:
        shapes, bytes_together = forward.shapes, forward.bytes_together

        def __call__(self, tensor: np.ndarray, /) -> ForwardOutput:
            sizes.append(len(tensor))
            return forward(tensor)

    handler.forward = Watched()
    counts = (1, 2, MOST_ROWS_TOGETHER, 3, MOST_ROWS_TOGETHER + 5, 1)
    handler.handle([{"body": wire.encode({INPUT: fields(count)})} for count in counts], context)
    assert sizes == [3, MOST_ROWS_TOGETHER, 3, MOST_ROWS_TOGETHER + 5, 1]


def test_what_a_card_has_no_memory_for_at_once_is_halved(handler: TensorHandler, context: Context) -> None:
    """A card with memory for three rows is stood in for."""
    sizes: list[int] = []
    forward = handler.forward
    assert forward is not None

    class Card:
        shapes, bytes_together = forward.shapes, TOGETHER_ON_GPU

        def __call__(self, tensor: np.ndarray, /) -> ForwardOutput:
            sizes.append(len(tensor))
            if len(tensor) > 3:
                raise MemoryError(f"the graphics card has no memory for {len(tensor)} at once")
            return forward(tensor)

    handler.forward = Card()
    tensors = [fields(count, seed) for seed, count in enumerate((1, 2, 1, 4, 3))]
    answers = handler.handle([{"body": wire.encode({INPUT: tensor})} for tensor in tensors], context)
    assert sizes == [11, 3, 8, 1, 7, 4, 3]
    assert context.refused == {3: 507} and answers[3].startswith(b"the graphics card has no memory for 4")
    for index in (0, 1, 2, 4):
        outputs, _ = wire.decode(answers[index])
        for name, rows in forward(tensors[index]).outputs.items():
            np.testing.assert_allclose(outputs[name], rows, atol=1e-5)
