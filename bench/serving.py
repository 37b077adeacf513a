"""TorchServe under several clients against the same ONNX session called in a loop in one process.

Both compute with one ONNX Runtime thread: one worker for each model there, one loop here. Rounds of the two
follow one another in turns within one run, so that other work on the machine slows both alike, and the ratio
of each pair is what counts. Every client keeps its connection and sends its next request when it has read
and decoded the last answer. Nothing else is spared: TorchServe's front end, the copying and the clients
share the machine's cores with the worker, as they do in the platform.

Where other work takes the cores, the ratio flatters the side with more processes. The processor's own time a
request, which other work hardly changes, is printed for that case: a worker that takes as long as the loop
leaves nothing to win.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bench.latency import load, one_input
from bench.platform import PlatformMissing
from embedded.process import Child
from embedded.state import StateFolder
from embedded.torchserve import TorchServe, current_token
from inference.runtime import wire
from inference.runtime.archive import build_archives
from inference.runtime.handler import INPUT, MODEL_MS
from inference.runtime.onnx_session import OnnxForward
from inference.runtime.store import DEFAULT_STORE, model_names, read_manifest, verified_weights

#: TorchServe's throughput over that of the loop.
TARGET = 0.85
START_SECONDS = 300
_MOST_CLIENTS = 32


@dataclass(frozen=True)
class Round:
    """Requests a second of one pair; what a client waited for a request (median, milliseconds); the
    processor's milliseconds a request of the loop, the worker and TorchServe's front end."""

    loop: float
    served: float
    wait_ms: float
    loop_cpu_ms: float
    worker_cpu_ms: float
    front_cpu_ms: float

    @property
    def ratio(self) -> float:
        return self.served / self.loop


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("models", nargs="*", help="default: all of the store")
    parser.add_argument("--clients", type=int, default=8, choices=range(1, _MOST_CLIENTS + 1), metavar="N")
    parser.add_argument("--rounds", type=int, default=7, help="pairs of measurements (default 7)")
    parser.add_argument("--seconds", type=float, default=4.0, help="of one measurement, about (default 4)")
    parser.add_argument("--store", type=Path, default=DEFAULT_STORE)
    parser.add_argument("--version", metavar="V", help="default: the newest of each model")
    parser.add_argument("--json", type=Path, help="write every round there as well")


def run(options: argparse.Namespace) -> int:
    """Measure and print; 0 when every model's median ratio reaches the target, else 1."""
    models = options.models or list(model_names(options.store))
    measured: dict[str, list[Round]] = {}
    with running_server(options.store) as server:
        print(
            f"{options.clients} clients, one worker and one thread a model, against one loop of one thread; "
            f"load of the machine {load()}."
        )
        for model in models:
            measured[model] = _rounds(server, model, options)
            print(_line(model, measured[model]), flush=True)
    if options.json:
        content = {
            model: [asdict(one) | {"ratio": one.ratio} for one in rounds]
            for model, rounds in measured.items()
        }
        options.json.write_text(json.dumps(content, indent=1))
    reached = all(_median([one.ratio for one in rounds]) >= TARGET for rounds in measured.values())
    print(f"The median ratio of every model {'reaches' if reached else 'DOES NOT reach'} {TARGET}.")
    return 0 if reached else 1


@dataclass(frozen=True)
class Server:
    """TorchServe's inference port on loopback, its token and its process."""

    port: int
    token: str
    pid: int

    def processor_ms(self) -> tuple[float, float]:
        """What its workers and its front end have used so far."""
        front = sum(os_times(self.pid))
        return sum(sum(os_times(pid)) for pid in _descendants(self.pid)), front

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)

    def post(self, connection: http.client.HTTPConnection, path: str, body: bytes) -> float:
        """One prediction; the model's own milliseconds.

        Raises
        ------
        PlatformMissing
            Any answer but a prediction.
        """
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": wire.CONTENT_TYPE}
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise PlatformMissing(
                f"TorchServe answers {answer.status}: {content[:200].decode(errors='replace')}"
            )
        return wire.decode(content)[1][MODEL_MS]


