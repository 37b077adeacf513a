"""The state folder: everything that a running copy writes, its secrets and its lock.

One folder is one copy of the platform. Two copies with two folders share nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]

#: Linux allows 107 bytes in a socket's path, and the longest name put into these folders has 40.
SOCKET_FOLDER_LIMIT = 66
#: So many model servers one copy runs at most.
MOST_TORCHSERVES = 4
SOCKET_FOLDERS = (
    "postgres/run",
    "torchserve/tmp",
    *("/".join((f"torchserve-{number}", "tmp")) for number in range(2, MOST_TORCHSERVES + 1)),
    "tmp",
)


class StateError(Exception):
    """A sentence that says what to do."""


class StateFolder:
    """Paths, generated secrets and the exclusive lock of one copy.

    Under root the folder can be passed through (0711) because PostgreSQL runs there as another user; every
    secret in it is a file of mode 0600.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.path.chmod(0o711 if os.geteuid() == 0 else 0o700)
            self.logs.mkdir(exist_ok=True)
            self.logs.chmod(0o700)
        except OSError as error:
            raise StateError(
                f"The state folder {self.path} cannot be written ({error.strerror}): "
                "set CAD_STATE_DIR to a folder of yours."
            ) from error

    @property
    def logs(self) -> Path:
        """Folder of what the processes print (0700)."""
        return self.path / "logs"

    @property
    def demo_file(self) -> Path:
        """Address, demo users and token of this copy (0600)."""
        return self.path / "demo.json"

    def secret(self, name: str) -> str:
        """The generated secret of that name; made on first use, kept in `secrets.json` (0600)."""
        known = read_json(self.path / "secrets.json")
        if name not in known:
            known[name] = secrets.token_urlsafe(32)
            write_private_json(self.path / "secrets.json", known)
        return str(known[name])

    def port(self, name: str) -> int:
        """A loopback port for one embedded service: last time's while it is free, else another."""
        known = read_json(self.path / "ports.json")
        port = int(known.get(name, 0))
        if not port or not port_is_free(port) or port in [v for k, v in known.items() if k != name]:
            port = free_port(exclude={int(v) for v in known.values()})
            known[name] = port
            write_private_json(self.path / "ports.json", known)
        return port

    def socket_folder(self, name: str) -> Path:
        """A folder that is to hold sockets: in the state folder, or a short private one if that is deep."""
        own = self.path / name
        return own if len(os.fsencode(own)) <= SOCKET_FOLDER_LIMIT else self.outside_folder(name)

    def outside_folder(self, name: str) -> Path:
        """A folder of this copy's own among the machine's temporary ones, with a short name."""
        digest = hashlib.sha256(os.fsencode(self.path / name)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"cad-{os.geteuid()}-{digest}"

    @property
    def temporary(self) -> Path:
        """Temporary files of the platform's processes; they may hold patient data."""
        return self.socket_folder("tmp")

    def make_private(self, folder: Path) -> None:
        """Make an empty folder that only this user can enter.

        Raises
        ------
        StateError
            Where someone else's folder, or a link, stands in its place.
        """
        if folder.is_symlink() or (folder.exists() and folder.lstat().st_uid not in {os.geteuid()}):
            raise StateError(f"{folder} belongs to someone else: delete it, or set another CAD_STATE_DIR.")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, parents=True)

    def remove_outside_folders(self) -> None:
        """Delete what had to be made outside, for a deep state folder or a closed checkout."""
        for folder in (*map(self.socket_folder, SOCKET_FOLDERS), self.outside_folder("postgres/programs")):
            if not folder.is_relative_to(self.path):
                shutil.rmtree(folder, ignore_errors=True)

    def erase(self) -> None:
        """Delete all state but the lock, which the caller holds."""
        self.remove_outside_folders()
        for entry in self.path.iterdir():
            if entry.name == "lock":
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        self.logs.mkdir(mode=0o700)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for one supervisor; the kernel lets go of it even after a crash."""
        with (self.path / "lock").open("a+") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                handle.seek(0)
                pid = handle.read().strip() or "unknown"
                raise StateError(
                    f"A platform already runs on {self.path} (process {pid}): stop it, or set "
                    "CAD_STATE_DIR and CAD_PORT for a second copy."
                ) from None
            handle.truncate(0)
            handle.write(str(os.getpid()))
            handle.flush()
            os.set_inheritable(handle.fileno(), False)
            yield
            handle.truncate(0)


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file, or an empty one where there is no such file."""
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise StateError(f"{path} is damaged: run bin/demo --reset, or restore a backup.") from error
    if not isinstance(content, dict):
        raise StateError(f"{path} is damaged: run bin/demo --reset, or restore a backup.")
    return content


def write_private_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file that only its owner can read: a reader sees the old one or the new one, never half."""
    write_private(path, json.dumps(content, indent=2) + "\n")


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, all at once."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(text)
    temporary.replace(path)


def port_is_free(port: int) -> bool:
    """Whether a server could listen on that loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(exclude: set[int] | None = None) -> int:
    """A loopback port that is free now and is none of `exclude`."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port not in (exclude or set()):
            return port


def port_in_environment() -> int:
    """Where the web server shall listen (`CAD_PORT`, default 8000)."""
    value = os.environ.get("CAD_PORT") or "8000"
    if not value.isdigit() or not 0 < int(value) < 65536:
        raise StateError(f"CAD_PORT is {value!r}: set it to a number between 1 and 65535.")
    return int(value)
