"""Random damage: whatever the bytes, the answer is a description or an `ImagingError`."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.encaps import encapsulate

from imaging import sandbox
from imaging.errors import DecoderUnavailable, ImagingError
from imaging.phantoms import histology, malformed, ultrasound

QUICK = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
KINDS = ("dicom", "jpeg.dcm", "j2k.dcm", "rle.dcm", "png", "jpg", "pgm", "tif", "slide")
#: A DICOM file, a picture and a slide always; the sweep over every kind is long.
SWEPT = [
    pytest.param(kind, marks=[] if kind in {"jpeg.dcm", "slide", "png"} else pytest.mark.long)
    for kind in KINDS
]


@lru_cache
def sound(kind: str) -> bytes:
    """A small valid file."""
    if kind in ("png", "jpg", "pgm"):
        return malformed.case(f"sound.{kind}").data
    if kind == "dicom":
        return malformed.dicom()
    if kind == "jpeg.dcm":
        return malformed.case("jpeg.dcm").data
    with TemporaryDirectory() as folder:
        path = Path(folder) / "made"
        if kind == "tif":
            histology.write_image(histology.photograph(1, shape=(64, 80)), path.with_suffix(".tif"))
            return path.with_suffix(".tif").read_bytes()
        if kind == "slide":
            histology.write_slide(histology.slide(1, shape=(700, 800)), path)
            return path.read_bytes()
        made = ultrasound.phantom(1, rows=48, columns=64)
        if kind == "rle.dcm":
            import pydicom

            ultrasound.write_dicom(made, path)
            dataset = pydicom.dcmread(path)
            dataset.compress("1.2.840.10008.1.2.5")
            dataset.save_as(path)
            return path.read_bytes()
        import imagecodecs

        coded = imagecodecs.jpeg2k_encode(made.pixels, reversible=True, codecformat="J2K")
        return malformed.dicom(
            syntax="1.2.840.10008.1.2.4.90", pixels=encapsulate([coded]), rows=48, columns=64
        )


def survives(data: bytes, path: Path) -> str:
    path.write_bytes(data)
    try:
        description = sandbox.describe(path)
        pixels = sandbox.read(path)
    except DecoderUnavailable:
        raise
    except ImagingError as error:
        assert error.reason
        return type(error).__name__
    assert pixels.photometric == description.photometric
    return "picture"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "fuzzed"


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_before_damage_is_read(kind: str, path: Path) -> None:
    assert survives(sound(kind), path) == "picture"


@QUICK
@given(data=st.binary(max_size=2000))
def test_random_bytes(data: bytes, path: Path) -> None:
    survives(data, path)


@QUICK
@given(
    data=st.binary(max_size=600),
    head=st.sampled_from([b"\0" * 128 + b"DICM", b"II*\0", b"\x89PNG\r\n\x1a\n", b"P5 "]),
)
def test_random_bytes_behind_a_true_beginning(head: bytes, data: bytes, path: Path) -> None:
    survives(head + data, path)


@pytest.mark.parametrize("kind", SWEPT)
@settings(QUICK, max_examples=15)
@given(share=st.floats(0, 1, exclude_max=True))
def test_cut_off_anywhere(kind: str, share: float, path: Path) -> None:
    data = sound(kind)
    survives(data[: int(len(data) * share)], path)


@pytest.mark.parametrize("kind", SWEPT)
@settings(QUICK, max_examples=35)
@given(
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=8)
)
def test_flipped_bits_in_the_first_kilobytes(kind: str, flips: list[tuple[float, int]], path: Path) -> None:
    data = bytearray(sound(kind))
    for place, change in flips:
        data[int(min(len(data), 3000) * place)] ^= change
    survives(bytes(data), path)
