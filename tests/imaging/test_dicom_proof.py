"""The look at native pixel data that reads a part of them says what a look at all of them says."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset

from imaging import dicom_frames, dicom_pixels, dicom_proof, reader
from imaging.chest_wall import chest_wall_of
from imaging.dicom_file import open_dicom
from imaging.errors import DamagedFile
from imaging.grayscale import ONLY_BLACK_OR_WHITE
from imaging.phantoms import mammography
from imaging.phantoms.malformed import dicom

MAMMOGRAM = "1.2.840.10008.5.1.4.1.1.1.2"
FILM = next(made for made in mammography.exam(4, rows=1200) if made.laterality == "L").pixels >> 4
ROWS, COLUMNS = FILM.shape


def breast(dtype: str) -> np.ndarray[Any, Any]:
    """A mammogram of a left breast, as numbers of that kind."""
    return FILM.astype(dtype)


def written(path: Path, values: np.ndarray[Any, Any], **elements: Any) -> Path:
    bits = values.dtype.itemsize * 8

    def change(header: Dataset) -> None:
        header.SOPClassUID = MAMMOGRAM
        header.BitsAllocated, header.BitsStored, header.HighBit = bits, bits, bits - 1
        header["PixelData"].VR = "OW" if bits > 8 else "OB"
        for keyword, value in elements.items():
            setattr(header, keyword, value)

    path.write_bytes(dicom(change, pixels=values.tobytes(), rows=ROWS, columns=COLUMNS))
    return path


@pytest.mark.parametrize(
    ("dtype", "elements"),
    [
        ("<u1", {}),
        ("<u2", {}),
        ("<u2", {"BitsStored": 12, "HighBit": 11}),
        ("<u2", {"BitsStored": 10, "HighBit": 13}),
        ("<i2", {"PixelRepresentation": 1}),
        ("<u2", {"PhotometricInterpretation": "MONOCHROME1"}),
        ("<u2", {"WindowCenter": "100", "WindowWidth": "200"}),
        (
            "<u2",
            {"RescaleSlope": "2", "RescaleIntercept": "-50", "WindowCenter": "150", "WindowWidth": "400"},
        ),
    ],
)
def test_part_of_the_pixels_tells_what_all_of_them_tell(
    tmp_path: Path, dtype: str, elements: dict[str, Any]
) -> None:
    file = open_dicom(written(tmp_path / "image.dcm", breast(dtype), **elements))
    form = dicom_frames.pixel_format(file)

    whole = dicom_pixels.decode(file, form, 0)
    part = dicom_proof._part_of(file, form, 3)
    found = reader.describe(tmp_path / "image.dcm")

    assert np.array_equal(part, whole.values[::3, ::3])
    assert found.facts.chest_wall == chest_wall_of(whole)
    assert ONLY_BLACK_OR_WHITE not in found.remarks
    file.close()


def test_chest_wall_is_seen_in_a_part(tmp_path: Path) -> None:
    assert reader.describe(written(tmp_path / "image.dcm", breast("<u2"))).facts.chest_wall == "left"


def test_window_that_shows_nothing_is_remarked(tmp_path: Path) -> None:
    path = written(tmp_path / "image.dcm", breast("<u2"), WindowCenter="30000", WindowWidth="100")

    assert ONLY_BLACK_OR_WHITE in reader.describe(path).remarks


def test_window_for_what_lies_between_the_sampled_pixels_is_no_empty_one(tmp_path: Path) -> None:
    values = breast("<u2")
    values[601, 401] = 30_000  # not in a row of the sample
    path = written(tmp_path / "image.dcm", values, WindowCenter="30000", WindowWidth="100")

    assert ONLY_BLACK_OR_WHITE not in reader.describe(path).remarks


def test_pixels_that_are_not_all_there_are_no_proof(tmp_path: Path) -> None:
    path = written(tmp_path / "image.dcm", breast("<u2"))
    path.write_bytes(path.read_bytes()[:-1000])

    with pytest.raises(DamagedFile, match="cut off"):
        reader.describe(path)


def test_ultrasound_has_no_chest_wall(tmp_path: Path) -> None:
    path = written(tmp_path / "image.dcm", breast("<u2"), SOPClassUID="1.2.840.10008.5.1.4.1.1.6.1")

    assert reader.describe(path).facts.chest_wall is None
