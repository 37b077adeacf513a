"""Nothing is allocated before its size is known and allowed, whatever a study says of its scale."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imaging.phantoms import histology
from inference.contract import InputContract, NotApplicable
from inference.runtime.geometry import square_pixels
from inference.runtime.histopathology.pipeline import _rows_of_a_strip
from inference.runtime.store import read_manifest
from tests.inference.conftest import ServedModel, image

Served = Callable[[str], ServedModel]

#: Analyses in a process whose memory may grow by 500 MB beyond what it begins with; the network's own is not counted.
_BOUNDED = """
import resource, sys
import numpy as np
from inference.contract import ImageReference
from inference.runtime.analyse import analyse
from inference.runtime.forward import ForwardOutput
from inference.runtime.pipelines import pipeline_of
from inference.runtime.store import read_manifest
from imaging import sandbox
manifest = read_manifest("histopathology")
pipeline_of(manifest)
def forward(fields):
    said = np.zeros(len(fields), np.float32)
    return ForwardOutput({"logit": said, "attention": said, "distance": said}, 0.0)
sandbox.describe(sys.argv[1])
mapped = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (mapped + 500 * 2**20,) * 2)
for each in map(float, sys.argv[2:]):
    image = ImageReference(image_id="a", path=sys.argv[1], spacing_um=(each, each))
    try:
        print("read", len(analyse(manifest.request("a", image), manifest, forward, lambda name, png: name).images))
    except Exception as error:
        print(type(error).__name__, error)
"""


@pytest.fixture(scope="module")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photographs") / "photograph.png"
    part = histology.photograph(1, "malignant", shape=(384, 512)).pixels
    Image.fromarray(np.tile(part, (2, 2, 1))).save(path)
    return path


def test_a_stated_scale_is_read_within_bounds_or_refused_in_a_sentence(photograph: Path) -> None:
    stated = ("255", "10000", "17", "0.01", "16")
    done = subprocess.run(
        [sys.executable, "-c", _BOUNDED, str(photograph), *stated], capture_output=True, text=True, check=True
    )
    *refused, read = done.stdout.splitlines()
    assert refused == [
        f"NotApplicable not analysed: {each} µm per pixel; this model reads 0.05 to 16"
        for each in stated[:-1]
    ]
    assert read == "read 1", "the largest enlargement that is allowed"


@pytest.mark.parametrize("aspect", [0.1, 0.5, 1.0, 2.0, 10.0])
@pytest.mark.parametrize("shape", [(20, 30), (1000, 1000), (4000, 6000)])
def test_pixels_are_made_square_within_bounds(shape: tuple[int, int], aspect: float) -> None:
    squared = square_pixels(np.zeros(shape, np.uint8), aspect)
    assert squared.size <= max(32_000_000, shape[0] * shape[1])
    assert squared.shape[0] / squared.shape[1] == pytest.approx(shape[0] / shape[1] * aspect, rel=0.05)


@pytest.mark.parametrize(
    ("side", "um_per_px", "words"),
    [((9_000, 9_000), 15.0, "more than this model reads"), ((12_000, 12_000), 4.0, "144")],
)
def test_a_picture_that_would_not_fit_is_refused_before_it_is_decoded(
    served: Served, tmp_path: Path, side: tuple[int, int], um_per_px: float, words: str
) -> None:
    path = tmp_path / "large.png"
    Image.new("L", side).save(path)
    with pytest.raises(NotApplicable, match="not analysed: ") as refused:
        served("histopathology").analyse(image(path, spacing_um=(um_per_px, um_per_px)))
    assert words.replace("144", "12000 × 12000 pixels; this model reads up to 128 million") in str(
        refused.value
    )


def test_a_slide_of_absurd_scale_is_refused(served: Served, tmp_path: Path) -> None:
    path = tmp_path / "slide.tiff"
    histology.write_slide(histology.slide(1, "malignant", shape=(2200, 3000), um_per_px=1.0), path)
    subject = served("histopathology")
    for spacing in ((1000.0, 1000.0), (0.001, 0.001), (1.0, 2.0)):
        with pytest.raises(NotApplicable, match="not analysed: "):
            subject.analyse(image(path, spacing_um=spacing))


@pytest.mark.parametrize("width", [1, 1_000, 18_750, 62_500])
def test_a_strip_holds_whole_fields_within_its_bytes(width: int) -> None:
    rows = _rows_of_a_strip(width)
    assert rows % 50 == 0 and 50 <= rows <= 1000 and (rows == 50 or rows * width * 3 <= 96 * 2**20)


@pytest.mark.parametrize("model", ["histopathology", "mammography", "ultrasound"])
def test_every_model_says_its_range_and_its_most_pixels(model: str) -> None:
    contract = read_manifest(model).input
    assert contract.min_um_per_px and contract.max_um_per_px and contract.max_pixels
    assert contract.why_not_spacing(None) == ""
    low, high = contract.min_um_per_px, contract.max_um_per_px
    assert contract.why_not_spacing((low, high)) == "" and contract.why_not_spacing((low / 2, high))
    assert contract.why_not_size(1_000, 1_000) == "" and contract.why_not_size(60_000, 60_000)


def test_a_model_without_a_range_reads_every_scale() -> None:
    contract = InputContract(modality="US", kinds=("image",), max_images=1)
    assert contract.why_not_spacing((1e-6, 1e6)) == "" and contract.why_not_size(10**6, 10**6) == ""
    coarse = contract.model_copy(update={"max_um_per_px": 4.0})
    assert (
        coarse.why_not_spacing((1e300, 1e300))
        == "not analysed: 1e+300 µm per pixel; this model reads up to 4"
    )
    assert coarse.why_not_spacing((9.0, 8.0)) == "not analysed: 9 × 8 µm per pixel; this model reads up to 4"
