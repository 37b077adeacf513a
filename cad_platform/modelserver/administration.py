"""A TorchServe's management address: which versions it has and with which workers, what it is told to change, and
tokens that are renewed in time.

What is changed is begun and not waited for: a worker that loads takes seconds to minutes, and the next round of
housekeeping shows how far it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx

from cad_platform.modelserver.hosts import Host, Version
from cad_platform.modelserver.port import WorkerStatus

_SECONDS = 3.0
#: Of what is changed: stopping workers is waited for.
_CHANGE_SECONDS = 15.0
_TOKEN_KINDS = ("inference", "management")


class ManagementFailed(Exception):
    """The host did not do what it was told; the sentence says why. `refused`: asking again is of no use."""

    def __init__(self, reason: str, *, refused: bool) -> None:
        super().__init__(reason)
        self.refused = refused


@dataclass(frozen=True)
class Worker:
    """One worker process of a version, as the host says. `since`: when it was started, in the host's own words.
    `memory_mb`: 0 where it does not say. `pid`: on the host, where it says."""

    id: str
    status: str
    since: str
    memory_mb: int
    gpu: bool
    pid: int | None = None


@dataclass(frozen=True)
class Described:
    """What a host says of one version.

    Attributes
    ----------
    device
        `cuda` where a worker of it computes on a graphics card, else `cpu`.
    pending
        Requests that wait for a worker; None where the host does not say.
    """

    status: WorkerStatus
    device: str
    min_workers: int | None = None
    max_workers: int | None = None
    pending: int | None = None
    workers: tuple[Worker, ...] = field(default=())


def workers(host: Host, version: Version) -> WorkerStatus | None:
    """The version's workers; None where the host cannot be asked, or does not have it."""
    found = describe(host, version)
    return None if found is None else found.status


def describe(host: Host, version: Version) -> Described | None:
    """What the host says of a version; None where it cannot be asked, or does not have it."""
    if not host.management_url:
        return None
    try:
        answer = _send(host, "GET", _path(version))
        return _described(answer.json()) if answer.status_code == 200 else None
    except (httpx.HTTPError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def default_version(host: Host, name: str) -> str | None:
    """Which version the host asks where none is named; None where it cannot be asked, or has none of this model."""
    if not host.management_url:
        return None
    try:
        answer = _send(host, "GET", f"/models/{name}")
        return str(answer.json()[0]["modelVersion"]) if answer.status_code == 200 else None
    except (httpx.HTTPError, OSError, ValueError, KeyError, TypeError, IndexError):
        return None


def register(host: Host, version: Version, count: int) -> None:
    """Have the host load a version from the archive of its own model store, with so many workers.

    Raises
    ------
    ManagementFailed
    """
    asked = {"url": f"{version.name}-{version.version}.mar", "initial_workers": count, "synchronous": "false"}
    _change(host, "POST", "/models", asked)


def scale(host: Host, version: Version, minimum: int, maximum: int) -> None:
    """Have a version's workers started or stopped until there are so many. Raises `ManagementFailed`."""
    asked = {"min_worker": minimum, "max_worker": maximum, "synchronous": "false"}
    _change(host, "PUT", _path(version), asked)


def make_default(host: Host, version: Version) -> None:
    """The version that is asked where none is named; the platform always names one. Raises `ManagementFailed`."""
    _change(host, "PUT", f"{_path(version)}/set-default", {})


def unregister(host: Host, version: Version) -> None:
    """Have the host forget a version. Raises `ManagementFailed`."""
    _change(host, "DELETE", _path(version), {})


def restart_workers(host: Host, version: Version, minimum: int, maximum: int) -> None:
    """Stop a version's workers, whatever they are at, and start as many anew.

    Raises
    ------
    ManagementFailed
        It may have stopped them by then: `scale` starts them.
    """
    _change(host, "PUT", _path(version), {"min_worker": 0, "max_worker": 0, "synchronous": "true"})
    scale(host, version, minimum, maximum)


def renew_tokens(host: Host) -> None:
    """Have the host mint new tokens for those of its key file that end soon. Nothing happens for a token file that
    somebody else renews; the host writes its own."""
    minting = host.tokens.minting_key()
    if not minting or not host.management_url:
        return
    for kind in _TOKEN_KINDS:
        if host.tokens.ends_soon(kind):
            try:
                _send(host, "GET", f"/token?type={kind}", token=minting)
            except (httpx.HTTPError, OSError):
                return  # in the next round
            host.tokens.forget()


def _path(version: Version) -> str:
    return f"/models/{version.name}/{version.version}"


def _described(models: Iterable[dict[str, Any]]) -> Described:
    found: list[Worker] = []
    minimum = maximum = pending = None
    for model in models:
        minimum, maximum = model.get("minWorkers"), model.get("maxWorkers")
        pending = model.get("jobQueueStatus", {}).get("pendingRequests")
        for worker in model["workers"]:
            found.append(
                Worker(
                    id=str(worker.get("id", "")),
                    status=worker["status"],
                    since=str(worker.get("startTime", "")),
                    memory_mb=round(int(worker.get("memoryUsage") or 0) / 2**20),
                    gpu=bool(worker.get("gpu")),
                    pid=worker.get("pid"),
                )
            )
    ready = sum(worker.status == "READY" for worker in found)
    device = "cuda" if any(worker.gpu for worker in found) else "cpu"
    return Described(WorkerStatus(ready, len(found)), device, minimum, maximum, pending, tuple(found))


def _change(host: Host, method: str, path: str, asked: dict[str, object]) -> None:
    if not host.management_url:
        raise ManagementFailed("its management address is not known", refused=True)
    target = f"{path}?{urlencode(asked)}" if asked else path
    try:
        answer = _send(host, method, target, seconds=_CHANGE_SECONDS)
        if answer.status_code in {401, 403}:
            host.tokens.forget()
            answer = _send(host, method, target, seconds=_CHANGE_SECONDS)
    except (httpx.HTTPError, OSError) as error:
        raise ManagementFailed(f"it does not answer ({type(error).__name__})", refused=False) from error
    if answer.status_code in {200, 202}:
        return
    raise ManagementFailed(_sentence(answer), refused=400 <= answer.status_code < 500)


def _sentence(answer: httpx.Response) -> str:
    """What TorchServe says of itself, which names models and folders and nobody's data."""
    try:
        said = str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        said = ""
    return f"{said[:200]} (status {answer.status_code})".strip()


def _send(
    host: Host, method: str, path: str, *, token: str | None = None, seconds: float = _SECONDS
) -> httpx.Response:
    headers: dict[str, Any] = {"Host": host.server_name} if host.server_name else {}
    token = host.tokens.token("management") if token is None else token
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return host.client.request(
        method, host.management_url + path, headers=headers, timeout=seconds, extensions=host.extensions
    )
