"""Every frame of a clip or a tomosynthesis is read, and the answer says which one it is of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from imaging.phantoms import dicom_writer, mammography, ultrasound
from inference.contract import CalibratedRegion, Flag
from inference.runtime import study
from tests.inference.conftest import ServedModel, image

Served = Callable[[str], ServedModel]

TISSUE, LESION = ultrasound.phantom(2, "none"), ultrasound.phantom(1, "malignant")
NOISE = np.random.default_rng(0).integers(0, 255, LESION.pixels.shape, dtype=np.uint8)


def write_clip(path: Path, *frames: np.ndarray) -> Path:
    multiframe = "1.2.840.10008.5.1.4.1.1.3.1"
    dicom_writer.write(
        LESION, path, modality="US", sop_class=multiframe, stack=np.stack(frames), ultrasound=True, tags={}
    )
    return path


def test_a_lesion_on_some_frames_of_a_clip_is_found_on_them(served: Served, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.dcm", *[TISSUE.pixels] * 3, *[LESION.pixels] * 2, TISSUE.pixels)
    ultrasound.write_dicom(LESION, tmp_path / "still.dcm")
    subject = served("ultrasound")
    alone = subject.analyse(image(tmp_path / "still.dcm")).images[0]
    result = subject.analyse(image(clip))
    (read,) = result.images
    assert read.frames_read == (0, 1, 2, 3, 4, 5) and read.map_frame in {3, 4}
    assert read.probabilities == pytest.approx(alone.probabilities, abs=0.02) == result.probabilities
    assert len(read.findings) == len(alone.findings) == 1, "one lesion on two frames is one finding"
    assert read.findings[0].frame in {3, 4} and alone.findings[0].frame is None
    assert alone.frames_read == (0,) and alone.map_frame == 0


def test_a_benign_lesion_is_not_lost_among_frames_without_one(served: Served, tmp_path: Path) -> None:
    from inference.runtime.ultrasound.pipeline import suspicion

    manifest = served("ultrasound").manifest
    low = manifest.thresholds["high_sensitivity"]  # below it the class decides, above it the score
    normal = {"benign": 0.2, "malignant": 0.9 * low, "normal": 0.8 - 0.9 * low}
    benign = {"benign": 0.9, "malignant": 0.5 * low, "normal": 0.1 - 0.5 * low}
    doubtful = {"benign": 0.2, "malignant": 0.45, "normal": 0.35}
    ordered = sorted([doubtful, normal, benign], key=lambda each: suspicion(each, manifest))
    assert ordered == [normal, benign, doubtful]


def test_of_a_long_clip_evenly_chosen_frames_are_read_and_said(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "MOST_FRAMES", 3)
    clip = write_clip(tmp_path / "clip.dcm", *[TISSUE.pixels] * 9)
    assert served("ultrasound").analyse(image(clip)).images[0].frames_read == (0, 4, 8)
    monkeypatch.setattr(study, "MOST_FRAMES_TOGETHER", 4)
    both = served("ultrasound").analyse(image(clip), image(clip))
    assert [each.frames_read for each in both.images] == [(0, 8), (0, 8)]


def test_an_image_of_which_most_frames_are_unlike_a_breast_is_itself_so(
    served: Served, tmp_path: Path
) -> None:
    subject = served("ultrasound")
    (unlike,) = subject.analyse(image(write_clip(tmp_path / "noise.dcm", NOISE, LESION.pixels, NOISE))).images
    assert Flag.OUT_OF_DISTRIBUTION in unlike.flags and unlike.frames_read == (0, 1, 2)
    (like,) = subject.analyse(
        image(write_clip(tmp_path / "lifted.dcm", LESION.pixels, LESION.pixels, NOISE))
    ).images
    assert Flag.OUT_OF_DISTRIBUTION not in like.flags and like.findings and like.map_frame in {0, 1}


def test_the_slices_of_a_tomosynthesis_are_read(served: Served, tmp_path: Path) -> None:
    shape = {"rows": 640, "columns": 480}
    empty = mammography.phantom(3, "L", "CC", "none", **shape)
    with_mass = mammography.phantom(3, "L", "CC", "malignant", **shape)
    path = tmp_path / "tomosynthesis.dcm"
    dicom_writer.write(
        empty, path, modality="MG", sop_class="1.2.840.10008.5.1.4.1.1.13.1.3",
        stack=np.stack([empty.pixels, with_mass.pixels, empty.pixels]), ultrasound=False, tags={},
    )  # fmt: skip
    (read,) = served("mammography").analyse(image(path)).images
    assert read.frames_read == (0, 1, 2) and read.mask and read.heatmap
    assert read.findings and all(found.frame in {0, 1, 2} for found in read.findings)
    assert read.map_frame in read.frames_read and len(read.findings) <= 6


def test_a_lesion_is_measured_by_its_region(served: Served, tmp_path: Path) -> None:
    ultrasound.write_png(LESION, tmp_path / "a.png")
    subject = served("ultrasound")
    x0, y0, x1, _ = subject.analyse(image(tmp_path / "a.png")).images[0].findings[0].box
    rows, columns = LESION.pixels.shape

    def longest(*regions: CalibratedRegion) -> float | None:
        found = subject.analyse(image(tmp_path / "a.png", regions=regions)).images[0].findings[0]
        return found.descriptors.get("longest_mm")

    middle = (x0 + x1) / 2
    fine, coarse = (
        CalibratedRegion(box=(0, 0, columns, rows), spacing_um=(each, each)) for each in (100.0, 200.0)
    )
    assert longest(coarse) == pytest.approx(2 * (longest(fine) or 0), abs=1e-3)
    left = CalibratedRegion(box=(0, 0, middle, rows), spacing_um=(100.0, 100.0))
    right = CalibratedRegion(box=(middle, 0, columns, rows), spacing_um=(100.0, 100.0))
    assert longest(left, right) is None, "across two regions"
    assert longest(CalibratedRegion(box=(0, 0, columns, max(1, y0 - 1)), spacing_um=(100.0, 100.0))) is None


@pytest.mark.parametrize("model", ["ultrasound", "mammography"])
def test_pixels_that_are_not_square_are_read_as_the_tissue_is(
    served: Served, tmp_path: Path, model: str
) -> None:
    import cv2

    made = (
        LESION
        if model == "ultrasound"
        else mammography.phantom(6, "L", "CC", "malignant", rows=900, columns=700)
    )
    shown = (made.pixels.astype(np.float32) / made.pixels.max() * 255).astype(np.uint8)
    height, width = shown.shape
    cv2.imwrite(str(tmp_path / "square.png"), shown)
    flat = cv2.resize(shown, (width, height // 2), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(tmp_path / "flat.png"), flat)
    subject = served(model)
    square = subject.analyse(image(tmp_path / "square.png", spacing_um=(80.0, 80.0))).images[0]
    half = subject.analyse(image(tmp_path / "flat.png", spacing_um=(80.0, 160.0))).images[0]
    # half of the rows are gone and with them the finest specks: the clusters' logit falls by 0.3 to 1.6 on phantoms of
    # 900 to 2,700 rows, the film's and the mass's hardly move
    assert half.probabilities == pytest.approx(square.probabilities, abs=0.15)
    ours, theirs = square.findings[0], half.findings[0]
    assert theirs.box == pytest.approx((ours.box[0], ours.box[1] / 2, ours.box[2], ours.box[3] / 2), abs=12)
    assert theirs.descriptors["aspect_ratio"] == pytest.approx(ours.descriptors["aspect_ratio"], rel=0.15)
    assert theirs.descriptors["area_mm2"] == pytest.approx(ours.descriptors["area_mm2"], rel=0.2)
    mask = cv2.imread(str(half.mask), cv2.IMREAD_UNCHANGED)
    assert mask.shape == flat.shape
