"""TorchServe over HTTP: small tensors out, the network's raw outputs back.

One call is tried a few times on whichever host admits it; what stays away longer is the caller's business
(`analysis` gives the job back and claims it again later). 5xx, 429 and time-outs mean the same thing here:
this host cannot answer now. Any other 4xx is about the request and fails the same way everywhere.

Except 404 in TorchServe's own words (`ModelNotFoundException`, `ModelVersionNotFoundException`): a healthy host
that does not have this version. It is not asked again in this call, the others are, and where all say so the
version is not served here, at once. TorchServe 0.12 does not say so of a version that it is about to load: while
it registers its models (1.9 s for three) both its addresses refuse connections; from the first answer on, versions
whose workers are still starting (4 s more) are known to it, and their requests wait in its queue. So a host that
starts is away, never absent. A 404 in other words is a proxy's before it, and counts as away too.
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
from cad_platform.modelserver.port import Deadline, VersionNotServed, WorkerStatus
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

    from inference.runtime.forward import ForwardOutput, Save

logger = logging.getLogger(__name__)

TRIES = 4
#: Full jitter: before try n wait a random share of `min(cap, base · 2ⁿ)` seconds.
BACKOFF_BASE, BACKOFF_CAP = 0.1, 2.0
_UNREACHABLE = frozenset({404, 408, 425, 429, 500, 502, 503, 504, 507})
_NOT_LOADED = frozenset({"ModelNotFoundException", "ModelVersionNotFoundException"})
_TOKEN_REFUSED = frozenset({"InvalidKeyException", "TokenExpiredException"})


@dataclass
class Host:
    """One TorchServe: its inference address and, where it can be reached, its management address."""

    url: str
    management_url: str = ""
    breaker: CircuitBreaker = field(default_factory=CircuitBreaker)
    calls: int = 0


class _TokenRefused(Exception):
    """The host says that the token is not valid."""


class _HostUnreachable(Exception):
    """The host cannot answer now."""


class _NotLoaded(Exception):
    """The host is well and does not have this version."""


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
        from inference.runtime.analyse import analyse
        from inference.runtime.resumable import resumable

        def forward(tensor: NDArray[Any], /) -> ForwardOutput:
            return self._forward(manifest, tensor, deadline)

        with resumable(forward, request, manifest, self._passes) as keeping:
            return analyse(request, manifest, keeping, save)

    def prove(self, manifest: ModelManifest, deadline: Deadline) -> None:
        """See `port.ModelServer`."""
        from inference.runtime.analyse import probe_tensor

        self._forward(manifest, probe_tensor(manifest), deadline)

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
                    headers=self._authorization("management"),
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
        from inference.runtime import wire
        from inference.runtime.forward import ForwardOutput
        from inference.runtime.handler import INPUT, MODEL_MS

        body = wire.encode({INPUT: tensor})
        answer = self._request(manifest, body, deadline)
        try:
            tensors, values = wire.decode(answer)
            return ForwardOutput(tensors, values[MODEL_MS])
        except (wire.WireError, KeyError) as error:
            raise AnalysisError("the model server's answer cannot be read") from error

    def _request(self, manifest: ModelManifest, body: bytes, deadline: Deadline) -> bytes:
        """POST until a host answers, none is left that may have the version, the tries are used up or the deadline
        passes."""
        path = f"/predictions/{manifest.name}/{manifest.version}"
        wanted = f"{manifest.name} {manifest.version}"
        reason = "every host that may have it is resting after failures"
        refused_before = False
        attempt = 0
        tried: Counter[str] = Counter()
        absent: set[str] = set()
        while True:
            host = self._reserve_host(deadline, tried, absent)
            if host is not None:
                tried[host.url] += 1
                try:
                    return self._post(host, path, body, deadline)
                except _NotLoaded:
                    absent.add(host.url)
                    if all(host.url in absent for host in self.hosts):
                        raise VersionNotServed(f"no model server has {wanted}") from None
                    continue
                except _TokenRefused:
                    self._tokens.forget()
                    if not refused_before:
                        refused_before = True
                        continue
                    reason = "the model server refuses the token"
                except _HostUnreachable as error:
                    reason = str(error)
                finally:
                    self._release_host(host)
            attempt += 1
            if attempt >= TRIES:
                others = f"; the hosts that answer do not have {wanted}" if absent else ""
                raise ModelServerUnavailable(f"the model server does not answer: {reason}{others}")
            pause = random.uniform(0, min(BACKOFF_CAP, BACKOFF_BASE * 2**attempt))  # noqa: S311
            time.sleep(min(pause, deadline.remaining()))

    def _post(self, host: Host, path: str, body: bytes, deadline: Deadline) -> bytes:
        try:
            timeout = httpx.Timeout(min(self._call_seconds, deadline.remaining()), connect=3.0)
            answer = self._client.post(
                host.url + path,
                content=body,
                headers={**self._authorization("inference"), "Content-Type": "application/octet-stream"},
                timeout=timeout,
            )
        except httpx.HTTPError as error:
            host.breaker.failed()
            raise _HostUnreachable(type(error).__name__) from error
        except BaseException:
            # A task's time limit is raised wherever it happens to be.
            host.breaker.released()
            raise
        if answer.status_code == 200:
            host.breaker.succeeded()
            return answer.content
        if answer.status_code == 404 and _error_type(answer) in _NOT_LOADED:
            host.breaker.succeeded()
            raise _NotLoaded
        if answer.status_code in _UNREACHABLE:
            host.breaker.failed()
            raise _HostUnreachable(f"status {answer.status_code}")
        host.breaker.succeeded()
        if answer.status_code in {401, 403} or _error_type(answer) in _TOKEN_REFUSED:
            raise _TokenRefused
        logger.warning("model server refused a request: %s, status %d", path, answer.status_code)
        raise AnalysisError(f"the model server refused the input (status {answer.status_code})")

    def _authorization(self, kind: str) -> dict[str, str]:
        """None at all where there is no token: a header without one is malformed."""
        token = self._tokens.token(kind)
        return {"Authorization": f"Bearer {token}"} if token else {}

    def _reserve_host(self, deadline: Deadline, tried: Counter[str], absent: set[str]) -> Host | None:
        """Of the hosts that admit a call and may have the version the one that this call has tried least, then the
        least busy; None when all of them rest."""
        candidates = [host for host in self.hosts if host.url not in absent]
        with self._free:
            while True:
                for host in _by_preference(candidates, tried):
                    if host.calls < self._concurrency and host.breaker.allows_call():
                        host.calls += 1
                        return host
                if not any(host.calls >= self._concurrency for host in candidates):
                    return None
                self._free.wait(min(1.0, deadline.remaining()))

    def _release_host(self, host: Host) -> None:
        with self._free:
            host.calls -= 1
            self._free.notify()


def _by_preference(hosts: Sequence[Host], tried: Counter[str]) -> list[Host]:
    return sorted(hosts, key=lambda host: (tried[host.url], host.calls, random.random()))  # noqa: S311


def _error_type(answer: httpx.Response) -> str:
    try:
        content = answer.json()
    except ValueError:
        return ""
    return str(content.get("type", "")) if isinstance(content, dict) else ""
