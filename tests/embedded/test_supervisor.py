"""The supervisor, over the whole platform: nothing orphaned, nothing shared, nothing left down."""

from __future__ import annotations

import json
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from embedded.bootstrap import ARCHIVES, KEYS
from embedded.process import group_alive
from embedded.reaching import status_of
from embedded.state import REPOSITORY, free_port
from inference.runtime import custody
from inference.runtime.signing import sign
from inference.runtime.store import read_manifest, version_folder
from tests.live_platform import (
    LivePlatform,
    outside_environment,
    start_platform,
    wait_for_platform,
)


def _processes(state: Path) -> dict[str, int]:
    known = json.loads((state / "processes.json").read_text())
    return {name: entry["pid"] for name, entry in known.items()}


def _wait_until_gone(groups: list[int], seconds: float) -> list[int]:
    deadline = time.monotonic() + seconds
    while (left := [group for group in groups if group_alive(group)]) and time.monotonic() < deadline:
        time.sleep(0.2)
    return left


@pytest.fixture
def second_platform(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Another copy beside the one of the run, in a folder deep and with a space in its name."""
    state = tmp_path / "a state folder" / ("deep" * 20)
    state.mkdir(parents=True)
    process = start_platform(state, free_port())
    yield process, state
    if process.poll() is None:
        process.terminate()
        process.wait(60)


def test_demo_json_is_private_and_complete(live_platform: LivePlatform) -> None:
    path = live_platform.state / "demo.json"
    demo = json.loads(path.read_text())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert demo["url"].startswith("http://127.0.0.1:") and demo["token"]
    roles = {user["role"] for user in demo["users"]}
    assert len(roles) >= 4 and all(user["username"] and user["password"] for user in demo["users"])


def test_nothing_listens_beyond_loopback(live_platform: LivePlatform) -> None:
    ours = {inode for pid in _descendants(live_platform.supervisor_pid) for inode in _socket_inodes(pid)}
    listening = [
        fields[1]
        for table in ("/proc/net/tcp", "/proc/net/tcp6")
        for fields in map(str.split, Path(table).read_text().splitlines()[1:])
        if fields[3] == "0A" and fields[9] in ours
    ]
    assert len(listening) >= 4
    loopback = ("0100007F:", "00000000000000000000000001000000:", "0000000000000000FFFF00000100007F:")
    assert [address for address in listening if not address.startswith(loopback)] == []


def test_a_second_start_on_the_same_folder_is_refused_in_one_sentence(live_platform: LivePlatform) -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "embedded.supervisor", str(live_platform.state), str(free_port())],
        cwd=REPOSITORY,
        env=outside_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 1
    assert "already runs" in refused.stderr and refused.stderr.count("\n") == 1
    assert status_of(f"{live_platform.url}/livez") == 200


def test_a_port_in_use_is_said_in_one_sentence(live_platform: LivePlatform, tmp_path: Path) -> None:
    port = live_platform.url.rpartition(":")[2]
    refused = subprocess.run(
        [sys.executable, "-m", "embedded.supervisor", str(tmp_path / "state"), port],
        cwd=REPOSITORY,
        env=outside_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 1
    assert f"Port {port} is in use" in refused.stderr and refused.stderr.count("\n") == 1


@pytest.mark.long
def test_two_copies_run_side_by_side_and_each_ends_whole(
    live_platform: LivePlatform, second_platform: tuple[subprocess.Popen[bytes], Path]
) -> None:
    process, state = second_platform
    wait_for_platform(process, state)
    other = json.loads((state / "demo.json").read_text())
    assert other["url"] != live_platform.url and other["token"] != live_platform.token
    assert status_of(f"{live_platform.url}/readyz") == status_of(f"{other['url']}/readyz") == 200

    groups = list(_processes(state).values())
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert _wait_until_gone(groups, 1) == []
    assert status_of(f"{live_platform.url}/livez") == 200


@pytest.mark.long
def test_a_copy_with_a_store_of_its_own_serves_what_appears_in_it(tmp_path: Path) -> None:
    """With a half-copied version in it, which keeps nobody from starting, and a new one while it runs."""
    store, state = tmp_path / "store", tmp_path / "state"
    own = version_folder(read_manifest("ultrasound"), store)
    shutil.copytree(version_folder(read_manifest("ultrasound")), own)
    own.with_name("2.0.0").mkdir()
    shutil.copy(own / "manifest.json", own.with_name("2.0.0"))
    process = start_platform(state, free_port(), CAD_MODEL_STORE=str(store))
    try:
        wait_for_platform(process, state)
        assert "ultrasound/2.0.0 holds the manifest of" in (state / "supervisor.log").read_text()
        coming = own.with_name(".99.0.0")
        shutil.copytree(own, coming, ignore=shutil.ignore_patterns("model.pt", "variants.json"))
        described = json.loads((coming / "manifest.json").read_text()) | {"version": "99.0.0"}
        (coming / "manifest.json").write_text(json.dumps(described))
        coming.rename(own.with_name("99.0.0"))
        custody.write(own.with_name("99.0.0"), sealed="afterwards", code=custody.NOT_RECORDED)

        def wait_for(sentence: str) -> None:
            deadline = time.monotonic() + 90
            while sentence not in (state / "supervisor.log").read_text():
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.5)

        key = KEYS / "signing.key"
        advice = f"python -m inference sign ultrasound --version 99.0.0 --key {key}"
        wait_for(advice)
        sign(own.with_name("99.0.0"), key)
        wait_for("ultrasound 99.0.0 is served from now on")
        built = {path.name for path in (state / "archives").glob("*.mar")}
        assert built == {f"ultrasound-{own.name}.mar", "ultrasound-99.0.0.mar"}
        assert "ultrasound-99.0.0.mar" not in {path.name for path in ARCHIVES.iterdir()}
        environment = outside_environment() | {"CAD_STATE_DIR": str(state)}
        switched = subprocess.run(
            [REPOSITORY / "bin" / "manage", "register_models"], env=environment, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert "ultrasound 99.0.0 (US, new)" in switched.stdout, switched.stderr
    finally:
        process.terminate()
        assert process.wait(60) == 0


@pytest.mark.long
def test_a_killed_supervisor_leaves_no_process_and_the_next_start_recovers(
    second_platform: tuple[subprocess.Popen[bytes], Path],
) -> None:
    process, state = second_platform
    wait_for_platform(process, state)
    port = int(json.loads((state / "demo.json").read_text())["url"].rpartition(":")[2])
    descendants = _descendants(process.pid) - {process.pid}
    process.kill()
    process.wait()
    deadline = time.monotonic() + 20
    while any(map(_alive, descendants)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert [pid for pid in descendants if _alive(pid)] == []

    (state / "ready").unlink(missing_ok=True)
    began = time.monotonic()
    again = start_platform(state, port)
    try:
        wait_for_platform(again, state)
        assert time.monotonic() - began < 60
    finally:
        again.terminate()
        assert again.wait(60) == 0


@pytest.mark.disruptive
@pytest.mark.parametrize(
    "name",
    [
        "web",
        "postgres",
        *(
            pytest.param(name, marks=pytest.mark.long)
            for name in (
                "worker",
                "worker-slides",
                "worker-maintenance",
                "worker-training",
                "beat",
                "housekeeping",
                "valkey",
                "torchserve",
            )
        ),
    ],
)
def test_a_killed_child_is_started_again(live_platform: LivePlatform, name: str) -> None:
    before = live_platform.pid(name)
    live_platform.kill(name)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        now = live_platform.pids.get(name)
        if now not in {None, before}:
            break
        time.sleep(0.1)
    assert now not in {None, before}
    live_platform.wait_ready()


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def _descendants(root: int) -> set[int]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _socket_inodes(pid: int) -> set[str]:
    inodes = set()
    try:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            target = str(descriptor.readlink())
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    except OSError:
        pass
    return inodes
