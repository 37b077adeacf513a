"""Bad input is ordinary: each wrong file gives the right picture or a sentence, and the next file is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from imaging import sandbox
from imaging.errors import ImagingError
from imaging.phantoms import malformed

CASES = {case.name: case for case in malformed.cases()}


@pytest.mark.parametrize("name", CASES)
def test_a_wrong_file_ends_as_it_should(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    path = case.write(tmp_path)
    try:
        description = sandbox.describe(path)
        pixels = sandbox.read(path)
    except ImagingError as error:
        outcome = type(error).__name__
        assert error.reason.endswith(".")
        assert str(tmp_path) not in error.reason
    else:
        outcome = "picture"
        assert (pixels.rows, pixels.columns) == (description.rows, description.columns)
        assert pixels.photometric == description.photometric
    assert outcome in case.outcome, case.why


def test_a_name_with_control_characters_becomes_one_line(tmp_path: Path) -> None:
    header = sandbox.describe(malformed.case("nul-in-name.dcm").write(tmp_path)).header
    assert header is not None
    assert header.patient_name == "Phantom Malforme"


def test_missing_uids_are_reported(tmp_path: Path) -> None:
    description = sandbox.describe(malformed.case("no-uids.dcm").write(tmp_path))
    assert description.header is not None
    assert description.header.sop_instance_uid is None
    assert "SOPInstanceUID is missing." in description.remarks
