"""A running platform to measure: the one of the state folder, or one started for the purpose."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from embedded.state import REPOSITORY, free_port

START_SECONDS = 300


class PlatformMissing(Exception):
    """A sentence that says what to do."""


@dataclass(frozen=True)
class Platform:
    """Where it answers, a token that posts and reads, and its state folder."""

    url: str
    token: str
    state: Path

    def client(self) -> httpx.Client:
        """Keeps its connection, as a hospital's gateway does."""
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, trust_env=False)

    def pid(self, name: str) -> int:
        """The process that now runs under a name (`torchserve`, `worker`, …)."""
        return int(json.loads((self.state / "processes.json").read_text())[name]["pid"])

    def ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False


@contextmanager
def running_platform(**own: str) -> Iterator[Platform]:
    """The platform of `CAD_STATE_DIR` where one runs, else a fresh one without demo cases that ends after.

    Parameters
    ----------
    own
        What its environment must hold: a fresh one, whatever runs.

    Raises
    ------
    PlatformMissing
        It does not become ready.
    """
    found = _described(Path(os.environ.get("CAD_STATE_DIR") or REPOSITORY / ".local"))
    if not own and found is not None and found.ready():
        print(f"Measuring the platform at {found.url}.")
        yield found
        return
    with tempfile.TemporaryDirectory(prefix="cad-bench-", ignore_cleanup_errors=True) as folder:
        print("Starting a platform of its own; it ends with the measurement.", flush=True)
        environment = os.environ | {
            "CAD_STATE_DIR": folder,
            "CAD_PORT": str(free_port()),
            "CAD_DEMO_CASES": "none",
            **own,
        }
        with (Path(folder) / "bench.log").open("wb") as log:
            process = subprocess.Popen(
                [str(REPOSITORY / "bin" / "demo")], env=environment, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            yield _wait(Path(folder), process)
        finally:
            process.terminate()
            process.wait(60)


def _described(state: Path) -> Platform | None:
    try:
        demo = json.loads((state / "demo.json").read_text())
        return Platform(demo["url"], demo["token"], state)
    except (OSError, ValueError, KeyError):
        return None


def _wait(state: Path, process: subprocess.Popen[bytes]) -> Platform:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        found = _described(state)
        if found is not None and found.ready():
            return found
        time.sleep(0.5)
    said = (state / "bench.log").read_text(errors="replace")[-2000:]
    raise PlatformMissing(f"The platform did not become ready. bin/demo said:\n{said}")
