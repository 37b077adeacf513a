"""The real web server for tests that need sockets: uvicorn with the guard, on the tests' database."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from embedded.state import REPOSITORY


@dataclass
class WebServer:
    port: int
    process: subprocess.Popen[bytes]
    state: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def uploads(self) -> list[Path]:
        return list((self.state / "uploads").iterdir())

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def resident_bytes(self) -> int:
        return int(self._proc("status", "VmRSS:")) * 1024

    def written_bytes(self) -> int:
        """What the process has passed to `write` so far."""
        return int(self._proc("io", "wchar:"))

    def _proc(self, file: str, key: str) -> str:
        text = Path(f"/proc/{self.process.pid}/{file}").read_text()
        return next(line.split()[1] for line in text.splitlines() if line.startswith(key))


@contextmanager
def web_server(
    state: Path, largest_file: int | None = None, port: int = 0, **environment: str
) -> Iterator[WebServer]:
    """Start uvicorn and wait until it answers. `largest_file` makes its disk seem full beyond so many bytes:
    the kernel then refuses writes as it does on a full disk. `port`: that of one that ended before."""
    if not port:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
    state.mkdir(parents=True, exist_ok=True)

    def limit() -> None:
        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

    with (state / "web.log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-W", "ignore", "-m", "uvicorn", "cad_platform.config.asgi:application"),
                *("--port", str(port), "--no-proxy-headers", "--no-access-log", "--lifespan", "off"),
            ],
            cwd=REPOSITORY,
            env=os.environ | {"CAD_STATE_DIR": str(state), "CAD_DATABASE_POOL": "1", **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=limit,
        )
        try:
            server = WebServer(port, process, state)
            _wait(server)
            yield server
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(server: WebServer) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            httpx.get(f"{server.url}/api/v1/studies", timeout=30)
            return
        except httpx.TransportError:
            if time.monotonic() > deadline or server.process.poll() is not None:
                raise RuntimeError((server.state / "web.log").read_text()) from None
            time.sleep(0.1)
