"""Another system's webhook receiver: a real HTTP server that answers as a test says."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: Answers one request: a status, or does with the connection what it likes and returns None.
Behaviour = Callable[[BaseHTTPRequestHandler], int | None]


@dataclass
class Receiver:
    """What came, and how the next one is answered: the first behaviour left, the last for ever."""

    behaviours: list[Behaviour]
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    port: int = 0

    @property
    def host(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.host}/hook?of=ours"

    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.received]


def answer(status: int, **headers: str) -> Behaviour:
    def behave(handler: BaseHTTPRequestHandler) -> int | None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return status

    return behave


def hang(seconds: float) -> Behaviour:
    def behave(handler: BaseHTTPRequestHandler) -> int | None:
        time.sleep(seconds)
        return None

    return behave


def drip(handler: BaseHTTPRequestHandler) -> int | None:
    """One byte of a header now and then, for longer than anybody waits."""
    try:
        for byte in b"HTTP/1.0 200 OK\r\nX-Slow: " + b"a" * 40:
            handler.wfile.write(bytes([byte]))
            handler.wfile.flush()
            time.sleep(0.1)
    except OSError:
        pass
    return None


def is_signed(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """As a receiver verifies (docs/integrators.md)."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
    proof = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    fresh = abs(time.time() - int(headers["webhook-timestamp"])) < 300
    return fresh and hmac.compare_digest(proof, headers["webhook-signature"])


@contextmanager
def receiving(*behaviours: Behaviour) -> Iterator[Receiver]:
    receiver = Receiver(list(behaviours or [answer(204)]))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.received.append(({name.lower(): value for name, value in self.headers.items()}, body))
            behave = receiver.behaviours.pop(0) if len(receiver.behaviours) > 1 else receiver.behaviours[0]
            behave(self)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
