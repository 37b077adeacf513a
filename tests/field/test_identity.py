"""Who it is and which study: what was sent is kept, what cannot be used is said."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.uid import generate_uid

from tests.field.files import speckle, ultrasound
from tests.posted_files import Hospital

pytestmark = pytest.mark.django_db


def with_value(data: bytes, tag: bytes, vr: bytes, value: bytes) -> bytes:
    """The file with one explicit value replaced by bytes that no library would write."""
    place = data.index(tag + vr)
    length = int.from_bytes(data[place + 6 : place + 8], "little")
    value += (b"\0" if vr == b"UI" else b" ") * (len(value) % 2)
    head = data[:place] + tag + vr + len(value).to_bytes(2, "little")
    return head + value + data[place + 8 + length :]


def study_of(hospital: Hospital, data: bytes, post: dict[str, Any] | None = None) -> dict[str, Any]:
    answer = hospital.post(post, {"a.dcm": data})
    assert answer.status_code == 201, answer.content
    found: dict[str, Any] = hospital.client.get(answer.json()["url"]).json()
    return found


def test_a_uid_with_leading_zeros_is_kept_and_found() -> None:
    hospital = Hospital()
    sent = f"1.2.840.0113.007.{generate_uid()[-6:].lstrip('0.') or '1'}"
    data = ultrasound(speckle())
    for tag, uid in (
        (b"\x20\x00\x0d\x00", sent),
        (b"\x20\x00\x0e\x00", f"{sent}.0"),
        (b"\x08\x00\x18\x00", f"{sent}.01"),
    ):
        data = with_value(data, tag, b"UI", uid.encode())
    study = study_of(hospital, data)
    assert study["study_instance_uid"] == sent
    assert study["images"][0]["sop_instance_uid"] == f"{sent}.01"
    assert hospital.client.get(f"/api/v1/studies/{sent}").status_code == 200
    assert hospital.post(None, {"a.dcm": data}).status_code == 200


def test_a_uid_that_is_none_is_replaced_and_listed() -> None:
    hospital = Hospital()
    data = with_value(ultrasound(speckle()), b"\x20\x00\x0d\x00", b"UI", b"1.2.STUDY.7")
    study = study_of(hospital, data)
    assert study["study_instance_uid"] != "1.2.STUDY.7"
    assert any(
        each["header"] == "1.2.STUDY.7" and each["used"] == study["study_instance_uid"]
        for each in study["header_differences"]
    )


@pytest.mark.parametrize(
    "sent", ["196112", "1961", "19610000", "00000000", "19610230", "29990101", "1961-13-01", "31.12.1961"]
)
def test_a_birth_date_that_is_none_is_unknown_and_said(sent: str) -> None:
    data = with_value(ultrasound(speckle()), b"\x10\x00\x30\x00", b"DA", sent.encode())
    study = study_of(Hospital(), data)
    assert study["patient"]["birth_date"] is None
    assert any(sent in each["header"] for each in study["header_differences"])


@pytest.mark.parametrize("sent", ["19611231", "1961.12.31"])
def test_a_birth_date_in_either_of_dicoms_forms(sent: str) -> None:
    data = with_value(ultrasound(speckle()), b"\x10\x00\x30\x00", b"DA", sent.encode())
    assert study_of(Hospital(), data)["patient"]["birth_date"] == "1961-12-31"


def test_a_name_without_a_character_set_is_read_as_the_site_writes() -> None:
    data = with_value(ultrasound(speckle()), b"\x10\x00\x10\x00", b"PN", "王^小东".encode("gbk"))
    hospital = Hospital()
    hospital.site.default_character_set = "GB18030"
    hospital.site.save()
    assert study_of(hospital, data)["patient"]["name"] == "王^小东"


def test_a_name_that_nobody_can_read_is_not_made_up() -> None:
    data = with_value(ultrasound(speckle()), b"\x10\x00\x10\x00", b"PN", "王^小东".encode("gbk"))
    hospital = Hospital()
    answer = hospital.post(None, {"a.dcm": data})
    text = answer.content.decode()
    if answer.status_code == 201:
        text += hospital.client.get(answer.json()["url"]).content.decode()
    assert "Íõ" not in text


def test_the_same_number_from_another_issuer_is_another_patient() -> None:
    hospital = Hospital()
    ids = {
        study_of(hospital, ultrasound(speckle(), PatientID="77", PatientName=name, IssuerOfPatientID=issuer))[
            "patient"
        ]["name"]
        for issuer, name in (("NORTH", "North^Woman"), ("SOUTH", "South^Woman"))
    }
    assert ids == {"North^Woman", "South^Woman"}
    found = hospital.search({"patient_id": "77"}).json()["results"]
    assert len({each["patient"]["name"] for each in found}) == 2


def test_both_groups_of_a_name_are_kept_and_found() -> None:
    hospital = Hospital()
    data = ultrasound(
        speckle(), SpecificCharacterSet="ISO_IR 192", PatientName="Wang^XiaoDong=王^小东", PatientID="G-1"
    )
    study_of(hospital, data)
    for words in ("Wang XiaoDong", "XiaoDong Wang", "王小东", "王 小东", "Wang, XiaoDong"):
        assert len(hospital.search({"name": words}).json()["results"]) == 1, words


def test_a_study_that_has_not_changed_is_not_sent_twice() -> None:
    hospital = Hospital()
    answer = hospital.post(None, {"a.dcm": ultrasound(speckle())})
    first = hospital.client.get(answer.json()["url"])
    tag = first["ETag"]
    assert hospital.client.get(answer.json()["url"], headers={"If-None-Match": tag}).status_code == 304
