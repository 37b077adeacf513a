"""A slide's analysis that is killed goes on where it stopped, with the same result."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from imaging.phantoms import histology
from imaging.phantoms.phantom import Phantom
from inference.cli.main import main
from inference.contract import (
    AnalysisRequest,
    ImageReference,
    ModelServerUnavailable,
    NotApplicable,
)
from inference.runtime.forward import ForwardOutput
from inference.runtime.resumable import (
    FORGET_SECONDS,
    SMALLEST_BATCH,
    SUFFIX,
    ResumableForward,
    file_of,
    resumable,
)
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


def batch(seed: int, count: int = SMALLEST_BATCH) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)


def test_what_was_computed_before_is_read(tmp_path: Path) -> None:
    first = Counted()
    keeping = ResumableForward(first, tmp_path / "slide.partial")
    answers = [keeping(batch(seed)) for seed in range(3)]
    keeping.close(finished=False)  # what a killed process leaves, too: every entry is written through

    second = Counted()
    going_on = ResumableForward(second, tmp_path / "slide.partial")
    again = [going_on(batch(seed)) for seed in range(4)]
    assert second.passes == 1 and going_on.kept == 3
    for before, after in zip(answers, again, strict=False):
        assert after.model_ms == before.model_ms
        for name, rows in before.outputs.items():
            np.testing.assert_array_equal(after.outputs[name], rows)
    going_on.close(finished=True)
    assert not (tmp_path / "slide.partial").exists()


@pytest.mark.parametrize("harm", ["cut", "flipped", "rubbish", "empty"])
def test_a_damaged_file_counts_up_to_its_last_whole_entry(tmp_path: Path, harm: str) -> None:
    path = tmp_path / "slide.partial"
    keeping = ResumableForward(Counted(), path)
    for seed in range(3):
        keeping(batch(seed))
    keeping.close(finished=False)
    content = bytearray(path.read_bytes())
    if harm == "cut":
        content = content[:-5]
    elif harm == "flipped":
        content[-5] ^= 0xFF
    else:
        content = bytearray(b"" if harm == "empty" else b"something else entirely, and longer than a head")
    path.write_bytes(content)

    forward = Counted()
    going_on = ResumableForward(forward, path)
    expected = Counted()
    for seed in range(3):
        np.testing.assert_array_equal(
            going_on(batch(seed)).outputs["logit"], expected(batch(seed)).outputs["logit"]
        )
    assert forward.passes == (1 if harm in ("cut", "flipped") else 3)
    going_on.close(finished=False)
    last = Counted()
    repaired = ResumableForward(last, path)
    for seed in range(3):
        repaired(batch(seed))
    assert last.passes == 0
    repaired.close(finished=True)


def test_single_fields_leave_no_file(tmp_path: Path) -> None:
    keeping = ResumableForward(Counted(), tmp_path / "photo.partial")
    keeping(batch(0, SMALLEST_BATCH - 1))
    keeping.close(finished=False)
    assert list(tmp_path.iterdir()) == []


def test_a_second_process_on_the_same_slide_computes_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "slide.partial"
    first, second = ResumableForward(Counted(), path), ResumableForward(Counted(), path)
    first(batch(0))
    expected = first(batch(0)).outputs["logit"]
    np.testing.assert_array_equal(second(batch(0)).outputs["logit"], expected)
    assert second.kept == 0
    second.close(finished=True)
    assert path.exists()  # the first one's, still in use
    first.close(finished=True)


def test_what_nobody_took_up_again_is_removed(tmp_path: Path) -> None:
    stale = tmp_path / f"old{SUFFIX}"
    stale.write_bytes(b"CADP")
    long_ago = time.time() - FORGET_SECONDS - 10
    os.utime(stale, (long_ago, long_ago))
    keeping = ResumableForward(Counted(), tmp_path / f"new{SUFFIX}")
    keeping(batch(0))
    keeping.close(finished=False)
    assert [path.name for path in tmp_path.iterdir()] == [f"new{SUFFIX}"]


def request(path: Path, **facts: object) -> AnalysisRequest:
    image = ImageReference.model_validate({"image_id": "slide", "path": str(path), **facts})
    return MANIFEST.request("test", image)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "slide.tif"
    path.write_bytes(b"pixels")
    return path


def test_other_bytes_weights_or_resolutions_have_another_file(tmp_path: Path, image: Path) -> None:
    plain = request(image).images[0]
    weights = MANIFEST.weights.model_copy(update={"sha256": "0" * 64})
    files = {
        file_of(tmp_path, plain, MANIFEST),
        file_of(tmp_path, request(image, sha256="a" * 64).images[0], MANIFEST),
        file_of(tmp_path, request(image, spacing_um=(0.5, 0.5)).images[0], MANIFEST),
        file_of(tmp_path, plain, MANIFEST.model_copy(update={"weights": weights})),
    }
    image.write_bytes(b"other pixels")
    files.add(file_of(tmp_path, plain, MANIFEST))
    assert len(files) == 5
    # the platform reads the same file through another path at every attempt
    moved = image.rename(tmp_path / "moved.tif")
    known = [request(path, sha256="a" * 64).images[0] for path in (image, moved)]
    assert len({file_of(tmp_path, one, MANIFEST) for one in known}) == 1


@pytest.mark.parametrize(
    ("error", "stays"),
    [(None, False), (NotApplicable("no tissue"), False), (ModelServerUnavailable("away"), True)],
)
def test_the_file_stays_only_where_another_attempt_may_need_it(
    tmp_path: Path, image: Path, error: Exception | None, stays: bool
) -> None:
    folder = tmp_path / "passes"

    def attempt() -> None:
        with resumable(Counted(), request(image), MANIFEST, folder) as forward:
            forward(batch(0))
            if error is not None:
                raise error

    if error is None:
        attempt()
    else:
        with pytest.raises(type(error)):
            attempt()
    assert bool(list(folder.glob(f"*{SUFFIX}"))) is stays


def test_models_of_single_images_and_no_folder_keep_nothing(tmp_path: Path, image: Path) -> None:
    forward = Counted()
    with resumable(forward, request(image), MANIFEST, None) as same:
        assert same is forward
    reads_images = MANIFEST.input.model_copy(update={"kinds": ("image",)})
    frames = MANIFEST.model_copy(update={"input": reads_images})
    with resumable(forward, request(image), frames, tmp_path / "passes") as same:
        assert same is forward


def write_section(path: Path) -> None:
    """A pyramid of 20×18 fields at the network's own resolution, nearly all of them stained: two passes."""
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
def test_a_killed_prediction_of_a_slide_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    slide = tmp_path / "slide.tif"
    write_section(slide)
    arguments = ["predict", "histopathology", str(slide), "--store", str(DEFAULT_STORE), "--out"]
    assert main([*arguments, str(tmp_path / "whole.jsonl")]) == 0
    whole = json.loads((tmp_path / "whole.jsonl").read_text())
    assert "passes are known" not in caplog.text

    out = tmp_path / "killed.jsonl"
    killed = subprocess.Popen([sys.executable, "-m", "inference", *arguments, str(out)])
    maps = tmp_path / "killed.jsonl.maps"

    def one_is_kept() -> bool:
        return any(file.stat().st_size > 100 for file in maps.glob(f"*{SUFFIX}"))

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
    assert not list(maps.glob(f"*{SUFFIX}"))
