"""Whatever the encoding, the pixels are those that were encoded; and the header's facts are the header's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRBigEndian,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    JPEGLSLossless,
    RLELossless,
)

from imaging import reader
from imaging.errors import NoSuchFrame
from imaging.phantoms import mammography, ultrasound
from imaging.phantoms.malformed import dicom
from imaging.phantoms.phantom import Phantom


@pytest.fixture
def film() -> Phantom:
    return mammography.phantom(4, "L", "MLO", "malignant", rows=448, columns=336)


def rewritten(path: Path, change: Callable[[Any], None]) -> Path:
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(path)
    return path


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("bits", [8, 12])
def test_lossless_codecs_give_back_every_pixel(
    syntax: Any, bits: int, scan: Phantom, film: Phantom, tmp_path: Path
) -> None:
    made = scan if bits == 8 else film
    path = tmp_path / "image.dcm"
    (ultrasound if bits == 8 else mammography).write_dicom(made, path)
    rewritten(path, lambda dataset: dataset.compress(syntax))
    pixels = reader.read(path)
    assert pixels.values.dtype == made.pixels.dtype
    np.testing.assert_array_equal(pixels.values, made.pixels)


def test_big_endian_pixels(film: Phantom, tmp_path: Path) -> None:
    path = tmp_path / "image.dcm"
    mammography.write_dicom(film, path)
    dataset = pydicom.dcmread(path)
    dataset.PixelData = film.pixels.astype(">u2").tobytes()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    pydicom.dcmwrite(path, dataset, implicit_vr=False, little_endian=False, force_encoding=True)
    np.testing.assert_array_equal(reader.read(path).values, film.pixels)


def test_twelve_bit_lossy_jpeg(film: Phantom, tmp_path: Path) -> None:
    import imagecodecs

    path = tmp_path / "image.dcm"
    mammography.write_dicom(film, path)

    def encode(dataset: Any) -> None:
        coded = imagecodecs.jpeg8_encode(film.pixels, level=98, bitspersample=12)
        dataset.file_meta.TransferSyntaxUID = JPEGExtended12Bit
        dataset.PixelData = encapsulate([coded])
        dataset["PixelData"].is_undefined_length = True
        dataset["PixelData"].VR = "OB"

    pixels = reader.read(rewritten(path, encode))
    assert np.abs(pixels.values.astype(int) - film.pixels).mean() < 20


def test_every_frame_of_a_loop_is_its_own(tmp_path: Path) -> None:
    frames = [np.full((64, 48), 10 * n, dtype=np.uint8) for n in range(5)]
    path = tmp_path / "loop.dcm"
    path.write_bytes(
        dicom(lambda header: setattr(header, "NumberOfFrames", "5"), pixels=b"".join(map(bytes, frames)))
    )
    rewritten(path, lambda dataset: dataset.compress(RLELossless))
    assert reader.describe(path).frames == 5
    for number, frame in enumerate(frames):
        np.testing.assert_array_equal(reader.read(path, number).values, frame)
    with pytest.raises(NoSuchFrame):
        reader.read(path, 5)


def test_frames_in_several_fragments_are_put_together(scan: Phantom, tmp_path: Path) -> None:
    import imagecodecs

    coded = [
        imagecodecs.jpeg2k_encode(np.roll(scan.pixels, n, 0), reversible=True, codecformat="J2K")
        for n in range(3)
    ]
    rows, columns = scan.pixels.shape
    path = tmp_path / "loop.dcm"
    for has_table in (True, False):
        data = encapsulate(coded, fragments_per_frame=3, has_bot=has_table)
        path.write_bytes(
            dicom(
                lambda header: setattr(header, "NumberOfFrames", "3"),
                syntax=JPEG2000Lossless,
                pixels=data,
                rows=rows,
                columns=columns,
            )
        )
        for number in range(3):
            np.testing.assert_array_equal(reader.read(path, number).values, np.roll(scan.pixels, number, 0))


def test_monochrome1_is_kept_and_shown_inverted(tmp_path: Path) -> None:
    path = tmp_path / "negative.dcm"
    path.write_bytes(dicom(lambda header: setattr(header, "PhotometricInterpretation", "MONOCHROME1")))
    pixels = reader.read(path)
    assert pixels.photometric == "MONOCHROME1"
    assert pixels.values[0, 0] == 0
    assert pixels.display()[0, 0] == 255
    np.testing.assert_array_equal(pixels.display(), 255 - pixels.values)


def test_a_window_maps_as_the_standard_says(tmp_path: Path) -> None:
    def window(header: Any) -> None:
        header.WindowCenter, header.WindowWidth = "50", "21"

    path = tmp_path / "window.dcm"
    path.write_bytes(dicom(window))
    pixels = reader.read(path)
    shown = pixels.display()
    # PS3.3 C.11.2.1.2.1: black up to centre − 0.5 − (width − 1)/2, white beyond centre − 0.5 + (width − 1)/2.
    assert (shown[pixels.values <= 39] == 0).all()
    assert (shown[pixels.values >= 60] == 255).all()
    assert shown[pixels.values == 50][0] == pytest.approx(255 * (0.5 / 20 + 0.5), abs=1)


def test_a_window_is_given_after_the_rescale(tmp_path: Path) -> None:
    def rescale(header: Any) -> None:
        header.RescaleSlope, header.RescaleIntercept = "2", "-100"
        header.WindowCenter, header.WindowWidth = "0", "80"

    path = tmp_path / "rescaled.dcm"
    path.write_bytes(dicom(rescale))
    pixels = reader.read(path)
    assert pixels.shown is not None
    assert (pixels.shown.window.centre, pixels.shown.window.width) == (0.0, 80.0)
    shown = pixels.display()
    # Black up to −40 and white from 40, which are the stored 30 and 70.
    assert (shown[pixels.values <= 30] == 0).all() and (shown[pixels.values >= 70] == 255).all()
    assert int(shown[pixels.values == 50][0]) == pytest.approx(128, abs=2)


def test_overlay_bits_above_the_stored_ones_are_cleared(tmp_path: Path) -> None:
    def twelve(header: Any) -> None:
        header.BitsAllocated, header.BitsStored, header.HighBit = 16, 12, 11
        header["PixelData"].VR = "OW"

    values = np.arange(64 * 48, dtype=np.uint16).reshape(64, 48)
    path = tmp_path / "overlay.dcm"
    path.write_bytes(dicom(twelve, pixels=(values | 0x8000).tobytes()))
    np.testing.assert_array_equal(reader.read(path).values, values)


def test_a_mammogram_says_all_that_hanging_needs(film: Phantom, tmp_path: Path) -> None:
    path = tmp_path / "film.dcm"
    mammography.write_dicom(film, path, PatientID="P-7", AccessionNumber="A-1")
    description = reader.describe(path)
    header = description.header
    assert header is not None
    assert (header.laterality, header.view_position, header.presentation_intent) == (
        "L",
        "MLO",
        "FOR PRESENTATION",
    )
    assert (header.patient_id, header.accession_number, header.modality) == ("P-7", "A-1", "MG")
    assert (header.patient_birth_date, header.patient_sex, header.body_part) == ("1970-01-01", "F", "BREAST")
    assert header.study_instance_uid is not None and header.study_instance_uid.startswith("2.25.")
    assert header.burned_in_annotation is False
    assert description.pixel_spacing_um == pytest.approx((film.um_per_px, film.um_per_px), rel=1e-3)
    assert description.remarks == ()


def test_the_view_is_told_from_its_code_alone(film: Phantom, tmp_path: Path) -> None:
    path = tmp_path / "film.dcm"
    mammography.write_dicom(film, path)
    rewritten(path, lambda dataset: dataset.__delattr__("ViewPosition"))
    header = reader.describe(path).header
    assert header is not None and header.view_position == "MLO"


def test_ultrasound_spacing_comes_from_its_region(scan: Phantom, tmp_path: Path) -> None:
    path = tmp_path / "scan.dcm"
    ultrasound.write_dicom(scan, path)
    description = reader.describe(path)
    assert description.pixel_spacing_um == pytest.approx((80.0, 80.0))
    assert description.pixel_spacing_source == "SequenceOfUltrasoundRegions"
