"""A slide's analysis that is killed, or gave way, goes on where it stopped, with the same result."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imaging.phantoms import histology
from imaging.phantoms.phantom import Phantom
from inference.cli.main import main
from inference.contract import GaveWay
from inference.runtime import resumable as module
from inference.runtime.forward import ForwardOutput
from inference.runtime.resumable import SMALLEST_BATCH, KeptInFile, ResumableForward, resumable
from inference.runtime.store import DEFAULT_STORE, read_manifest

MANIFEST = read_manifest("histopathology")


class Counted:
    """Brightness as a network's answer; counts its passes."""

    def __init__(self) -> None:
        self.passes = 0

    def __call__(self, tensor: np.ndarray, /) -> ForwardOutput:
        self.passes += 1
        mean = tensor.reshape(len(tensor), -1).mean(axis=1).astype(np.float32)
        return ForwardOutput({"logit": mean, "distance": mean / 2}, 1.5)


class InMemory:
    """A `Keeping` that gives way before the pass with the number `at`, counted over all its attempts."""

    def __init__(self, *at: int, full: bool = False) -> None:
        self.content = b""
        self.writes = 0
        self._at, self._asked, self._full = set(at), 0, full

    def read(self) -> bytes:
        return self.content

    def write(self, content: bytes) -> bool:
        if self._full:
            return False
        self.content, self.writes = content, self.writes + 1
        return True

    def gives_way(self) -> bool:
        self._asked += 1
        return self._asked in self._at


def batch(seed: int, count: int = SMALLEST_BATCH) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)


@pytest.fixture
def every_pass_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEEP_EVERY_SECONDS", 0.0)


def run(forward: Counted, keeping: InMemory, passes: int) -> list[ForwardOutput]:
    """An analysis of so many batches, in one attempt."""
    going_on = ResumableForward(forward, keeping)
    return [going_on(batch(seed)) for seed in range(passes)]


@pytest.mark.usefixtures("every_pass_is_kept")
def test_what_was_computed_before_a_kill_is_read() -> None:
    keeping = InMemory()
    answers = run(Counted(), keeping, 3)  # and then it is killed
    second = Counted()
    again = run(second, keeping, 4)
    assert second.passes == 1
    for before, after in zip(answers, again, strict=False):
        assert after.model_ms == before.model_ms
        for name, rows in before.outputs.items():
            np.testing.assert_array_equal(after.outputs[name], rows)


@settings(max_examples=30, deadline=None)
@given(passes=st.integers(1, 8), at=st.sets(st.integers(1, 20), max_size=6))
def test_however_often_it_gives_way_no_pass_is_lost_or_done_twice(passes: int, at: set[int]) -> None:
    uninterrupted = run(Counted(), InMemory(), passes)
    keeping, forward = InMemory(*at), Counted()
    for _ in range(len(at) + 1):
        try:
            answers = run(forward, keeping, passes)  # each time another worker
            break
        except GaveWay:
            continue
    assert forward.passes == passes
    for one, other in zip(uninterrupted, answers, strict=True):
        assert one.model_ms == other.model_ms
        np.testing.assert_array_equal(one.outputs["logit"], other.outputs["logit"])


def test_it_is_kept_now_and_then_and_not_at_every_pass() -> None:
    keeping = InMemory()
    run(Counted(), keeping, 20)
    assert keeping.writes == 0, "a second's work"


def test_where_nothing_can_be_kept_it_gives_way_to_nobody() -> None:
    forward = Counted()
    assert len(run(forward, InMemory(2, 3, full=True), 4)) == forward.passes == 4


@pytest.mark.usefixtures("every_pass_is_kept")
@pytest.mark.parametrize("harm", ["cut", "flipped", "rubbish", "empty"])
def test_damaged_content_counts_up_to_its_last_whole_entry(harm: str) -> None:
    keeping = InMemory()
    run(Counted(), keeping, 3)
    content = bytearray(keeping.content)
    if harm == "cut":
        content = content[:-5]
    elif harm == "flipped":
        content[-5] ^= 0xFF
    else:
        content = bytearray(b"" if harm == "empty" else b"something else entirely, and longer than a head")
    keeping.content = bytes(content)
    forward = Counted()
    for mended, expected in zip(run(forward, keeping, 3), run(Counted(), InMemory(), 3), strict=True):
        np.testing.assert_array_equal(mended.outputs["logit"], expected.outputs["logit"])
    assert forward.passes == (1 if harm in ("cut", "flipped") else 3)
    last = Counted()
    run(last, keeping, 3)
    assert last.passes == 0, "what was damaged is whole again"


