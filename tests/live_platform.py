"""The whole platform as a hospital would run it, for tests that look at it from outside, and a browser on it.

One copy serves the whole run. It is started by the same supervisor as bin/demo, with its own state folder and
port, real PostgreSQL, Valkey, TorchServe and workers, and without demo cases.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from embedded.chromium import BROWSER, browser
from embedded.process import preparation
from embedded.reaching import status_of
from embedded.state import REPOSITORY, free_port

#: Of a machine on which ten others work too; one that ends is told of at once.
START_SECONDS = 1800
#: Chromium asks its makers' servers for lists and updates; a hospital's network would not let it.
_QUIET = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-sync",
    "--no-pings",
    "--disable-features=OptimizationHints,MediaRouter,Translate,AutofillServerCommunication",
]
_WEBGL_IN_SOFTWARE = [
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
]


@dataclass(frozen=True)
class LivePlatform:
    """A running copy: where it is, who may enter, and which processes it has now."""

    url: str
    users: list[dict[str, str]]
    token: str
    state: Path
    supervisor_pid: int

    def user(self, role: str) -> dict[str, str]:
        """The first demo user of a role."""
        return next(user for user in self.users if user["role"] == role)

    @property
    def pids(self) -> dict[str, int]:
        """The processes that run now, by name."""
        processes = json.loads((self.state / "processes.json").read_text())
        return {name: int(known["pid"]) for name, known in processes.items()}

    def pid(self, name: str) -> int:
        """The process that now runs under a name (`web`, `worker`, `beat`, `postgres`, `torchserve`, ...)."""
        return self.pids[name]

    def kill(self, name: str) -> None:
        """Kill one of the processes, as a crash would."""
        os.kill(self.pid(name), signal.SIGKILL)

    def wait_ready(self, seconds: float = 90) -> None:
        """Wait until every part has proven itself again."""
        deadline = time.monotonic() + seconds
        while status_of(f"{self.url}/readyz") != 200:
            assert time.monotonic() < deadline, f"not ready after {seconds} s"
            time.sleep(0.5)

    def environment(self) -> dict[str, str]:
        """What a management command on this copy needs."""
        lines = (self.state / "env.sh").read_text().splitlines()
        exports = (shlex.split(line)[1].partition("=") for line in lines)
        return outside_environment() | {name: value for name, _, value in exports}

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of Django's commands on this copy."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=REPOSITORY,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )


def outside_environment() -> dict[str, str]:
    """The caller's environment without what tests/conftest.py set for tests in this process."""
    kept = {"CAD_DATA_DIR", "CAD_CHROMIUM"}
    return {
        name: value
        for name, value in os.environ.items()
        if name in kept or not name.startswith(("CAD_", "DATABASE_URL", "DJANGO_SETTINGS_MODULE"))
    }


def start_platform(state: Path, port: int, **environment: str) -> subprocess.Popen[bytes]:
    """Start the supervisor on a state folder; its words go to `supervisor.log` there."""
    state.mkdir(exist_ok=True)
    with (state / "supervisor.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "embedded.supervisor", str(state), str(port)],
            cwd=REPOSITORY,
            env=outside_environment() | {"CAD_DEMO_CASES": "none"} | environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            # A killed test run takes its platforms with it.
            preexec_fn=preparation(None, os.getpid(), signal.SIGTERM),
        )


def wait_for_platform(process: subprocess.Popen[bytes], state: Path, seconds: float = START_SECONDS) -> None:
    """Wait until the supervisor has announced that everything is ready."""
    deadline = time.monotonic() + seconds
    while not (state / "ready").exists():
        if process.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"The platform did not become ready (exit {process.poll()}):\n{_last_words(state)}")
        time.sleep(0.2)


def _last_words(state: Path) -> str:
    logs = [state / "supervisor.log", *sorted((state / "logs").glob("*.log"))]
    return "\n".join(f"--- {log.name}\n{log.read_text(errors='replace')[-1500:]}" for log in logs)


@contextmanager
def running_platform(**environment: str) -> Iterator[LivePlatform]:
    """A platform of one's own, ready, without cases; it ends with the block. `environment` is set for it alone."""
    with tempfile.TemporaryDirectory(prefix="cad-live-", ignore_cleanup_errors=True) as folder:
        state = Path(folder) / "state"
        process = start_platform(state, free_port(), **environment)
        try:
            wait_for_platform(process, state)
            demo: dict[str, Any] = json.loads((state / "demo.json").read_text())
            yield LivePlatform(demo["url"], demo["users"], demo["token"], state, process.pid)
        finally:
            process.terminate()
            process.wait(60)


@pytest.fixture(scope="session")
def live_platform() -> Iterator[LivePlatform]:
    """The whole platform, ready; one for the run."""
    with running_platform() as platform:
        yield platform


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A Chromium: the machine's own, else the one that bin/test unpacked."""
    executable, environment = browser()
    # Playwright's loop runs in this thread; Django would take every query after it for one in a coroutine.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    # on a busy machine a page may take longer than the five seconds that Playwright waits by itself
    expect.set_options(timeout=20_000)
    arguments = [*_QUIET, *_WEBGL_IN_SOFTWARE, *(["--no-sandbox"] if _needs_no_sandbox(environment) else [])]
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=executable, args=arguments, env={**os.environ, **environment}
        )
        yield running
        running.close()


@pytest.fixture
def page(chromium: Browser, live_platform: LivePlatform) -> Iterator[Page]:
    """A page of a fresh browser session; relative addresses lead to the platform."""
    context = chromium.new_context(base_url=live_platform.url, viewport={"width": 1440, "height": 900})
    context.set_default_timeout(20_000)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def axe_source() -> str:
    """The accessibility rules, to be evaluated in a page with no rule switched off."""
    return (BROWSER / "node_modules" / "axe-core" / "axe.min.js").read_text()


def _needs_no_sandbox(environment: dict[str, str]) -> bool:
    # Root has none, and the unpacked Chromium comes without its setuid helper.
    return os.geteuid() == 0 or bool(environment)
