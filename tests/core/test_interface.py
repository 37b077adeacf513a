"""How names and durations are written on every page."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cad_platform.core.templatetags.interface import person_name, waiting


@pytest.mark.parametrize(
    ("dicom", "written"),
    [
        ("Okafor^Amara", "Okafor, Amara"),
        ("Okafor^Amara^Grace^Dr^PhD", "Okafor, Amara Grace"),
        ("Okafor", "Okafor"),
        ("^Amara", "Amara"),
        ("陈^美琳", "陈美琳"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou"),
        ("=山田^太郎", "山田太郎"),
        ("", ""),
        ("^^^^", ""),
        ("<b>^x", "<b>, x"),
    ],
)
def test_a_dicom_name_is_written_as_people_write_it(dicom: str, written: str) -> None:
    assert person_name(dicom) == written


@pytest.mark.parametrize(
    ("waited", "words"),
    [
        (timedelta(seconds=59), "just now"),
        (timedelta(minutes=8), "8 min"),
        (timedelta(hours=2, minutes=5), "2 h 5 min"),
        (timedelta(days=3, hours=4, minutes=59), "3 d 4 h"),
        (timedelta(seconds=-5), "just now"),
        (None, ""),
    ],
)
def test_a_waiting_time_has_two_units_at_most(waited: timedelta | None, words: str) -> None:
    assert waiting(waited) == words
