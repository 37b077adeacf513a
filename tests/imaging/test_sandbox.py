"""A file may crash, fill or stop its decoder; it may not take anything else with it."""

from __future__ import annotations

import os
import signal
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

from imaging import sandbox
from imaging.errors import DamagedFile, ImagingError, TooLarge
from imaging.phantoms import Phantom
from imaging.sandbox import Limits, Sandbox
from imaging.sandboxed import FUNCTIONS


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


def nursery_of(made: Sandbox) -> psutil.Process:
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
    took = sandbox.measure(picture, repeat=15)
    print({name: round(value, 2) for name, value in took.items()})
    assert took["sandboxed_ms"] < 30 + took["in_process_ms"]


def test_too_much_memory_is_refused_and_the_next_file_is_read(large_picture: Path, picture: Path) -> None:
    small = Sandbox(Limits(memory_bytes=100 * 2**20))
    try:
        with pytest.raises(TooLarge):
            small.call("read", path=str(large_picture))
        assert small.call("describe", path=str(picture))[0]["kind"] == "image"
    finally:
        small.close()


def test_too_much_time_is_refused_and_the_next_file_is_read(large_picture: Path, picture: Path) -> None:
    hasty = Sandbox(Limits(wall_seconds=0.2))
    try:
        with pytest.raises(TooLarge) as refused:
            hasty.call("rendered", path=str(large_picture))
        assert refused.value.code == "too_slow"
        hasty.limits = Limits()
        assert hasty.call("describe", path=str(picture))[0]["kind"] == "image"
    finally:
        hasty.close()


def test_a_crashed_decoder_is_an_error_of_that_file_only(
    own: Sandbox, large_picture: Path, picture: Path
) -> None:
    nursery = nursery_of(own)
    outcome: list[ImagingError] = []

    def decode() -> None:
        try:
            own.call("rendered", path=str(large_picture))
        except ImagingError as error:
            outcome.append(error)

    thread = threading.Thread(target=decode)
    thread.start()
    assert eventually(nursery.children)
    nursery.children()[0].send_signal(signal.SIGSEGV)
    thread.join()
    assert isinstance(outcome[0], DamagedFile)
    assert outcome[0].code == "decoder_crashed"
    assert own.call("describe", path=str(picture))[0]["kind"] == "image"
    assert own._process is not None and own._process.pid == nursery.pid


def test_a_lost_nursery_is_started_again(own: Sandbox, picture: Path) -> None:
    nursery_of(own).kill()
    assert own.call("describe", path=str(picture))[0]["kind"] == "image"


def test_children_are_kept_between_good_files_and_dropped_after_a_bad_one(
    own: Sandbox, picture: Path, tmp_path: Path
) -> None:
    nursery = nursery_of(own)
    own.call("describe", path=str(picture))
    first = nursery.children()
    for _ in range(5):
        own.call("describe", path=str(picture))
    assert nursery.children() == first
    bad = tmp_path / "bad.png"
    bad.write_bytes(picture.read_bytes()[:500])
    with pytest.raises(DamagedFile):
        own.call("describe", path=str(bad))
    assert eventually(lambda: nursery.children() == [])


def test_no_more_children_than_allowed(own: Sandbox, picture: Path) -> None:
    nursery = nursery_of(own)
    seen: list[int] = []
    with ThreadPoolExecutor(12) as pool:
        waiting = [pool.submit(own.call, "read", path=str(picture)) for _ in range(60)]
        while not all(each.done() for each in waiting):
            seen.append(len(nursery.children()))
    assert all(each.result()[1].shape == (160, 200) for each in waiting)
    assert max(seen, default=0) <= own.concurrency + 1


def test_a_forked_process_gets_its_own(own: Sandbox, picture: Path) -> None:
    nursery = nursery_of(own)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            value, _ = own.call("describe", path=str(picture))
            assert own._process is not None and own._process.pid != nursery.pid
            status = 0 if value["kind"] == "image" else 2
            own.close()
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    assert own.call("describe", path=str(picture))[0]["kind"] == "image"
    assert nursery.is_running()


def test_only_listed_functions_can_be_called(own: Sandbox) -> None:
    assert "run" not in FUNCTIONS and "__import__" not in FUNCTIONS
    with pytest.raises(ImagingError):
        own.call("run", name="describe", arguments={})


def test_children_have_no_secrets_and_no_sockets(
    own: Sandbox, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAD_SECRET_KEY", "not for decoders")
    own.call("describe", path=str(picture))
    nursery = nursery_of(own)
    for process in (nursery, *nursery.children()):
        assert "CAD_SECRET_KEY" not in process.environ()
        assert not process.net_connections(kind="inet")


def test_everything_ends_with_its_owner(picture: Path) -> None:
    script = (
        "import sys, time; from imaging import sandbox; sandbox.describe(sys.argv[1]); "
        "print(sandbox.SHARED._process.pid, flush=True); time.sleep(60)"
    )
    owner = subprocess.Popen([sys.executable, "-c", script, str(picture)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    nursery = psutil.Process(int(owner.stdout.readline()))
    family = [nursery, *nursery.children()]
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
    assert sandbox.slide_geometry(section_file).vendor == "generic-tiff"
