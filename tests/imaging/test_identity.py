"""Who and which, as senders write it: UIDs, dates and names in all their spellings."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging import identity, reader
from imaging.description import AsSent, DicomHeader
from tests.posted_files import dicom, with_value

NAME, BIRTH_DATE, CHARACTER_SET = (0x0010, 0x0010), (0x0010, 0x0030), (0x0008, 0x0005)


def header(tmp_path: Path, data: bytes, charset: str | None = None) -> DicomHeader:
    (tmp_path / "a.dcm").write_bytes(data)
    found = reader.describe(tmp_path / "a.dcm", prove=False, charset=charset).header
    assert found is not None
    return found


def about(found: DicomHeader, field: str) -> AsSent | None:
    return next((each for each in found.as_sent if each.field == field), None)


class TestUids:
    @pytest.mark.parametrize(
        "sent", ["1.2.840.0113.007.1", "1.02.3", "2.25.00", "9.1.2", "1.2.840.113619.", "1..2", "01.2"]
    )
    def test_what_is_malformed_is_kept_as_it_was_sent_and_said(self, tmp_path: Path, sent: str) -> None:
        found = header(tmp_path, with_value(dicom(), (0x0020, 0x000D), "UI", sent.encode()))
        assert found.study_instance_uid == sent
        said = about(found, "study_instance_uid")
        assert said and (said.sent, said.used) == (sent, sent)

    @pytest.mark.parametrize("padding", [b"\0", b" ", b"\0\0\0", b"  "])
    def test_padding_is_no_part_of_it(self, tmp_path: Path, padding: bytes) -> None:
        found = header(tmp_path, with_value(dicom(), (0x0020, 0x000D), "UI", b"1.2.840.1" + padding))
        assert found.study_instance_uid == "1.2.840.1" and about(found, "study_instance_uid") is None

    @pytest.mark.parametrize(
        "sent",
        ["1.2.840.abc", "1" * 65, "1." + "2" * 63, "12345", "1.2.840\\1.2.841", "1.2 .3", "..", "１.２"],
    )
    def test_what_nobody_could_be_known_by_is_not_used_and_kept(self, tmp_path: Path, sent: str) -> None:
        found = header(tmp_path, with_value(dicom(), (0x0008, 0x0018), "UI", sent.encode()))
        assert found.sop_instance_uid is None
        said = about(found, "sop_instance_uid")
        assert said is not None and said.used is None and said.sent

    def test_one_that_is_well_written_is_no_news(self, tmp_path: Path) -> None:
        assert header(tmp_path, dicom()).as_sent == ()


class TestDates:
    @pytest.mark.parametrize(
        "sent",
        [
            "196112",
            "1961",
            "00000000",
            "19610400",
            "19610230",
            "1961-12-04",
            "19611204120000",
            "6112",
            "unknown",
            "18491231",
            "29991231",
            "19611204-19621204",
            "1961.12",
            "196112 4",
        ],
    )
    def test_half_a_date_is_none_and_kept_as_sent(self, tmp_path: Path, sent: str) -> None:
        found = header(tmp_path, with_value(dicom(), BIRTH_DATE, "DA", sent.encode()))
        assert found.patient_birth_date is None
        said = about(found, "patient.birth_date")
        assert said and (said.sent, said.used) == (sent, None)

    def test_tomorrow_has_come_elsewhere_but_no_later_day(self, tmp_path: Path) -> None:
        later = datetime.date.today() + datetime.timedelta(days=2)
        found = header(tmp_path, with_value(dicom(), BIRTH_DATE, "DA", later.strftime("%Y%m%d").encode()))
        assert found.patient_birth_date is None

    @pytest.mark.parametrize("sent", ["19611204", "1961.12.04", "19611204  "])
    def test_a_whole_one_is_read(self, tmp_path: Path, sent: str) -> None:
        found = header(tmp_path, with_value(dicom(), BIRTH_DATE, "DA", sent.encode()))
        assert found.patient_birth_date == "1961-12-04" and about(found, "patient.birth_date") is None

    def test_a_study_date_alike(self, tmp_path: Path) -> None:
        found = header(tmp_path, with_value(dicom(), (0x0008, 0x0020), "DA", b"202601"))
        assert found.study_date is None
        assert about(found, "study_date")

    @given(st.text(max_size=12))
    def test_nothing_but_eight_digits_is_a_date(self, text: str) -> None:
        found = identity.date_of(text)
        if found is not None:
            assert text.replace(".", "") == found.strftime("%Y").zfill(4) + found.strftime("%m%d")


class TestNamesWithoutACharacterSet:
    @pytest.mark.parametrize(
        ("raw", "name"),
        [
            ("王^小东".encode("gbk"), "王^小东"),
            ("王^小东".encode("gb18030"), "王^小东"),
            ("㐂^小东".encode("gb18030"), "㐂^小东"),  # four bytes a character
            ("王^小东".encode(), "王^小东"),  # UTF-8, never 鐜媈
            ("Wang^Xiao Dong=王^小东".encode("gbk"), "Wang^Xiao Dong=王^小东"),
            ("Müller^Jörg".encode(), "Müller^Jörg"),
            (b"Okafor^Amara", "Okafor^Amara"),
        ],
    )
    def test_are_read_by_the_site_s_default(self, tmp_path: Path, raw: bytes, name: str) -> None:
        found = header(tmp_path, with_value(dicom(), NAME, "PN", raw), "GB18030")
        assert found.patient_name == name
        assert (about(found, "patient.name") is not None) == (not raw.isascii())

    @pytest.mark.parametrize(
        "raw", ["王^小东".encode("gbk"), "王^小东".encode(), "Müller^Jörg".encode("latin-1")]
    )
    def test_are_not_guessed_where_nobody_said_one(self, tmp_path: Path, raw: bytes) -> None:
        found = header(tmp_path, with_value(dicom(), NAME, "PN", raw))
        assert found.patient_name is None
        said = about(found, "patient.name")
        assert said and said.used is None and said.sent.isascii() and "\\x" in said.sent

    def test_a_european_name_does_not_become_a_chinese_one(self, tmp_path: Path) -> None:
        data = with_value(dicom(), NAME, "PN", "Müller^Jörg".encode("latin-1"))
        assert header(tmp_path, data, "GB18030").patient_name is None
        assert header(tmp_path, data, "ISO_IR 100").patient_name == "Müller^Jörg"

    @pytest.mark.parametrize("declared", ["ISO_IR 6", "NONSENSE", "hex"])
    def test_naming_none_that_could_serve_is_naming_none(self, tmp_path: Path, declared: str) -> None:
        data = dicom(SpecificCharacterSet="ISO_IR 192")
        data = with_value(data, CHARACTER_SET, "CS", declared.encode())
        data = with_value(data, NAME, "PN", "王^小东".encode("gbk"))
        assert header(tmp_path, data).patient_name is None
        assert header(tmp_path, data, "GB18030").patient_name == "王^小东"

    def test_one_that_does_not_fit_is_naming_none(self, tmp_path: Path) -> None:
        data = with_value(dicom(SpecificCharacterSet="ISO_IR 192"), NAME, "PN", "王^小东".encode("gbk"))
        assert header(tmp_path, data).patient_name is None
        assert header(tmp_path, data, "GB18030").patient_name == "王^小东"

    def test_escapes_say_their_set_themselves(self, tmp_path: Path) -> None:
        raw = b"Wang^XiaoDong=\x1b$)A\xcd\xf5^\x1b$)A\xd0\xa1\xb6\xab"
        found = header(tmp_path, with_value(dicom(), NAME, "PN", raw))
        assert found.patient_name == "Wang^XiaoDong=王^小东"

    def test_an_id_that_cannot_be_read_stays_apart_from_others(self, tmp_path: Path) -> None:
        ids = {
            header(tmp_path, with_value(dicom(), (0x0010, 0x0020), "LO", raw)).patient_id
            for raw in ("号1".encode("gbk"), "院1".encode("gbk"))
        }
        assert len(ids) == 2 and all(each and each.isascii() for each in ids)


class TestNamesWithACharacterSet:
    @pytest.mark.parametrize(
        ("declared", "encoding"),
        [
            ("GB18030", "gb18030"),
            ("GBK", "gbk"),
            ("GB2312", "gb2312"),
            ("ISO_IR 192", "utf-8"),
            ("ISO IR 192", "utf-8"),
            ("ISO_IR_192", "utf-8"),
            ("UTF-8", "utf-8"),
            ("gb18030", "gb18030"),
        ],
    )
    def test_misspelt_or_not_is_read(self, tmp_path: Path, declared: str, encoding: str) -> None:
        data = with_value(dicom(SpecificCharacterSet="ISO_IR 6"), CHARACTER_SET, "CS", declared.encode())
        found = header(tmp_path, with_value(data, NAME, "PN", "王^小东".encode(encoding)))
        assert found.patient_name == "王^小东" and found.as_sent == ()

    def test_latin_1_that_makes_a_name_nobody_has_is_not_believed(self, tmp_path: Path) -> None:
        data = with_value(dicom(SpecificCharacterSet="ISO_IR 100"), NAME, "PN", "王^小东".encode("gbk"))
        found = header(tmp_path, data, "GB18030")
        assert found.patient_name == "王^小东"
        said = about(found, "patient.name")
        assert said and "ISO_IR 100" in said.note
        unread = header(tmp_path, data)
        assert unread.patient_name is None and about(unread, "patient.name"), "where nobody knows better"

    @pytest.mark.parametrize("name", ["Müller^Jörg", "D´Angelo^Zoë", "García^Mª José", "Ó Briain^Síle"])
    def test_latin_1_is_believed_where_the_site_has_another_default(self, tmp_path: Path, name: str) -> None:
        data = with_value(dicom(SpecificCharacterSet="ISO_IR 100"), NAME, "PN", name.encode("latin-1"))
        found = header(tmp_path, data, "GB18030")
        assert found.patient_name == name and found.as_sent == ()

    @pytest.mark.parametrize(
        ("declared", "raw", "name"),
        [
            (b"\\ISO 2022 IR 58", "王^小东".encode("gb2312"), "王^小东"),
            (b"\\ISO 2022 IR 149", "김^희중".encode("euc-kr"), "김^희중"),
            (
                b"ISO 2022 IR 6\\ISO 2022 IR 58",
                "Wang^XiaoDong=王^小东".encode("gb2312"),
                "Wang^XiaoDong=王^小东",
            ),
        ],
    )
    def test_a_set_that_is_named_and_not_announced_is_read(
        self, tmp_path: Path, declared: bytes, raw: bytes, name: str
    ) -> None:
        data = with_value(dicom(SpecificCharacterSet="ISO_IR 6"), CHARACTER_SET, "CS", declared)
        found = header(tmp_path, with_value(data, NAME, "PN", raw))
        assert found.patient_name == name
        assert [(each.field, each.used) for each in found.as_sent] == [("patient.name", name)]

    @pytest.mark.parametrize(("default", "name"), [("GB18030", "镕^基"), (None, None)])
    def test_what_the_named_set_does_not_have_is_the_site_s_or_nobodys(
        self, tmp_path: Path, default: str | None, name: str | None
    ) -> None:
        data = with_value(dicom(SpecificCharacterSet="ISO_IR 6"), CHARACTER_SET, "CS", b"\\ISO 2022 IR 58")
        found = header(tmp_path, with_value(data, NAME, "PN", "镕^基".encode("gbk")), default)
        assert found.patient_name == name

    def test_code_extensions_in_the_ideographic_group(self, tmp_path: Path) -> None:
        data = with_value(dicom(SpecificCharacterSet="ISO_IR 6"), CHARACTER_SET, "CS", b"\\ISO 2022 IR 58")
        raw = b"Wang^XiaoDong=\x1b$)A\xcd\xf5^\x1b$)A\xd0\xa1\xb6\xab"
        assert header(tmp_path, with_value(data, NAME, "PN", raw)).patient_name == "Wang^XiaoDong=王^小东"

    def test_all_groups_are_kept(self, tmp_path: Path) -> None:
        raw = "Yamada^Tarou=山田^太郎=やまだ^たろう".encode()
        found = header(tmp_path, with_value(dicom(SpecificCharacterSet="ISO_IR 192"), NAME, "PN", raw))
        assert found.patient_name == "Yamada^Tarou=山田^太郎=やまだ^たろう"


def test_the_issuer_of_an_id_is_read(tmp_path: Path) -> None:
    assert header(tmp_path, dicom(IssuerOfPatientID="CITY")).patient_id_issuer == "CITY"
    assert header(tmp_path, dicom()).patient_id_issuer is None
