"""POST /api/v1/studies: who a study's patient is and which study it is, however the sender writes it."""

from __future__ import annotations

from typing import Any

import pytest

from cad_platform.patients.models import Patient
from cad_platform.studies.models import Instance, Study
from tests.posted_files import Hospital, dicom, with_value

pytestmark = pytest.mark.django_db

BIRTH_DATE = (0x0010, 0x0030)
STUDY_UID, SERIES_UID, SOP_UID = (0x0020, 0x000D), (0x0020, 0x000E), (0x0008, 0x0018)


@pytest.fixture
def hospital() -> Hospital:
    return Hospital()


def differences(hospital: Hospital, answer: Any) -> list[dict[str, str]]:
    assert answer.status_code in {200, 201}, answer.content
    found = hospital.get(f"/{answer.json()['study_instance_uid']}")
    assert found.status_code == 200, found.content
    return found.json()["header_differences"]


class TestUids:
    def test_leading_zeros_are_kept_found_and_noted(self, hospital: Hospital) -> None:
        sent = "1.2.840.0113.007.1"
        data = with_value(dicom(), STUDY_UID, "UI", sent.encode())
        data = with_value(data, SOP_UID, "UI", b"1.2.840.0113.007.1.09")
        answer = hospital.post(None, {"a.dcm": data})
        assert answer.json()["study_instance_uid"] == sent
        assert answer.json()["overridden"] == []
        assert Instance.objects.get().sop_instance_uid == "1.2.840.0113.007.1.09"
        [study, image] = sorted(differences(hospital, answer), key=lambda each: each["field"], reverse=True)
        assert (study["field"], study["header"], study["used"]) == ("study_instance_uid", sent, sent)
        assert image["field"] == "sop_instance_uid" and "standard" in image["note"]

    def test_four_views_posted_one_by_one_are_one_study(self, hospital: Hospital) -> None:
        files = {
            f"{number}.dcm": with_value(dicom(number), STUDY_UID, "UI", b"1.2.840.0113.007.1")
            for number in range(4)
        }
        answer = hospital.post(None, files)
        assert answer.status_code == 201 and Study.objects.count() == 1
        noted = [each for each in differences(hospital, answer) if each["field"] == "study_instance_uid"]
        assert len(noted) == 1, "said once for the study, not for every file"

    @pytest.mark.parametrize("sent", [b"1.2.abc", b"1." + b"2" * 63, b"12345"])
    def test_what_is_unusable_is_replaced_and_listed_with_what_was_sent(
        self, hospital: Hospital, sent: bytes
    ) -> None:
        answer = hospital.post(None, {"a.dcm": with_value(dicom(), STUDY_UID, "UI", sent)})
        minted = answer.json()["study_instance_uid"]
        assert minted.startswith("2.25.") and answer.json()["overridden"] == ["study_instance_uid"]
        [listed] = differences(hospital, answer)
        assert (listed["header"], listed["used"]) == (sent.decode(), minted)

    def test_unusable_uids_of_images_and_series_too(self, hospital: Hospital) -> None:
        data = with_value(with_value(dicom(), SOP_UID, "UI", b"sop"), SERIES_UID, "UI", b"series")
        answer = hospital.post(None, {"a.dcm": data})
        image = Instance.objects.get()
        assert image.sop_instance_uid_minted
        assert {(each["field"], each["header"], each["used"]) for each in differences(hospital, answer)} == {
            ("sop_instance_uid", "sop", image.sop_instance_uid),
            ("series_instance_uid", "series", image.series.series_instance_uid),
        }

    @pytest.mark.parametrize("padding", ["\0", " ", "%20", "%00"])
    def test_padding_in_an_address_is_no_part_of_it(self, hospital: Hospital, padding: str) -> None:
        hospital.post(None, {"a.dcm": dicom()})
        assert hospital.get(f"/2.25.1000{padding}").status_code == 200

    def test_the_study_part_may_write_one_so_too(self, hospital: Hospital) -> None:
        answer = hospital.post({"study_instance_uid": "1.2.003.4 "}, {"a.dcm": dicom()})
        assert answer.json()["study_instance_uid"] == "1.2.003.4"
        assert hospital.get("/1.2.003.4").status_code == 200


class TestBirthDates:
    @pytest.mark.parametrize("sent", ["196112", "1961", "19610230", "00000000", "29990101", "1961-12-04"])
    def test_half_a_date_is_no_date_and_said(self, hospital: Hospital, sent: str) -> None:
        answer = hospital.post(None, {"a.dcm": with_value(dicom(), BIRTH_DATE, "DA", sent.encode())})
        assert Patient.objects.get().birth_date is None
        assert answer.json()["overridden"] == ["patient.birth_date"]
        [listed] = differences(hospital, answer)
        assert (listed["field"], listed["header"], listed["used"]) == ("patient.birth_date", sent, "")
