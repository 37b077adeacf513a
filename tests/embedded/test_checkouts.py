"""`bin/demo` and `bin/test` from nothing, where a checkout may lie: closed to others, or below a path with spaces."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from embedded.postgres import NOBODY
from embedded.state import REPOSITORY, free_port
from tests.live_platform import outside_environment

_SET_UP_SECONDS = 1800


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that an ordinary user can reach, unlike pytest's own under root."""
    folder = Path(tempfile.mkdtemp(prefix="cad-checkout-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def _clone(folder: Path) -> Path:
    folder.parent.mkdir(exist_ok=True)
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(REPOSITORY), str(folder)], check=True)
    return folder


def _demo_and_test(checkout: Path, port: int, **as_user: Any) -> None:
    """Start the demo, run a test beside it, stop it; every set-up step included."""
    home = checkout.parent / "home"
    home.mkdir()
    if "user" in as_user:
        for path in (checkout.parent, *checkout.parent.rglob("*")):
            os.chown(path, as_user["user"], as_user["group"], follow_symlinks=False)
    environment = outside_environment() | {
        "CAD_DEMO_CASES": "none",
        "CAD_PORT": str(port),
        "HOME": str(home),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    with (checkout.parent / "demo.log").open("wb") as log:
        demo = subprocess.Popen(
            ["bin/demo"], cwd=checkout, env=environment, stdout=log, stderr=subprocess.STDOUT, **as_user
        )
    try:
        deadline = time.monotonic() + _SET_UP_SECONDS
        while not (checkout / ".local" / "ready").exists():
            said = (checkout.parent / "demo.log").read_text(errors="replace")[-3000:]
            assert demo.poll() is None and time.monotonic() < deadline, said
            time.sleep(1)
        tests = ["tests/embedded/test_postgres.py", "tests/patients/test_services.py"]
        done = subprocess.run(
            ["bin/test", *tests],
            cwd=checkout,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=_SET_UP_SECONDS,
            **as_user,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    finally:
        demo.terminate()
        assert demo.wait(90) == 0


@pytest.mark.long
@pytest.mark.timeout(2 * _SET_UP_SECONDS)
def test_in_a_folder_closed_to_others(place: Path) -> None:
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    _demo_and_test(_clone(closed / "clone"), free_port())


@pytest.mark.long
@pytest.mark.timeout(2 * _SET_UP_SECONDS)
def test_as_an_ordinary_user_below_a_path_with_spaces(place: Path) -> None:
    ordinary = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    _demo_and_test(_clone(place / "a path with spaces" / "clone"), free_port(), **ordinary)
