"""A file may crash, fill or stop its decoder; it may not take anything else with it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from bench import decoding
from imaging import fork_server, messages, operations, sandbox
from imaging.errors import DamagedFile, DecoderUnavailable, ImagingError, NoSuchFrame, TooLarge
from imaging.operations import OPERATIONS, Operation
from imaging.phantoms.phantom import Phantom
from imaging.sandbox import Limits, Sandbox


@pytest.fixture
def picture(scan: Phantom, tmp_path: Path) -> Path:
    path = tmp_path / "scan.png"
    Image.fromarray(scan.pixels).save(path)
    return path


@pytest.fixture
def large_picture(tmp_path: Path) -> Path:
    path = tmp_path / "large.png"
    Image.fromarray(np.zeros((12_000, 12_000), dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def own() -> Iterator[Sandbox]:
    made = Sandbox(concurrency=2)
    yield made
    made.close()


def fork_server_of(made: Sandbox) -> psutil.Process:
    made.start()
    assert made._process is not None
    return psutil.Process(made._process.pid)


def eventually(condition: object, seconds: float = 5.0) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.02)
    return False


def test_pixels_come_back_whole_and_writable(picture: Path, scan: Phantom) -> None:
    pixels = sandbox.read(picture)
    np.testing.assert_array_equal(pixels.values, scan.pixels)
    pixels.values[:] = 0
    np.testing.assert_array_equal(sandbox.read(picture).values, scan.pixels)


def test_a_warm_call_costs_little(picture: Path) -> None:
    cost = decoding.measure(picture, repeat=15)
    assert cost.in_child < 30 + cost.in_process


def test_too_much_memory_is_refused_and_the_next_file_is_read(large_picture: Path, picture: Path) -> None:
    small = Sandbox(Limits(memory_bytes=100 * 2**20))
    try:
        with pytest.raises(TooLarge):
            small.call(operations.read, large_picture)
        assert small.call(operations.describe, picture).kind == "image"
    finally:
        small.close()


def test_too_much_time_is_refused_and_the_next_file_is_read(large_picture: Path, picture: Path) -> None:
    hasty = Sandbox(Limits(wall_seconds=0.2))
    try:
        with pytest.raises(TooLarge) as refused:
            hasty.call(operations.rendered, large_picture)
        assert refused.value.code == "too_slow"
        hasty.limits = Limits()
        assert hasty.call(operations.describe, picture).kind == "image"
    finally:
        hasty.close()


def test_a_crashed_decoder_is_an_error_of_that_file_only_and_a_killed_one_of_the_machine(
    own: Sandbox, picture: Path, tmp_path: Path
) -> None:
    fork_server = fork_server_of(own)
    with pytest.raises(
        ImagingError
    ):  # afterwards it is up, its imports' own children are gone, and it has none
        own.call(operations.describe, tmp_path / "no such file")
    assert eventually(lambda: not fork_server.children())
    # A file that never gives a byte: the decoder is at work for as long as nobody kills it.
    endless = tmp_path / "endless.png"
    os.mkfifo(endless)
    outcome: list[ImagingError] = []

    def decode() -> None:
        try:
            own.call(operations.rendered, endless)
        except ImagingError as error:
            outcome.append(error)

    def killed_by(number: signal.Signals) -> ImagingError:
        outcome.clear()
        thread = threading.Thread(target=decode)
        thread.start()
        assert eventually(fork_server.children, seconds=60)
        fork_server.children()[0].send_signal(number)
        thread.join()
        return outcome[0]

    crashed = killed_by(signal.SIGSEGV)
    assert isinstance(crashed, DamagedFile) and crashed.code == "decoder_crashed"
    # what the kernel does when the machine runs short of memory says nothing of the file
    assert isinstance(killed_by(signal.SIGKILL), DecoderUnavailable)
    assert own.call(operations.describe, picture).kind == "image"
    assert own._process is not None and own._process.pid == fork_server.pid


def test_a_lost_fork_server_is_started_again(own: Sandbox, picture: Path) -> None:
    fork_server_of(own).kill()
    assert own.call(operations.describe, picture).kind == "image"


def test_children_are_kept_between_good_files_and_dropped_after_a_bad_one(
    own: Sandbox, picture: Path, tmp_path: Path
) -> None:
    fork_server = fork_server_of(own)
    own.call(operations.describe, picture)
    first = fork_server.children()
    for _ in range(5):
        own.call(operations.describe, picture)
    assert fork_server.children() == first
    bad = tmp_path / "bad.png"
    bad.write_bytes(picture.read_bytes()[:500])
    with pytest.raises(DamagedFile):
        own.call(operations.describe, bad)
    assert eventually(lambda: fork_server.children() == [])


def test_no_more_children_than_allowed(own: Sandbox, picture: Path) -> None:
    fork_server = fork_server_of(own)
    seen: list[int] = []
    with ThreadPoolExecutor(12) as pool:
        waiting = [pool.submit(own.call, operations.read, picture) for _ in range(60)]
        while not all(each.done() for each in waiting):
            seen.append(len(fork_server.children()))
    assert all(each.result().values.shape == (160, 200) for each in waiting)
    assert max(seen, default=0) <= own.concurrency + 1


def test_a_forked_process_gets_its_own(own: Sandbox, picture: Path) -> None:
    fork_server = fork_server_of(own)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            found = own.call(operations.describe, picture)
            assert own._process is not None and own._process.pid != fork_server.pid
            status = 0 if found.kind == "image" else 2
            own.close()
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    assert own.call(operations.describe, picture).kind == "image"
    assert fork_server.is_running()


def test_only_declared_operations_can_be_called(own: Sandbox) -> None:
    def system(command: str) -> str:
        return command

    undeclared = Operation(system)
    assert undeclared.name not in OPERATIONS
    with pytest.raises(ImagingError):
        own.call(undeclared, "true")


def test_an_operation_is_declared_once_and_both_sides_follow_it(picture: Path) -> None:
    for declared in OPERATIONS.values():
        if hasattr(sandbox, declared.name):
            assert getattr(sandbox, declared.name).__wrapped__ is declared.function
    with pytest.raises(TypeError, match="page"):
        sandbox.read(picture, page=1)


def test_the_asking_process_loads_no_decoder() -> None:
    decoders = ("pydicom", "openslide", "tifffile", "imagecodecs", "gdcm", "PIL")
    program = f"import sys; from imaging import sandbox; print([name for name in {decoders} if name in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_children_have_no_secrets_and_no_sockets(
    own: Sandbox, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAD_SECRET_KEY", "not for decoders")
    own.call(operations.describe, picture)
    fork_server = fork_server_of(own)
    for process in (fork_server, *fork_server.children()):
        assert "CAD_SECRET_KEY" not in process.environ()
        assert not process.net_connections(kind="inet")


def test_everything_ends_with_its_owner(picture: Path) -> None:
    script = (
        "import sys, time; from imaging import sandbox; sandbox.describe(sys.argv[1]); "
        "print(sandbox.SHARED._process.pid, flush=True); time.sleep(60)"
    )
    owner = subprocess.Popen([sys.executable, "-c", script, str(picture)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    fork_server = psutil.Process(int(owner.stdout.readline()))
    family = [fork_server, *fork_server.children()]
    assert len(family) == 2
    owner.kill()
    owner.wait()
    assert eventually(lambda: not any(process.is_running() for process in family))


def test_thumbnails_and_renderings_are_pictures(picture: Path, section_file: Path) -> None:
    import io

    thumbnail = Image.open(io.BytesIO(sandbox.thumbnail(section_file, 128)))
    assert thumbnail.format == "JPEG" and max(thumbnail.size) == 128
    rendered = Image.open(io.BytesIO(sandbox.rendered(picture, centre=100, width=50)))
    assert rendered.format == "PNG" and rendered.size == (200, 160)


def test_strips_of_a_slide_come_one_by_one(section_file: Path) -> None:
    strips = list(sandbox.slide_strips(section_file, 2.0, rows_per_strip=64))
    whole = sandbox.read_slide(section_file, um_per_px=2.0).values
    assert sum(strip.shape[0] for _, strip in strips) == whole.shape[0]
    with pytest.raises(NoSuchFrame):
        sandbox.SHARED.call(operations.slide_strip, section_file, 2.0, whole.shape[0], 64)


@pytest.mark.parametrize(("short", "kind"), [(False, TooLarge), (True, DecoderUnavailable)])
def test_memory_that_the_machine_lacks_is_not_the_files_fault(
    monkeypatch: pytest.MonkeyPatch, short: bool, kind: type[ImagingError]
) -> None:
    """A failed allocation is the file's fault where the machine could have given what was still allowed."""

    def read(path: str) -> bytes:
        raise MemoryError

    monkeypatch.setitem(OPERATIONS, "read", Operation(read))
    monkeypatch.setattr(fork_server, "_apply_limits", lambda limits: None)
    monkeypatch.setattr(fork_server, "_machine_is_short", lambda: short)
    answer, kept = fork_server._run_job({"operation": "read", "arguments": {"path": "x"}, "limits": {}})
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        answer(theirs)
        with pytest.raises(kind):
            messages.receive_result(ours)
    assert not kept
