"""A TorchServe's management address: which versions it has, their workers, and tokens that are renewed in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from cad_platform.modelserver.hosts import Host, Version
from cad_platform.modelserver.port import WorkerStatus

_SECONDS = 3.0
_TOKEN_KINDS = ("inference", "management")


@dataclass(frozen=True)
class Described:
    """What a host says of one version."""

    status: WorkerStatus
    #: `cuda` where a worker of it computes on a graphics card, else `cpu`.
    device: str


def workers(host: Host, version: Version) -> WorkerStatus | None:
    """The version's workers; None where the host cannot be asked, or does not have it."""
    found = describe(host, version)
    return None if found is None else found.status


def describe(host: Host, version: Version) -> Described | None:
    """What the host says of a version; None where it cannot be asked, or does not have it."""
    if not host.management_url:
        return None
    try:
        answer = _ask(host, f"/models/{version.name}/{version.version}")
        if answer.status_code != 200:
            return None
        states, gpus = [], []
        for model in answer.json():
            for worker in model["workers"]:
                states.append(worker["status"])
                gpus.append(bool(worker.get("gpu")))
    except (httpx.HTTPError, OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return Described(WorkerStatus(states.count("READY"), len(states)), "cuda" if any(gpus) else "cpu")


def renew_tokens(host: Host) -> None:
    """Have the host mint new tokens for those of its key file that end soon. Nothing happens for a token file that
    somebody else renews; the host writes its own."""
    minting = host.tokens.minting_key()
    if not minting or not host.management_url:
        return
    for kind in _TOKEN_KINDS:
        if host.tokens.ends_soon(kind):
            try:
                _get(host, f"/token?type={kind}", minting)
            except (httpx.HTTPError, OSError):
                return  # in the next round
            host.tokens.forget()


def _ask(host: Host, path: str) -> httpx.Response:
    return _get(host, path, host.tokens.token("management"))


def _get(host: Host, path: str, token: str) -> httpx.Response:
    headers: dict[str, Any] = {"Host": host.server_name} if host.server_name else {}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return host.client.get(
        host.management_url + path, headers=headers, timeout=_SECONDS, extensions=host.extensions
    )