@contextlib.contextmanager
def running_server(store: Path) -> Iterator[Server]:
    """A TorchServe of its own over the store's models; it ends with the measurement.

    Raises
    ------
    PlatformMissing
        It does not become ready.
    """
    with tempfile.TemporaryDirectory(prefix="cad-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        build_archives(folder / "archives", store)
        state = StateFolder(folder / "state")
        torchserve = TorchServe(state, folder / "archives")
        torchserve.prepare()
        child = Child(torchserve.command(), folder / "torchserve.log")
        try:
            deadline = time.monotonic() + START_SECONDS
            while not torchserve.ready():
                if not child.running() or time.monotonic() > deadline:
                    raise PlatformMissing(f"TorchServe did not become ready:\n{child.log_tail()}")
                torchserve.maintain()
                time.sleep(0.5)
            token = current_token(torchserve.token_file)
            if token is None:
                raise PlatformMissing("TorchServe published no token")
            yield Server(torchserve.inference_port, token, child.pid)
        finally:
            child.stop()


def _rounds(server: Server, model: str, options: argparse.Namespace) -> list[Round]:
    manifest = read_manifest(model, options.store, options.version)
    forward = OnnxForward(verified_weights(manifest, options.store))
    path = f"/predictions/{model}/{manifest.version}"
    tensor = one_input(forward, np.random.default_rng(0))
    body = wire.encode({INPUT: tensor})
    # As many requests as the loop does in the given time, the same number on both sides.
    _loop(forward, tensor, 2)
    requests = max(2 * options.clients, round(options.seconds * _loop(forward, tensor, 5)))
    _serve(server, path, body, options.clients, 2 * options.clients)
    rounds = []
    for number in range(options.rounds):
        if number % 2 == 0:  # each side goes first as often as the other
            begun = time.process_time()
            loop = _loop(forward, tensor, requests)
            loop_cpu = time.process_time() - begun
        workers, front = server.processor_ms()
        served, wait_ms = _serve(server, path, body, options.clients, requests)
        workers_after, front_after = server.processor_ms()
        if number % 2:
            begun = time.process_time()
            loop = _loop(forward, tensor, requests)
            loop_cpu = time.process_time() - begun
        rounds.append(
            Round(
                loop,
                served,
                wait_ms,
                loop_cpu * 1000 / requests,
                (workers_after - workers) / requests,
                (front_after - front) / requests,
            )
        )
    return rounds


def os_times(pid: int) -> tuple[float, float]:
    """User and system milliseconds of one process, its threads included; zeros once it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0, 0.0
    tick = 1000 / os.sysconf("SC_CLK_TCK")
    return int(fields[11]) * tick, int(fields[12]) * tick


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in children.read_text().split():
                found += [int(child), *_descendants(int(child))]
    return found


def _loop(forward: OnnxForward, tensor: np.ndarray, requests: int) -> float:
    begun = time.perf_counter()
    for _ in range(requests):
        forward(tensor)
    return requests / (time.perf_counter() - begun)


def _serve(server: Server, path: str, body: bytes, clients: int, requests: int) -> tuple[float, float]:
    """Requests a second, and a client's median wait in milliseconds."""
    waits: list[float] = []
    failed: list[BaseException] = []
    left = iter(range(requests))
    start = threading.Barrier(clients + 1)

    def client() -> None:
        connection = server.connect()
        try:
            connection.connect()
            start.wait()
            for _ in left:  # `next` of a range is atomic: each request is sent once
                begun = time.perf_counter()
                server.post(connection, path, body)
                waits.append((time.perf_counter() - begun) * 1000)
        except BaseException as error:
            failed.append(error)
            start.abort()  # the others are not to wait for this one
        finally:
            connection.close()

    threads = [threading.Thread(target=client, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    with contextlib.suppress(threading.BrokenBarrierError):
        start.wait()
    begun = time.perf_counter()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - begun
    if failed:
        raise next(error for error in failed if not isinstance(error, threading.BrokenBarrierError))
    return requests / took, _median(waits)


def _line(model: str, rounds: Sequence[Round]) -> str:
    ratios = sorted(one.ratio for one in rounds)
    return (
        f"{model:<16}loop {_median([one.loop for one in rounds]):7.1f}/s   "
        f"TorchServe {_median([one.served for one in rounds]):7.1f}/s   "
        f"ratio {_median(ratios):.2f} (lowest {ratios[0]:.2f}, highest {ratios[-1]:.2f})   "
        f"a client waits {_median([one.wait_ms for one in rounds]):.0f} ms\n"
        f"{'':<16}processor a request: loop {_median([one.loop_cpu_ms for one in rounds]):.1f} ms, "
        f"worker {_median([one.worker_cpu_ms for one in rounds]):.1f} ms, "
        f"front end {_median([one.front_cpu_ms for one in rounds]):.1f} ms"
    )


def _median(values: Sequence[float]) -> float:
    return float(np.median(values))
