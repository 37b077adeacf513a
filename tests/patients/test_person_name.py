"""How a DICOM person name is written on every page."""

from __future__ import annotations

import pytest

from cad_platform.patients.person_name import (
    groups_of,
    person_name,
    same_name,
    search_text,
    search_words,
)


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


@pytest.mark.parametrize(
    ("dicom", "query"),
    [
        ("Okafor^Amara", "Okafor, Amara"),
        ("Okafor^Amara", "amara OKAFOR"),
        ("Okafor^Amara", "oka am"),
        ("Okafor^Amara", "Okafor^Amara"),
        ("Müller-Lund^Jörg", "muller lund"),
        ("Müller-Lund^Jörg", "Müller-Lund, Jörg"),
        ("Müller^Jörg", "mueller"),
        ("Łukasz^Søren", "lukasz soren"),
        ("O'Brien^Síle", "obrien sile"),
        ("Wang^Xiao Dong", "xiaodong"),
        ("Wang^XiaoDong=王^小东", "王小东"),
        ("Wang^XiaoDong=王^小东", "王 小东"),
        ("Wang^XiaoDong=王^小东", "Wang, XiaoDong (王小东)"),
        ("王^小东", "小东王"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "たろう"),
        ("ﾔﾏﾀﾞ^ﾀﾛｳ", "ヤマダ"),
        ("김^희중", "김희중"),
    ],
)
def test_a_name_is_found_however_it_is_typed(dicom: str, query: str) -> None:
    words = search_words(query)
    assert words and all(word in search_text(dicom) for word in words)


@pytest.mark.parametrize(("dicom", "query"), [("Okafor^Amara", "Okafor Jane"), ("王^小东", "王晓东")])
def test_another_name_is_not(dicom: str, query: str) -> None:
    assert not all(word in search_text(dicom) for word in search_words(query))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Okafor^Amara", "OKAFOR^amara^^^", True),
        ("Wang^XiaoDong=王^小东", "王^小东", True),
        ("Wang^XiaoDong=王^小东", "Wang^XiaoDong", True),
        ("Wang^XiaoDong=王^小东", "Wang^XiaoDong=王^晓东", False),
        ("王^小东", "王小东", True),
        ("Wang^XiaoDong", "王^小东", False),
        ("=王^小东", "王^小东", True),
    ],
)
def test_names_are_compared_script_by_script(one: str, other: str, same: bool) -> None:
    assert same_name(one, other) is same_name(other, one) is same


@pytest.mark.parametrize(
    "name",
    ["Wang^XiaoDong=王^小东", "王^小东", "Yamada^Tarou=山田^太郎=やまだ^たろう", "=HYPERLINK(1)", "A^B"],
)
def test_a_name_taken_apart_is_put_together_again(name: str) -> None:
    assert groups_of(name).joined() == name
