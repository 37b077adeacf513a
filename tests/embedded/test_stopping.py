"""A supervisor that is asked to stop does, wherever the signal meets it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from embedded.process import group_alive
from embedded.state import REPOSITORY, free_port
from tests.live_platform import outside_environment

#: A real supervisor on one small service, which asks itself to stop where the test says.
_SUPERVISOR = """
import os, signal, sys
from embedded import supervisor
from embedded.process import Command
from embedded.services import Platform, Service
from embedded.state import StateError

where, number, pids = sys.argv.pop(1), int(sys.argv.pop(1)), sys.argv.pop(1)
asked = []

def ask(place):
    if place == where and not asked:
        asked.append(place)
        os.kill(os.getpid(), number)

class Dropped:
    def __del__(self):
        ask("while something is dropped")

def prepare():
    ask("while a service is prepared")

def failing():
    if where == "in a step that the terminal interrupts too":
        ask(where)
        raise StateError("what it ran was interrupted")

def ready():
    Dropped()
    try:
        ask("where any error is answered")
    except Exception:
        return False
    return True

class Small(Platform):
    def services(self):
        script = f"import os, time; open({pids!r}, 'w').write(str(os.getpid())); time.sleep(600)"
        asleep = Command("asleep", [sys.executable, "-c", script], stop_seconds=5)
        last = Command("last", [sys.executable, "-c", "import time; time.sleep(600)"], stop_seconds=5)
        return [
            Service("asleep", lambda: asleep, prepare=prepare, ready=ready, established=failing),
            Service("last", lambda: last, after=("asleep",)),
        ]

os.register_at_fork(after_in_parent=lambda: ask("while a process is started"))
supervisor.Platform = Small
sys.exit(supervisor.main())
"""

_PLACES = [
    "while a process is started",
    "while something is dropped",
    "while a service is prepared",
    "where any error is answered",
    "in a step that the terminal interrupts too",
]


@pytest.mark.parametrize(
    ("where", "name"),
    [*((place, "SIGTERM") for place in _PLACES), (_PLACES[0], "SIGINT"), (_PLACES[0], "SIGHUP")],
)
def test_it_ends_wherever_the_signal_meets_it(tmp_path: Path, where: str, name: str) -> None:
    pids, number = tmp_path / "pid", signal.Signals[name]
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            _SUPERVISOR,
            where,
            str(int(number)),
            str(pids),
            str(tmp_path / "state"),
            str(free_port()),
        ],
        cwd=REPOSITORY,
        env=outside_environment() | {"CAD_MODEL_SERVER": "inprocess", "PYTHONPATH": os.fspath(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    assert f"Stopped by {name}: every process has ended." in done.stdout
    assert not (pids.exists() and group_alive(int(pids.read_text())))
