"""An HTTP server that answers as the test says: TorchServe's ways to fail, which a healthy one hides."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from inference.runtime import wire

PREDICTION = wire.encode({"logits": np.zeros((1, 3), np.float32)}, {"model_ms": 1.5})
Answer = tuple[int, bytes]


def refusal(status: int, kind: str) -> Answer:
    """An error body as TorchServe writes it."""
    return status, json.dumps({"code": status, "type": kind, "message": "…"}).encode()


@dataclass
class ScriptedServer:
    """Answers the script's entries in turn, then predictions. A number in the script is a delay before the
    next answer, in seconds."""

    script: list[Answer | float] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    #: The same with their methods.
    asked: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    connections: set[tuple[str, int]] = field(default_factory=set)
    url: str = ""
    #: What it answers after the script, to a request's body.
    network: Callable[[bytes], bytes] = lambda _: PREDICTION

    def next_answer(self, body: bytes) -> Answer:
        while self.script:
            entry = self.script.pop(0)
            if isinstance(entry, tuple):
                return entry
            time.sleep(entry)
        return 200, self.network(body)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    scripted: ScriptedServer
    counting: threading.Lock

    def do_POST(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        with self.counting:
            self.scripted.at_once += 1
            self.scripted.most_at_once = max(self.scripted.most_at_once, self.scripted.at_once)
            self.scripted.paths.append(self.path)
            self.scripted.asked.append(f"{self.command} {self.path}")
            self.scripted.tokens.append(self.headers.get("Authorization", ""))
            self.scripted.connections.add(self.client_address)
        try:
            status, answer = self.scripted.next_answer(body)
        finally:
            with self.counting:
                self.scripted.at_once -= 1
        with contextlib.suppress(ConnectionError):  # the client has given up already
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    def log_message(self, *arguments: Any) -> None:
        """Nothing to say."""


@pytest.fixture
def serve() -> Iterator[Callable[..., ScriptedServer]]:
    """Start a scripted server; it ends with the test."""
    running: list[ThreadingHTTPServer] = []

    def start(*script: Answer | float, tls: ssl.SSLContext | None = None) -> ScriptedServer:
        scripted = ScriptedServer(list(script))
        handler = type("Handler", (_Handler,), {"scripted": scripted, "counting": threading.Lock()})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        scripted.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        running.append(server)
        return scripted

    yield start
    for server in running:
        server.shutdown()
        server.server_close()
