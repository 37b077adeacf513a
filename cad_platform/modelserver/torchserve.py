"""TorchServe over HTTP: small tensors out, the network's raw outputs back.

One call is tried a few times on whichever host admits it; what stays away longer is the caller's business
(`analysis` gives the job back and claims it again later). 5xx, 429, 404 and time-outs mean the same thing
here: this host cannot answer now. Any other 4xx is about the request and fails the same way everywhere.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from cad_platform.modelserver.breaker import CircuitBreaker
from cad_platform.modelserver.port import Deadline, WorkerStatus
from cad_platform.modelserver.tokens import TokenSource
from inference.contract import (
    AnalysisError,
    AnalysisRequest,
    AnalysisResult,
    ModelManifest,
    ModelServerUnavailable,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from inference.serving.forward import ForwardOutput, Save

logger = logging.getLogger(__name__)

TRIES = 4
#: Full jitter: before try n wait a random share of `min(cap, base · 2ⁿ)` seconds.
BACKOFF_BASE, BACKOFF_CAP = 0.1, 2.0
#: 404 is what TorchServe says of a model that it has not loaded yet.
_AWAY = frozenset({404, 408, 425, 429, 500, 502, 503, 504, 507})
_TOKEN_REFUSED = frozenset({"InvalidKeyException", "TokenExpiredException"})


@dataclass
class Host:
    """One TorchServe: its inference address and, where it can be reached, its management address."""

    url: str
    management_url: str = ""
    breaker: CircuitBreaker = field(default_factory=CircuitBreaker)
    calls: int = 0


class _Refused(Exception):
    """The host says that the token is not valid."""


class _Away(Exception):
    """The host cannot answer now."""


class TorchServeModelServer:
    """The adapter over one or several TorchServe hosts.

    Parameters
    ----------
    urls
        Inference addresses.
    tokens
        Where the bearer tokens come from.
    management_urls
        In the order of `urls`; may be shorter.
    concurrency
        Calls at a time from this process to one host; others wait here, not in the server's queue.
    call_seconds
        The longest that one forward pass may take.
    passes
        Folder where the forward passes of a slide are kept until it is analysed, so that the next attempt goes
        on where this one was killed; None keeps none.
    """

    def __init__(
        self,
        urls: Sequence[str],
        tokens: TokenSource,
        *,
        management_urls: Sequence[str] = (),
        concurrency: int = 4,
        call_seconds: float = 60.0,
        passes: Path | None = None,
    ) -> None:
        if not urls:
            raise ValueError("set CAD_TORCHSERVE_URL to the address of at least one TorchServe")
        padded = [*management_urls, *[""] * len(urls)]
        self.hosts = [
            Host(url.rstrip("/"), management.rstrip("/"))
            for url, management in zip(urls, padded, strict=False)
        ]
        self._tokens = tokens
        self._call_seconds = call_seconds
        self._passes = passes
        self._concurrency = concurrency
        self._free = threading.Condition()
        # A proxy in the environment must not see pixels.
        self._client = httpx.Client(
            trust_env=False,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=16, keepalive_expiry=60),
        )

    def analyse(
        self, request: AnalysisRequest, manifest: ModelManifest, save: Save, deadline: Deadline
    ) -> AnalysisResult:
        """See `port.ModelServer`."""
        from inference.serving import pipeline
        from inference.serving.resumable import resumable

        def forward(tensor: NDArray[Any], /) -> ForwardOutput:
            return self._forward(manifest, tensor, deadline)

        with resumable(forward, request, manifest, self._passes) as keeping:
            return pipeline.analyse(request, manifest, keeping, save)

    def prove(self, manifest: ModelManifest, deadline: Deadline) -> None:
        """See `port.ModelServer`."""
        from inference.serving import pipeline

        self._forward(manifest, pipeline.probe_tensor(manifest), deadline)

    def workers(self, manifest: ModelManifest) -> WorkerStatus | None:
        """Over all hosts whose management address answers."""
        ready = workers = 0
        answered = False
        for host in self.hosts:
            if not host.management_url:
                continue
            try:
                answer = self._client.get(
                    f"{host.management_url}/models/{manifest.name}/{manifest.version}",
                    headers={"Authorization": f"Bearer {self._tokens.token('management')}"},
                    timeout=3,
                )
                described = answer.json() if answer.status_code == 200 else []
                states = [worker["status"] for model in described for worker in model["workers"]]
            except (httpx.HTTPError, ValueError, KeyError, TypeError):
                continue
            answered = answered or answer.status_code == 200
            ready += states.count("READY")
            workers += len(states)
        return WorkerStatus(ready, workers) if answered else None

    def _forward(self, manifest: ModelManifest, tensor: NDArray[Any], deadline: Deadline) -> ForwardOutput:
        from inference.serving import wire
        from inference.serving.forward import ForwardOutput
        from inference.serving.handler import INPUT, MODEL_MS

        body = wire.encode({INPUT: tensor})
        answer = self._ask(f"/predictions/{manifest.name}/{manifest.version}", body, deadline)
        try:
            tensors, values = wire.decode(answer)
            return ForwardOutput(tensors, values[MODEL_MS])
        except (wire.WireError, KeyError) as error:
            raise AnalysisError("the model server's answer cannot be read") from error

    def _ask(self, path: str, body: bytes, deadline: Deadline) -> bytes:
        """POST until a host answers, the tries are used up or the deadline passes."""
        reason = "every host is resting after failures"
        refused_before = False
        attempt = 0
        tried: Counter[str] = Counter()
        while True:
            host = self._take(deadline, tried)
            if host is not None:
                tried[host.url] += 1
                try:
                    return self._post(host, path, body, deadline)
                except _Refused:
                    self._tokens.forget()
                    if not refused_before:
                        refused_before = True
                        continue
                    reason = "the model server refuses the token"
                except _Away as error:
                    reason = str(error)
                finally:
                    self._give_back(host)
            attempt += 1
            if attempt >= TRIES:
                raise ModelServerUnavailable(f"the model server does not answer: {reason}")
            pause = random.uniform(0, min(BACKOFF_CAP, BACKOFF_BASE * 2**attempt))  # noqa: S311
            time.sleep(min(pause, deadline.remaining()))

    def _post(self, host: Host, path: str, body: bytes, deadline: Deadline) -> bytes:
        try:
            timeout = httpx.Timeout(min(self._call_seconds, deadline.remaining()), connect=3.0)
            answer = self._client.post(
                host.url + path,
                content=body,
                headers={
                    "Authorization": f"Bearer {self._tokens.token()}",
                    "Content-Type": "application/octet-stream",
                },
                timeout=timeout,
            )
        except httpx.HTTPError as error:
            host.breaker.failed()
            raise _Away(type(error).__name__) from error
        except BaseException:
            # A task's time limit is raised wherever it happens to be.
            host.breaker.released()
            raise
        if answer.status_code == 200:
            host.breaker.succeeded()
            return answer.content
        if answer.status_code in _AWAY:
            host.breaker.failed()
            raise _Away(f"status {answer.status_code}")
        host.breaker.succeeded()
        if answer.status_code in {401, 403} or _error_type(answer) in _TOKEN_REFUSED:
            raise _Refused
        logger.warning("model server refused a request: %s, status %d", path, answer.status_code)
        raise AnalysisError(f"the model server refused the input (status {answer.status_code})")

    def _take(self, deadline: Deadline, tried: Counter[str]) -> Host | None:
        """Of the hosts that admit a call the one that this call has tried least, then the least busy; None
        when all of them rest."""
        with self._free:
            while True:
                for host in self._by_preference(tried):
                    if host.calls < self._concurrency and host.breaker.admits():
                        host.calls += 1
                        return host
                if not any(host.calls >= self._concurrency for host in self.hosts):
                    return None
                self._free.wait(min(1.0, deadline.remaining()))

    def _by_preference(self, tried: Counter[str]) -> list[Host]:
        return sorted(self.hosts, key=lambda host: (tried[host.url], host.calls, random.random()))  # noqa: S311

    def _give_back(self, host: Host) -> None:
        with self._free:
            host.calls -= 1
            self._free.notify()


def _error_type(answer: httpx.Response) -> str:
    try:
        content = answer.json()
    except ValueError:
        return ""
    return str(content.get("type", "")) if isinstance(content, dict) else ""
