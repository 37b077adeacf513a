"""How a DICOM person name is written on every page."""

from __future__ import annotations

import pytest

from cad_platform.patients.person_name import person_name


@pytest.mark.parametrize(
    ("dicom", "written"),
    [
        ("Okafor^Amara", "Okafor, Amara"),
        ("Okafor^Amara^Grace^Dr^PhD", "Okafor, Amara Grace"),
        ("Okafor", "Okafor"),
        ("^Amara", "Amara"),
        ("陈^美琳", "陈美琳"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou (山田太郎, やまだたろう)"),
        ("Wang^XiaoDong=王^小东", "Wang, XiaoDong (王小东)"),
        ("王^小东=王^小东", "王小东"),
        ("=山田^太郎", "山田太郎"),
        ("", ""),
        ("^^^^", ""),
        ("<b>^x", "<b>, x"),
    ],
)
def test_a_dicom_name_is_written_as_people_write_it(dicom: str, written: str) -> None:
    assert person_name(dicom) == written
