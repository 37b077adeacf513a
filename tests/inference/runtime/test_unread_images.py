"""An image that cannot be read is said and does not end its study's analysis."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from imaging.phantoms import histology, mammography, ultrasound
from inference.contract import Flag, ImageUnreadable, NotApplicable
from tests.inference.conftest import ServedModel, image
from tests.whole_slides import WholeSlide

Served = Callable[[str], ServedModel]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("unread")
    ultrasound.write_png(ultrasound.phantom(3, "malignant"), folder / "ultrasound.png")
    mammography.write_dicom(mammography.phantom(3, "L", "CC", "malignant"), folder / "mammography.dcm")
    histology.write_image(histology.photograph(3, "malignant"), folder / "histopathology.png")
    return {path.stem: path for path in folder.iterdir()}


@pytest.mark.parametrize("model", ["ultrasound", "mammography", "histopathology"])
def test_the_others_say_what_they_say_alone(
    served: Served, good: dict[str, Path], tmp_path: Path, model: str
) -> None:
    cut = tmp_path / "cut.png"
    cut.write_bytes(good[model].read_bytes()[:3000])
    alone = served(model).analyse(image(good[model]))
    result = served(model).analyse(image(cut), image(good[model]))
    unread, read = result.images
    assert unread.not_read and unread.frames_read == () and unread.flags == (Flag.NOT_READ,)
    assert (unread.probabilities, unread.findings, unread.mask) == ({}, (), None)
    assert read.probabilities == alone.images[0].probabilities
    assert result.probabilities == alone.probabilities and result.breasts == alone.breasts
    assert Flag.NOT_READ in result.flags and result.judged_images == alone.judged_images


@pytest.mark.parametrize("model", ["ultrasound", "mammography", "histopathology"])
def test_where_none_can_be_read_the_first_reason_is_the_studys(
    served: Served, tmp_path: Path, model: str
) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\n cut")
    with pytest.raises(ImageUnreadable):
        served(model).analyse(image(tmp_path / "a.png"), image(tmp_path / "b.png"))


def test_an_image_without_a_scale_and_one_without_tissue_do_not_stop_a_section(
    served: Served, good: dict[str, Path], tmp_path: Path
) -> None:
    made = WholeSlide()
    empty, unscaled = tmp_path / "empty.dcm", tmp_path / "unscaled.dcm"
    empty.write_bytes(made.file(np.full((512, 512, 3), 250, np.uint8), 0.5))
    unscaled.write_bytes(made.file(np.full((512, 512, 3), 250, np.uint8), None))
    result = served("histopathology").analyse(image(empty), image(unscaled), image(good["histopathology"]))
    assert [each.not_read for each in result.images] == [
        "no stained tissue was found in the image",
        "the image's resolution (µm per pixel) is missing",
        "",
    ]


def test_a_slide_of_which_a_part_is_missing_is_not_read(served: Served, tmp_path: Path) -> None:
    parts = WholeSlide().concatenation(histology.slide(5, shape=(1100, 1400)).pixels, 3, 0.5)
    paths = [tmp_path / f"{number}.dcm" for number in range(2)]
    for path, content in zip(paths, parts, strict=False):
        path.write_bytes(content)
    slide = image(paths[0]).model_copy(update={"parts": (str(paths[1]),)})
    with pytest.raises(NotApplicable, match="of its 3 parts number 3 is missing"):
        served("histopathology").analyse(slide)
