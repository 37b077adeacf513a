"""A forward pass of a host, whichever protocol it speaks."""

from __future__ import annotations

from cad_platform.modelserver import calls, open_inference
from cad_platform.modelserver.hosts import Host, Version


def predict(host: Host, version: Version, body: bytes, seconds: float) -> bytes:
    """The answer to `body`, both in this platform's encoding. Raises as `calls.predict`."""
    ask = open_inference.predict if host.speaks_open_inference else calls.predict
    return ask(host, version, body, seconds)
