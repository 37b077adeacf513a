"""One budget of bytes for an image, asked before anything is allocated, whatever a contract allows."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cad_platform.studies.post import ImagePart
from inference.contract import UM_PER_PX_RANGE, NotApplicable
from inference.runtime import budget
from inference.runtime.budget import MOST_BYTES, Array, afford
from inference.runtime.geometry import Placement, resize, square_pixels
from inference.runtime.histopathology.pipeline import um_per_px_of
from inference.runtime.histopathology.preprocessing import resample
from inference.runtime.store import read_manifest
from inference.runtime.study import describe, open_image
from tests.inference.conftest import ServedModel, image

Served = Callable[[str], ServedModel]
MODELS = ("histopathology", "mammography", "ultrasound")

#: What a contract without any range of its own would let through.
_UNBOUNDED = {"min_um_per_px": None, "max_um_per_px": None, "max_pixels": None}

#: The command line's `predict` in a process of its own, whose peak is its parent's to see.
_PEAK = """
import resource, subprocess, sys
done = subprocess.run([sys.executable, "-m", "inference", *sys.argv[1:]], stderr=subprocess.PIPE)
print(done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, int], Path]:
    folder = tmp_path_factory.mktemp("pictures")

    def picture(columns: int, rows: int) -> Path:
        path = folder / f"{columns}x{rows}.png"
        if not path.exists():
            values = np.full((rows, columns), 20, np.uint8)
            values[rows // 4 : rows, : max(1, columns // 2)] = 180
            Image.fromarray(values).save(path)
        return path

    return picture


@pytest.mark.parametrize(("columns", "rows", "um_per_px"), [(1024, 768, "255"), (800, 600, "262")])
def test_an_absurd_scale_is_a_sentence_and_little_memory(
    pictures: Callable[[int, int], Path], tmp_path: Path, columns: int, rows: int, um_per_px: str
) -> None:
    out = tmp_path / "said.jsonl"
    words = ("predict", "histopathology", str(pictures(columns, rows)), "--mpp", um_per_px, "--out", str(out))
    done = subprocess.run([sys.executable, "-c", _PEAK, *words], capture_output=True, text=True, check=True)
    status, kilobytes = map(int, done.stdout.split())
    assert status == 2 and kilobytes < 600 * 1024
    said = json.loads(out.read_text(encoding="utf-8"))["error"]
    assert said == f"not analysed: {um_per_px} µm per pixel; this model reads 0.05 to 16."


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("size", "spacing"),
    [((1024, 768), (255.0, 255.0)), ((800, 600), (1e9, 1e9)), ((3, 20_000), (10.0, 90.0))],
)
def test_a_contract_without_a_range_changes_nothing(
    pictures: Callable[[int, int], Path], model: str, size: tuple[int, int], spacing: tuple[float, float]
) -> None:
    """Refused in a sentence, or read: never more memory than the budget."""
    manifest = read_manifest(model)
    wide = manifest.model_copy(update={"input": manifest.input.model_copy(update=_UNBOUNDED)})
    given = image(pictures(*size), spacing_um=spacing)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if model == "histopathology":
        with pytest.raises(NotApplicable, match=r"^not analysed: "):
            um_per_px_of(given, describe(given), wide)
    else:
        opened = open_image(given, wide)
        squared = square_pixels(opened.read().gray(), opened.scale.pixel_aspect)
        assert squared.nbytes < 64 * 2**20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024


@pytest.mark.parametrize("model", ["mammography", "ultrasound"])
@pytest.mark.parametrize("size", [(1, 20_000), (20_000, 1), (3, 20_000), (40, 40)])
def test_a_line_of_pixels_is_answered(
    served: Served, pictures: Callable[[int, int], Path], model: str, size: tuple[int, int]
) -> None:
    said = served(model).analyse(image(pictures(*size)))
    assert "low_quality" in said.images[0].flags


def test_the_sentence_names_size_and_scale() -> None:
    with pytest.raises(NotApplicable) as refused:
        afford(1024, 768, (255.0, 255.0), Array(65_280, 48_960, 3))
    assert str(refused.value) == (
        "not analysed: an image of 1024 × 768 pixels at 255 µm per pixel would take 9.6 GB of memory, "
        "at most 2.7 GB are spent on one"
    )
    with pytest.raises(NotApplicable, match=r"of 70000 × 70000 pixels would take 4\.9 GB"):
        afford(70_000, 70_000, None, Array(70_000, 70_000, 1))


def test_arrays_that_are_there_together_count_together() -> None:
    half = Array(1, MOST_BYTES / 2, 1)
    afford(1, 1, None, half, half)
    with pytest.raises(NotApplicable):
        afford(1, 1, None, half, half, Array(1, 1, 1))


def _refuses(monkeypatch: pytest.MonkeyPatch, make: Callable[[], object]) -> None:
    monkeypatch.setattr(budget, "MOST_BYTES", 100_000)
    with pytest.raises(NotApplicable, match=r"^not analysed: an image of .* would take"):
        make()


def test_whatever_enlarges_asks_for_its_own_result(monkeypatch: pytest.MonkeyPatch) -> None:
    small = np.zeros((60, 60), np.uint8)
    _refuses(monkeypatch, lambda: resample(np.zeros((60, 60, 3), np.uint8), 255.0))
    _refuses(monkeypatch, lambda: resize(small, 4_000, 4_000))
    _refuses(monkeypatch, lambda: square_pixels(np.zeros((300, 300), np.uint16), 5.0))
    placed = Placement(5_000, 5_000, (0, 0, 5_000, 5_000), 0.05, 0.05, 0, 0, 250, 250)
    _refuses(monkeypatch, lambda: placed.map_to_image(np.zeros((250, 250), np.float32)))
    assert placed.map_to_image(np.zeros((250, 250), np.float32), longest=64).shape == (64, 64)


@pytest.mark.parametrize("model", ["mammography", "ultrasound"])
def test_an_image_is_asked_for_before_it_is_decoded(
    monkeypatch: pytest.MonkeyPatch, pictures: Callable[[int, int], Path], model: str
) -> None:
    given = image(pictures(800, 600), spacing_um=(100.0, 100.0))
    _refuses(monkeypatch, lambda: open_image(given, read_manifest(model)))


@pytest.mark.parametrize("model", MODELS)
def test_what_a_contract_promises_fits(model: str) -> None:
    """The largest image of each contract is read, and its range lies within what may be said of any image."""
    contract = read_manifest(model).input
    assert contract.max_pixels and contract.min_um_per_px and contract.max_um_per_px
    afford(contract.max_pixels, 1, None, Array(contract.max_pixels, 1, 20))
    low, high = UM_PER_PX_RANGE
    assert low <= contract.min_um_per_px and contract.max_um_per_px <= high
    for said in (contract.min_um_per_px, contract.max_um_per_px):
        assert ImagePart(pixel_spacing_um=said).pixel_spacing_um == said


@pytest.mark.parametrize("said", [0.0, -1.0, 0.001, 2_001.0, 10_000.0, float("inf"), float("nan")])
def test_a_post_takes_no_scale_that_no_model_could_read(said: float) -> None:
    with pytest.raises(ValueError, match="pixel_spacing_um"):
        ImagePart(pixel_spacing_um=said)
