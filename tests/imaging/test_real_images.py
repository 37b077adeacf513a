"""Every real file of the shared collections decodes, or is refused in plain words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imaging import sandbox
from imaging.errors import NotAnImage

EXPECTED = {
    # file: kind, rows, columns, frames, photometric
    "dicom/mammography/1-280.dcm": ("dicom", 4736, 2624, 1, "MONOCHROME2"),
    "dicom/mammography/MG1_J2KI.dcm": ("dicom", 4664, 3064, 1, "MONOCHROME2"),
    "dicom/slide/pathml-small.dcm": ("dicom", 500, 500, 42, "RGB"),
    "dicom/ultrasound/JPGLosslessP14SV1_1s_1f_8b.dcm": ("dicom", 768, 1024, 1, "MONOCHROME2"),
    "dicom/ultrasound/OBXXXX1A.dcm": ("dicom", 600, 800, 1, "RGB"),
    "dicom/ultrasound/OBXXXX1A_rle_2frame.dcm": ("dicom", 600, 800, 2, "RGB"),
    "dicom/ultrasound/US1_J2KR.dcm": ("dicom", 480, 640, 1, "RGB"),
    "dicom/ultrasound/color-pl.dcm": ("dicom", 120, 256, 1, "RGB"),
    "dicom/ultrasound/color3d_jpeg_baseline.dcm": ("dicom", 480, 640, 120, "RGB"),
    "dicom/ultrasound/examples_ybr_color.dcm": ("dicom", 240, 320, 30, "RGB"),
    "dicom/ultrasound/gdcm-US-ALOKA-16.dcm": ("dicom", 480, 640, 1, "RGB"),
    "dicom/ultrasound/gdcm-US-ALOKA-16_big.dcm": ("dicom", 480, 640, 1, "RGB"),
    "wsi/CMU-1-Small-Region.svs": ("slide", 2967, 2220, 1, "RGB"),
    "wsi/her2st-B4.pyramid.tif": ("slide", 9923, 9272, 1, "RGB"),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_real_file_is_described_and_read(name: str, shared_data: Path) -> None:
    description = sandbox.describe(shared_data / name, prove=False)
    found = (
        description.kind,
        description.rows,
        description.columns,
        description.frames,
        description.photometric,
    )
    assert found == EXPECTED[name]
    pixels = sandbox.read(shared_data / name, description.frames - 1)
    assert pixels.display().std() > 5


def test_no_file_is_forgotten(shared_data: Path) -> None:
    present = {
        str(path.relative_to(shared_data))
        for folder in ("dicom", "wsi")
        for path in (shared_data / folder).rglob("*")
        if path.is_file()
    }
    others = {f"dicom/mammography/1-28{n}.dcm" for n in (1, 2, 3)} | {"wsi/broken.svs"}
    assert present == set(EXPECTED) | others


def test_the_broken_slide_is_refused(shared_data: Path) -> None:
    with pytest.raises(NotAnImage):
        sandbox.describe(shared_data / "wsi" / "broken.svs")


def test_both_byte_orders_show_the_same(shared_data: Path) -> None:
    little, big = (
        sandbox.read(shared_data / "dicom" / "ultrasound" / f"gdcm-US-ALOKA-16{end}.dcm").values
        for end in ("", "_big")
    )
    np.testing.assert_array_equal(little, big)


def test_the_glass_of_the_real_section_is_not_magenta(shared_data: Path) -> None:
    glass = sandbox.read_slide(shared_data / "wsi" / "her2st-B4.pyramid.tif", (0, 0, 800, 800), longest=100)
    red, green, blue = glass.values.reshape(-1, 3).mean(axis=0)
    assert green > 190 and abs(red - blue) < 30