@pytest.mark.usefixtures("every_pass_is_kept")
def test_single_fields_leave_nothing() -> None:
    keeping = InMemory()
    ResumableForward(Counted(), keeping)(batch(0, SMALLEST_BATCH - 1))
    assert keeping.content == b""


@pytest.mark.usefixtures("every_pass_is_kept")
def test_passes_of_other_weights_count_for_nothing() -> None:
    keeping, first, second, third = InMemory(), Counted(), Counted(), Counted()
    other = MANIFEST.model_copy(update={"weights": MANIFEST.weights.model_copy(update={"sha256": "0" * 64})})
    for forward, manifest in ((first, MANIFEST), (second, other), (third, other)):
        resumable(forward, manifest, keeping)(batch(0))
    assert (first.passes, second.passes, third.passes) == (1, 1, 0)


def test_models_of_single_images_keep_nothing() -> None:
    forward = Counted()
    assert resumable(forward, MANIFEST, None) is forward
    reads_images = MANIFEST.input.model_copy(update={"kinds": ("image",)})
    assert resumable(forward, MANIFEST.model_copy(update={"input": reads_images}), InMemory()) is forward


def test_a_file_that_cannot_be_written_is_said_and_stops_nothing(tmp_path: Path) -> None:
    kept = KeptInFile(tmp_path / "missing" / "slide.partial")
    assert kept.read() == b"" and not kept.write(b"passes")
    kept.forget()


def write_section(path: Path) -> None:
    """A pyramid of 20×18 fields at the network's own resolution, nearly all of them stained: three passes."""
    rng = np.random.default_rng(1)
    coarse = rng.integers(90, 230, (20, 18, 3)) * [1.0, 0.6, 0.9]
    pixels = np.kron(coarse, np.ones((50, 50, 1))) + rng.integers(-20, 20, (1000, 900, 1))
    section = Phantom(
        pixels=np.clip(pixels, 0, 255).astype(np.uint8), um_per_px=4.0, label="normal", seed=1,
        mask=np.zeros((1, 1), bool), mask_downsample=8, boxes=(),
    )  # fmt: skip
    histology.write_slide(section, path)


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 200
    while not happened():
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.005)


@pytest.mark.timeout(300)
@pytest.mark.long
def test_a_killed_prediction_of_a_slide_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Killed once something of it is kept, by a program that keeps every pass."""
    slide = tmp_path / "slide.tif"
    write_section(slide)
    arguments = ["predict", "histopathology", str(slide), "--store", str(DEFAULT_STORE), "--out"]
    assert main([*arguments, str(tmp_path / "whole.jsonl")]) == 0
    whole = json.loads((tmp_path / "whole.jsonl").read_text())
    assert "passes are known" not in caplog.text

    out = tmp_path / "killed.jsonl"
    program = (
        "import sys; from inference.runtime import resumable; resumable.KEEP_EVERY_SECONDS = 0.0; "
        "from inference.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    killed = subprocess.Popen([sys.executable, "-c", program, *arguments, str(out)])
    maps = tmp_path / "killed.jsonl.maps"

    def one_is_kept() -> bool:
        return any(file.stat().st_size > 100 for file in maps.glob("*.partial"))

    try:
        wait_for(lambda: one_is_kept() or killed.poll() is not None)
        assert killed.poll() is None, "it ended before it could be killed"
    finally:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    assert out.read_text() == "" and one_is_kept()

    assert main([*arguments, str(out)]) == 0
    assert "passes are known from before" in caplog.text
    again = json.loads(out.read_text())
    for name in ("probabilities", "scores", "findings", "flags", "descriptors"):
        assert again[name] == whole[name]
    assert Path(again["heatmap"]).read_bytes() == Path(whole["heatmap"]).read_bytes()
    assert not list(maps.glob("*.partial"))
