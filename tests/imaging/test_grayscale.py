"""What DCMTK does not show: padding, exact windows, functional groups, statistics, and one table for each frame.

The greys expected here are computed from the formulas of PS3.3, not from our own tables.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import JPEGLSLossless, RLELossless

from imaging import grayscale, reader, sandbox
from imaging.description import Window
from imaging.errors import DamagedFile, UnsupportedEncoding
from imaging.pixels import Pixels
from inference.runtime.study import grey_values
from tests.imaging.grayscale_cases import COLUMNS, ROWS, curve, file_of, lut, noise

WINDOW: dict[str, Any] = {"WindowCenter": "2000", "WindowWidth": "2400"}


def linear(values: NDArray[Any], centre: float, width: float) -> NDArray[np.float64]:
    return np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1) * 255


def read(tmp_path: Path, data: bytes, frame: int = 0) -> Pixels:
    path = tmp_path / "case.dcm"
    path.write_bytes(data)
    return reader.read(path, frame)


def near(shown: NDArray[np.uint8], right: NDArray[Any]) -> bool:
    return bool(np.abs(shown.astype(float) - right).max() <= 1)


# --- padding -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("window", [{}, WINDOW], ids=["statistics", "window"])
@pytest.mark.parametrize(
    ("padding", "signed"),
    [
        ({"PixelPaddingValue": 4095}, False),
        ({"PixelPaddingValue": 4000, "PixelPaddingRangeLimit": 4095}, False),
        ({"PixelPaddingValue": 4095, "PixelPaddingRangeLimit": 4000}, False),
        ({"PixelPaddingValue": -2048}, True),
        ({"PixelPaddingValue": -2000, "PixelPaddingRangeLimit": -2048}, True),
    ],
)
def test_padding_is_black_and_in_no_statistic(
    photometric: str, window: dict[str, Any], padding: dict[str, Any], signed: bool, tmp_path: Path
) -> None:
    values = np.clip(noise(12, signed), -1500, 3500)
    values[:, :, 12:] = padding["PixelPaddingValue"]
    pixels = read(tmp_path, file_of(values, signed=signed, photometric=photometric, **window, **padding))
    body = values[0, :, :12]
    shown = pixels.display()
    assert (shown[:, 12:] == 0).all()
    low, high = np.percentile(body, [0.1, 99.9])
    right = linear(body, 2000, 2400) if window else (np.clip(body, low, high) - low) / (high - low) * 255
    assert near(shown[:, :12], 255 - right if photometric == "MONOCHROME1" else right)
    assert pixels.shown is not None
    assert (pixels.shown.minimum, pixels.shown.maximum) == (body.min(), body.max())


def test_padding_is_black_through_any_other_window_too(tmp_path: Path) -> None:
    values = noise(12, False)
    values[:, :, 12:] = 4095
    data = file_of(values, photometric="MONOCHROME1", PixelPaddingValue=4095, **WINDOW)
    path = tmp_path / "case.dcm"
    path.write_bytes(data)
    pixels = reader.read(path)
    assert (pixels.display(Window(centre=100, width=200))[:, 12:] == 0).all()


def test_padding_that_a_sender_wrote_with_the_other_sign_is_the_same_value(tmp_path: Path) -> None:
    values = np.clip(noise(16, True), -1000, 30000)
    values[:, :, 12:] = -2000
    unsigned = DataElement(0x00280120, "US", 63536)
    pixels = read(tmp_path, file_of(values, stored=16, signed=True, PixelPaddingValue=unsigned))
    assert pixels.shown is not None and pixels.shown.padding == (-2000, -2000)
    assert (pixels.display()[:, 12:] == 0).all()


def test_a_frame_of_padding_alone_is_black(tmp_path: Path) -> None:
    values = np.full((1, ROWS, COLUMNS), 4095)
    assert (read(tmp_path, file_of(values, PixelPaddingValue=4095)).display() == 0).all()


# --- windows -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", ["1", "2", "777.5"])
def test_an_exact_window_goes_from_edge_to_edge(width: str, tmp_path: Path) -> None:
    values = noise(12, False)
    data = file_of(values, WindowCenter="2000", WindowWidth=width, VOILUTFunction="LINEAR_EXACT")
    right = np.clip((values[0] - 2000) / float(width) + 0.5, 0, 1) * 255
    assert near(read(tmp_path, data).display(), right)


def test_a_window_of_fractions_is_taken_after_the_rescale(tmp_path: Path) -> None:
    values = noise(12, False)
    data = file_of(values, RescaleSlope="0.001", RescaleIntercept="-1", WindowCenter="1", WindowWidth="0.5")
    right = np.clip((values[0] * 0.001 - 1 - 1) / 0.5 + 0.5, 0, 1) * 255
    assert near(read(tmp_path, data).display(), right)


@pytest.mark.parametrize(
    ("centres", "widths"),
    [("2000\\", "2400\\"), ("\\2000", "\\2400"), ("2000,0", "2400,0"), ("x\\2000", "1\\2400")],
)
def test_a_value_that_is_none_takes_no_other_window_with_it(
    centres: str, widths: str, tmp_path: Path
) -> None:
    values = noise(12, False)
    data = file_of(values, **WINDOW)
    for tag, plain, written in ((b"\x50\x10", b"2000", centres), (b"\x51\x10", b"2400", widths)):
        text = written.encode() + b" " * (len(written) % 2)
        element = b"\x28\x00" + tag + b"DS"
        assert data.count(element + b"\x04\x00" + plain) == 1
        data = data.replace(element + b"\x04\x00" + plain, element + bytes([len(text), 0]) + text)
    assert near(read(tmp_path, data).display(), linear(values[0], 2000, 2400))


def test_windows_and_tables_are_offered_by_name(tmp_path: Path) -> None:
    data = file_of(
        noise(12, False),
        WindowCenter=["1000", "2000"],
        WindowWidth=["500", "2500"],
        WindowCenterWidthExplanation=["HARDER", "NORMAL"],
        VOILUTSequence=Sequence(
            [lut(0, curve(4096, 12), 12, name="CURVE"), lut(0, curve(4096, 12, 0.5), 12)]
        ),
    )
    pixels = read(tmp_path, data)
    assert pixels.shown is not None
    assert [each.name for each in pixels.shown.offered] == ["HARDER", "NORMAL", "CURVE", "4"]
    assert pixels.shown.window.centre == 1000 and not pixels.shown.by_lut


def test_a_window_written_for_other_pixels_is_left_out_and_said(tmp_path: Path) -> None:
    path = tmp_path / "case.dcm"
    path.write_bytes(file_of(np.clip(noise(12, False), 500, 3000), WindowCenter="40", WindowWidth="80"))
    assert grayscale.ONLY_BLACK_OR_WHITE in sandbox.describe(path).remarks
    assert reader.read(path).display().std() > 50


def test_the_second_window_serves_where_the_first_shows_nothing(tmp_path: Path) -> None:
    values = np.clip(noise(12, False), 500, 3000)
    data = file_of(values, WindowCenter=["40", "2000"], WindowWidth=["80", "2400"])
    assert near(read(tmp_path, data).display(), linear(values[0], 2000, 2400))


# --- statistics ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rescale", "photometric"),
    [({}, "MONOCHROME2"), ({"RescaleSlope": "-2", "RescaleIntercept": "9"}, "MONOCHROME1")],
)
def test_without_a_window_nearly_all_values_are_shown(
    rescale: dict[str, Any], photometric: str, tmp_path: Path
) -> None:
    values = noise(12, False)
    pixels = read(tmp_path, file_of(values, photometric=photometric, **rescale))
    after = values[0] * float(rescale.get("RescaleSlope", 1)) + float(rescale.get("RescaleIntercept", 0))
    low, high = np.percentile(after, [0.1, 99.9])
    right = (np.clip(after, low, high) - low) / (high - low) * 255
    assert near(pixels.display(), 255 - right if photometric == "MONOCHROME1" else right)


@pytest.mark.parametrize("stored", [8, 6])
def test_eight_bit_pictures_without_a_window_are_shown_whole(stored: int, tmp_path: Path) -> None:
    values = np.minimum(noise(stored, False), 2**stored // 2)
    pixels = read(tmp_path, file_of(values, allocated=8, stored=stored))
    assert near(pixels.display(), values[0] / (2**stored - 1) * 255)


# --- frames --------------------------------------------------------------------------------------------


def group(**macros: dict[str, Any]) -> Dataset:
    found = Dataset()
    for sequence, elements in macros.items():
        item = Dataset()
        for keyword, value in elements.items():
            setattr(item, keyword, value)
        setattr(found, sequence, Sequence([item]))
    return found


RESCALE: dict[str, Any] = {"RescaleSlope": "2", "RescaleIntercept": "2000", "RescaleType": "US"}


def test_rescale_and_window_of_the_shared_groups_count_for_every_frame(tmp_path: Path) -> None:
    values = noise(10, False, frames=3)
    values[0] //= 8
    shared = group(
        PixelValueTransformationSequence=RESCALE,
        FrameVOILUTSequence={"WindowCenter": "3000", "WindowWidth": "1400"},
    )
    own = [group(FrameContentSequence={"StackID": "1"}) for _ in range(3)]
    data = file_of(
        values, stored=10,
        # What stands in the data set itself is for readers that know no groups.
        WindowCenter="500", WindowWidth="1000", RescaleSlope="1", RescaleIntercept="0",
        SharedFunctionalGroupsSequence=Sequence([shared]), PerFrameFunctionalGroupsSequence=Sequence(own),
    )  # fmt: skip
    for frame in range(3):
        pixels = read(tmp_path, data, frame)
        assert near(pixels.display(), linear(values[frame] * 2 + 2000, 3000, 1400))
        assert pixels.shown is not None and pixels.shown.alike


def test_every_frame_has_its_own_window_rescale_and_table(tmp_path: Path) -> None:
    values = noise(12, False, frames=3)
    table = lut(0, curve(4096, 12), 12)
    own = [
        group(
            FrameVOILUTSequence={"WindowCenter": "1000", "WindowWidth": "500", "VOILUTFunction": "SIGMOID"}
        ),
        group(
            PixelValueTransformationSequence=RESCALE,
            FrameVOILUTSequence={"WindowCenter": "6000", "WindowWidth": "5000"},
        ),
        group(FrameVOILUTSequence={"VOILUTSequence": Sequence([table])}),
    ]
    data = file_of(values, PerFrameFunctionalGroupsSequence=Sequence(own))
    right = [
        255 / (1 + np.exp(-4 * (values[0] - 1000.0) / 500)),
        linear(values[1] * 2 + 2000, 6000, 5000),
        curve(4096, 12)[values[2]] / 4095 * 255,
    ]
    for frame in range(3):
        pixels = read(tmp_path, data, frame)
        assert near(pixels.display(), right[frame])
        assert pixels.shown is not None and not pixels.shown.alike


def test_a_window_does_not_come_and_go_with_the_frames(tmp_path: Path) -> None:
    values = noise(12, False, frames=2)
    values[0] //= 64
    data = file_of(values, **WINDOW)
    assert (read(tmp_path, data, 0).display() == 0).all()
    assert near(read(tmp_path, data, 1).display(), linear(values[1], 2000, 2400))


def test_frames_without_a_window_have_statistics_of_their_own(tmp_path: Path) -> None:
    values = noise(12, False, frames=2)
    values[0] //= 4
    data = file_of(values)
    for frame in range(2):
        pixels = read(tmp_path, data, frame)
        low, high = np.percentile(values[frame], [0.1, 99.9])
        assert near(pixels.display(), (np.clip(values[frame], low, high) - low) / (high - low) * 255)
        assert pixels.shown is not None and not pixels.shown.alike


def test_frames_of_32_bits_have_one_scale(tmp_path: Path) -> None:
    values = np.stack([noise(12, False)[0], noise(24, False)[0]])
    data = file_of(values, allocated=32, stored=32, WindowCenter="4000000", WindowWidth="8000001")
    for frame in range(2):
        assert near(read(tmp_path, data, frame).display(), linear(values[frame], 4_000_000, 8_000_001))


@pytest.mark.parametrize("signed", [False, True])
def test_values_of_32_bits_that_need_only_16_are_as_stored(signed: bool, tmp_path: Path) -> None:
    values = noise(12, signed)
    pixels = read(tmp_path, file_of(values, allocated=32, stored=32, signed=signed))
    assert pixels.values.dtype.str == ("<i2" if signed else "<u2")
    np.testing.assert_array_equal(pixels.values, values[0])


# --- stored values -------------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless])
def test_what_was_encoded_with_its_cells_is_read_from_its_cells(syntax: Any, tmp_path: Path) -> None:
    import pydicom

    path = tmp_path / "case.dcm"
    path.write_bytes(file_of(noise(12, False), high=15, **WINDOW))
    header = pydicom.dcmread(path)
    # RLE keeps the cells, a codestream of the whole cell has its precision.
    header.BitsStored = 16
    header.compress(syntax)
    header.BitsStored = 12
    header.save_as(path)
    np.testing.assert_array_equal(reader.read(path).values, noise(12, False)[0])


def test_a_high_bit_that_cannot_be_is_not_believed(tmp_path: Path) -> None:
    data = file_of(noise(12, False), high=11, **WINDOW)
    marker = b"\x28\x00\x02\x01US\x02\x00"
    at = data.index(marker) + len(marker)
    pixels = read(tmp_path, data[:at] + b"\x07\x00" + data[at + 2 :])
    np.testing.assert_array_equal(pixels.values, noise(12, False)[0])


# --- the proof -----------------------------------------------------------------------------------------


def test_what_cannot_be_shown_is_not_described(tmp_path: Path) -> None:
    path = tmp_path / "case.dcm"
    values = noise(12, False, frames=2)
    short = Sequence([lut(0, curve(4096, 12), 12)])
    short[0].LUTData = short[0].LUTData[:100]
    own = [group(FrameVOILUTSequence=WINDOW), group(FrameVOILUTSequence={"VOILUTSequence": short})]
    path.write_bytes(file_of(values, PerFrameFunctionalGroupsSequence=Sequence(own)))
    with pytest.raises(DamagedFile, match="look-up table"):
        sandbox.describe(path)


def test_so_much_that_one_scale_cannot_be_found_is_refused_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imaging import dicom_pixels

    monkeypatch.setattr(dicom_pixels, "_MAX_SCANNED_BYTES", 1000)
    data = file_of(noise(24, False, frames=2), allocated=32, stored=32)
    with pytest.raises(UnsupportedEncoding, match="one common scale"):
        read(tmp_path, data)


# --- models --------------------------------------------------------------------------------------------


def test_models_get_padding_as_black_and_the_right_end_as_bright(tmp_path: Path) -> None:
    values = np.clip(noise(12, False), 100, 3000)
    values[:, :, 12:] = 4095
    kinds: list[tuple[dict[str, Any], bool]] = [
        ({}, False),
        ({"photometric": "MONOCHROME1"}, True),
        ({"RescaleSlope": "-1", "RescaleIntercept": "4095"}, True),
        ({"photometric": "MONOCHROME1", "RescaleSlope": "-1", "RescaleIntercept": "4095"}, False),
        ({"photometric": "MONOCHROME1", "PresentationLUTShape": "IDENTITY"}, False),
    ]
    for elements, falls in kinds:
        grey = grey_values(read(tmp_path, file_of(values, PixelPaddingValue=4095, **elements))).astype(int)
        assert (grey[:, 12:] == 0).all()
        body = values[0, :, :12]
        np.testing.assert_array_equal(grey[:, :12], body.max() - body if falls else body)


def test_models_get_what_a_modality_table_gives(tmp_path: Path) -> None:
    values = noise(12, False)
    table = lut(0, curve(4096, 16), 16)
    table.ModalityLUTType = "US"
    grey = grey_values(read(tmp_path, file_of(values, ModalityLUTSequence=Sequence([table]))))
    np.testing.assert_array_equal(grey, curve(4096, 16)[values[0]])
