"""Every kind of grey is shown as DCMTK's dcm2pnm shows it: pictures recorded by `make_grayscale_references.py`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from imaging import reader
from imaging.pixels import Pixels
from tests.imaging.grayscale_cases import Case, cases
from tests.imaging.make_grayscale_references import REFERENCES

CASES = {case.name: case for case in cases()}


@pytest.fixture(scope="module")
def recorded() -> dict[str, NDArray[np.uint8]]:
    with np.load(REFERENCES) as archive:
        return dict(zip(archive["names"].tolist(), archive["pictures"], strict=True))


def shown(pixels: Pixels, case: Case) -> NDArray[np.uint8]:
    """The picture through the window or the table that the case names."""
    assert pixels.shown is not None
    kind, number = case.options
    if number == "1":
        return pixels.display()
    offered = [each for each in pixels.shown.offered if (each.window is None) == (kind == "+Wl")][
        int(number) - 1
    ]
    if offered.greys is not None:
        return offered.greys.of(pixels.values)
    return pixels.display(offered.window)


def test_each_case_has_its_picture(recorded: dict[str, NDArray[np.uint8]]) -> None:
    assert set(recorded) == {case.reference for case in CASES.values()}


@pytest.mark.parametrize("name", CASES)
def test_the_picture_is_that_of_dcmtk(
    name: str, recorded: dict[str, NDArray[np.uint8]], tmp_path: Path
) -> None:
    case = CASES[name]
    path = tmp_path / "case.dcm"
    path.write_bytes(case.data)
    pixels = reader.read(path)
    assert pixels.values.dtype.str in ("|u1", "<u2", "<i2")
    difference = np.abs(shown(pixels, case).astype(int) - recorded[case.reference])
    assert difference.mean() <= 1, f"mean difference {difference.mean():.2f}, at most {difference.max()}"
