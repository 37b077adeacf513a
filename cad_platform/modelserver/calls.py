"""One request to one TorchServe, and what its answer means.

5xx, 429 and time-outs mean the same thing: this host cannot answer now. Any other 4xx is about the request and fails
the same way everywhere. Except 404 in TorchServe's own words (`ModelNotFoundException`,
`ModelVersionNotFoundException`): a healthy host that does not have this version. TorchServe 0.12 does not say so of a
version that it is about to load: while it registers its models (1.9 s for three) both its addresses refuse
connections; from the first answer on, versions whose workers are still starting (4 s more) are known to it, and their
requests wait in its queue. So a host that starts is away, never absent. A 404 in other words is a proxy's before it,
and counts as away too. 413 is the host's own limit (`max_request_size`): another may take the input. 503 is a full
queue or no worker at all, 507 a worker without memory: away, so that the next host is asked at once.
"""

from __future__ import annotations

import logging
import ssl

import httpx

from cad_platform.modelserver.hosts import Host, Version
from inference.contract import AnalysisError

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 3.0
UNREACHABLE = frozenset({404, 408, 425, 429, 500, 502, 503, 504, 507})
_NOT_LOADED = frozenset({"ModelNotFoundException", "ModelVersionNotFoundException"})
_TOKEN_REFUSED = frozenset({"InvalidKeyException", "TokenExpiredException"})


class HostAway(Exception):
    """The host cannot answer now. `late`: it let the call's whole time pass. `certain`: one such answer is enough."""

    def __init__(self, reason: str, *, late: bool = False, certain: bool = False) -> None:
        super().__init__(reason)
        self.late = late
        self.certain = certain


class NotLoaded(Exception):
    """The host is well and does not have this version."""


class TooLarge(Exception):
    """The host is well and takes no request of this size."""


def predict(host: Host, version: Version, body: bytes, seconds: float) -> bytes:
    """Ask a host for a prediction; a token that it refuses is read anew once.

    Raises
    ------
    HostAway, NotLoaded, TooLarge
        See there.
    inference.contract.AnalysisError
        The request is at fault.
    """
    url = f"{host.url}/predictions/{version.name}/{version.version}"
    answer = post(host, url, body, "application/octet-stream", seconds)
    if refuses_token(answer):
        host.tokens.forget()
        answer = post(host, url, body, "application/octet-stream", seconds)
    if answer.status_code == 200:
        return answer.content
    if answer.status_code == 404 and _error_type(answer) in _NOT_LOADED:
        raise NotLoaded
    if answer.status_code == 413:
        raise TooLarge
    if answer.status_code in UNREACHABLE:
        raise HostAway(f"status {answer.status_code}")
    if refuses_token(answer):
        raise HostAway("the model server refuses the token", certain=True)
    logger.warning("%s refused a request for %s: status %d", host.name, version, answer.status_code)
    raise AnalysisError(f"the model server refused the input (status {answer.status_code})")


def post(host: Host, url: str, body: bytes, kind: str, seconds: float) -> httpx.Response:
    """Send one request with the host's own token. Raises `HostAway` where no answer comes."""
    try:
        return host.client.post(
            url,
            content=body,
            headers={**host.headers(), "Content-Type": kind},
            timeout=httpx.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds)),
            extensions=host.extensions,
        )
    except httpx.TimeoutException as error:
        connecting = isinstance(error, httpx.ConnectTimeout)
        raise HostAway(type(error).__name__, late=not connecting, certain=connecting) from error
    except httpx.HTTPError as error:
        raise HostAway(type(error).__name__) from error
    except (ssl.SSLError, OSError) as error:
        # A bundle of certificates that cannot be read is this host's trouble alone.
        raise HostAway(
            f"its certificates cannot be checked ({type(error).__name__})", certain=True
        ) from error


def refuses_token(answer: httpx.Response) -> bool:
    """Whether the request's token was the trouble."""
    return answer.status_code in {401, 403} or (
        400 <= answer.status_code < 500 and _error_type(answer) in _TOKEN_REFUSED
    )


def _error_type(answer: httpx.Response) -> str:
    try:
        content = answer.json()
    except ValueError:
        return ""
    return str(content.get("type", "")) if isinstance(content, dict) else ""
