"""One POST to a webhook: to the address that was checked, without following anybody elsewhere, within a time."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from cad_platform.delivery.destination import NotAllowed, destination_of, resolve

#: For everything: looking up, connecting, sending, the answer's head. A receiver acknowledges, and works afterwards.
SECONDS = 5.0


@dataclass(frozen=True)
class Outcome:
    """What came of it. `error` is empty exactly where the receiver took the message."""

    status: int | None
    error: str
    seconds: float


def post(url: str, body: bytes, headers: Mapping[str, str]) -> Outcome:
    """Send the message once. Raises nothing: whatever goes wrong is the outcome."""
    started = time.monotonic()
    status, error = _post(url, body, headers)
    return Outcome(status, error, time.monotonic() - started)


def _post(url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int | None, str]:
    connection: http.client.HTTPConnection | None = None
    late = threading.Event()
    try:
        destination = destination_of(url)
        address = resolve(destination)
        raw = socket.create_connection((address, destination.port), timeout=SECONDS)
        watch = threading.Timer(SECONDS, _cut, (raw, late))
        watch.daemon = True
        watch.start()
        try:
            connection = http.client.HTTPConnection(destination.host, destination.port, timeout=SECONDS)
            connection.sock = raw
            if destination.scheme == "https":
                context = ssl.create_default_context()
                connection.sock = context.wrap_socket(raw, server_hostname=destination.host)
            connection.request(
                "POST",
                destination.path,
                body,
                {
                    "Host": destination.host_header,
                    "Content-Type": "application/json",
                    "User-Agent": "cad-platform-webhooks/1",
                    "Connection": "close",
                    **headers,
                },
            )
            status = connection.getresponse().status
        finally:
            watch.cancel()
            raw.close()
    except NotAllowed as refusal:
        return None, str(refusal)
    except TimeoutError:
        return None, f"No answer within {SECONDS:g} s."
    except ssl.SSLError:
        return None, "The receiver's certificate or its encryption is not accepted."
    except (OSError, http.client.HTTPException, ValueError) as failure:
        if late.is_set():
            return None, f"No answer within {SECONDS:g} s."
        return None, f"The connection failed ({type(failure).__name__})."
    finally:
        if connection is not None:
            connection.close()
    if 200 <= status < 300:
        return status, ""
    if 300 <= status < 400:
        return status, "The receiver points elsewhere; that is not followed."
    return status, f"The receiver answered {status}."


def _cut(raw: socket.socket, late: threading.Event) -> None:
    """End a connection that drips: each byte would otherwise have its own time."""
    late.set()
    try:
        raw.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
