"""POST /api/v1/studies: who a study's patient is and which study it is, however the sender writes it."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from cad_platform.accounts.models import Role, Site
from cad_platform.patients.models import DemographicsReview, Patient
from cad_platform.patients.services import decide_review
from cad_platform.studies.models import Instance, Study
from tests import factories
from tests.posted_files import Hospital, dicom, reasons, uid, with_value

pytestmark = pytest.mark.django_db

NAME, BIRTH_DATE = (0x0010, 0x0010), (0x0010, 0x0030)
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

    def test_a_whole_date_that_comes_later_takes_its_place(self, hospital: Hospital) -> None:
        hospital.post(None, {"a.dcm": with_value(dicom(), BIRTH_DATE, "DA", b"196104")})
        patient = Patient.objects.get()
        assert (patient.birth_date, patient.birth_date_sent) == (None, "196104")
        hospital.post(None, {"b.dcm": dicom(1, StudyInstanceUID="2.25.1001")})
        patient.refresh_from_db()
        assert (patient.birth_date, patient.birth_date_sent) == (date(1961, 4, 2), "")

    def test_it_stands_in_the_answer_and_on_the_page(self, hospital: Hospital) -> None:
        answer = hospital.post(None, {"a.dcm": with_value(dicom(), BIRTH_DATE, "DA", b"196112")})
        patient = hospital.get(f"/{answer.json()['study_instance_uid']}").json()["patient"]
        assert (patient["birth_date"], patient["birth_date_sent"]) == (None, "196112")
        assert "unknown, sent as “196112”" in page(hospital)

    @pytest.mark.parametrize("sent", ["1961-12", "196112", "29990101", "yesterday"])
    def test_in_the_study_part_it_is_refused_by_its_field(self, hospital: Hospital, sent: str) -> None:
        answer = hospital.post({"patient": {"id": "P-1", "birth_date": sent}}, {"a.dcm": dicom()})
        assert answer.status_code == 422
        assert reasons(answer) == [("study.patient.birth_date", None)]


def page(hospital: Hospital) -> str:
    browser = Client()
    browser.force_login(factories.user(Role.RADIOLOGIST, hospital.site))
    study = Study.objects.latest("received_at")
    answer = browser.get(reverse("case", args=[study.study_instance_uid]))
    assert answer.status_code == 200
    return answer.content.decode()


class TestNames:
    GBK = "王^小东".encode("gbk")

    def test_undeclared_bytes_are_read_as_the_site_says(self, hospital: Hospital) -> None:
        Site.objects.update(default_character_set="GB18030")
        answer = hospital.post(None, {"a.dcm": with_value(dicom(), NAME, "PN", self.GBK)})
        assert Patient.objects.get().name == "王^小东"
        [listed] = differences(hospital, answer)
        assert (listed["field"], listed["used"]) == ("patient.name", "王^小东")
        assert "names no character set" in listed["note"]

    def test_undeclared_bytes_where_nobody_says_are_no_name(self, hospital: Hospital) -> None:
        answer = hospital.post(None, {"a.dcm": with_value(dicom(), NAME, "PN", self.GBK)})
        assert Patient.objects.get().name == ""
        [listed] = differences(hospital, answer)
        assert (listed["used"], listed["header"]) == ("", "\\xcd\\xf5^\\xd0\\xa1\\xb6\\xab")
        assert "The patient's name could not be read" in page(hospital).replace("&#x27;", "'")

    def test_the_study_part_may_say_the_name(self, hospital: Hospital) -> None:
        post = {"patient": {"id": "P-1", "name": "王^小东"}}
        answer = hospital.post(post, {"a.dcm": with_value(dicom(), NAME, "PN", self.GBK)})
        assert Patient.objects.get().name == "王^小东"
        [listed] = differences(hospital, answer)
        assert listed["used"] == "王^小东"

    def test_all_groups_are_kept_shown_and_found(self, hospital: Hospital) -> None:
        raw = "Wang^XiaoDong=王^小东=ワン^シャオドン".encode()
        data = with_value(dicom(SpecificCharacterSet="ISO_IR 192"), NAME, "PN", raw)
        answer = hospital.post(None, {"a.dcm": data})
        assert answer.json()["overridden"] == []
        patient = hospital.get("/2.25.1000").json()["patient"]
        groups = (patient["name"], patient["name_ideographic"], patient["name_phonetic"])
        assert groups == ("Wang^XiaoDong", "王^小东", "ワン^シャオドン")
        assert "Wang, XiaoDong (王小东, ワンシャオドン)" in page(hospital)
        for query in ("王小东", "王 小东", "小东", "xiaodong wang", "Wang, XiaoDong", "ワン", "WANG"):
            assert len(hospital.search({"name": query}).json()["results"]) == 1, query
        for query in ("王晓东", "Wang Li", ",", "^"):
            assert hospital.search({"name": query}).json()["results"] == [], query

    def test_scripts_of_several_files_complete_one_another(self, hospital: Hospital) -> None:
        utf8 = {"SpecificCharacterSet": "ISO_IR 192"}
        files = {
            "a.dcm": with_value(dicom(**utf8), NAME, "PN", b"Wang^XiaoDong"),
            "b.dcm": with_value(dicom(1, **utf8), NAME, "PN", "Wang^XiaoDong=王^小东".encode()),
        }
        assert hospital.post(None, files).status_code == 201
        assert Patient.objects.get().full_name == "Wang^XiaoDong=王^小东"

    def test_women_whose_names_only_sound_alike_are_told_apart(self, hospital: Hospital) -> None:
        utf8 = {"SpecificCharacterSet": "ISO_IR 192"}
        one = with_value(dicom(**utf8), NAME, "PN", "Wang^XiaoDong=王^小东".encode())
        other = with_value(
            dicom(1, StudyInstanceUID="2.25.1001", **utf8), NAME, "PN", "Wang^XiaoDong=王^晓东".encode()
        )
        hospital.post(None, {"a.dcm": one})
        answer = hospital.post(None, {"b.dcm": other})
        assert DemographicsReview.objects.count() == 1
        [listed] = differences(hospital, answer)
        assert (listed["header"], listed["used"]) == ("Wang^XiaoDong=王^晓东", "Wang^XiaoDong=王^小东")
        decide_review(
            factories.actor(Role.RADIOLOGIST, hospital.site),
            DemographicsReview.objects.get().pk,
            take_over=True,
        )
        assert differences(hospital, answer) == [], "what was taken over differs no more"


class TestIssuers:
    def test_the_same_number_from_another_issuer_is_another_patient(self, hospital: Hospital) -> None:
        hospital.post(None, {"a.dcm": dicom()})
        elsewhere = dicom(
            1, StudyInstanceUID="2.25.1001", IssuerOfPatientID="CITY", PatientName="Other^Woman"
        )
        answer = hospital.post(None, {"b.dcm": elsewhere})
        assert answer.status_code == 201, answer.content
        assert {(each.patient_id, each.issuer) for each in Patient.objects.all()} == {
            ("P-1", ""),
            ("P-1", "CITY"),
        }
        assert not DemographicsReview.objects.exists()
        assert hospital.get("/2.25.1001").json()["patient"]["issuer"] == "CITY"
        assert "id of CITY" in page(hospital)

    def test_the_study_part_names_the_issuer(self, hospital: Hospital) -> None:
        for number, issuer in enumerate(("", "CITY", "COUNTY", "CITY")):
            part = {"patient": {"id": "7", "issuer": issuer, "name": "A^B"}}
            answer = hospital.post(part, {"a.dcm": dicom(number, StudyInstanceUID=uid(), PatientID="7")})
            assert answer.status_code == 201, answer.content
        assert Patient.objects.count() == 3

    def test_the_site_s_own_name_for_itself_is_no_other_issuer(self, hospital: Hospital) -> None:
        hospital.post(None, {"a.dcm": dicom()})
        Site.objects.update(default_issuer="CITY")
        hospital.post(None, {"b.dcm": dicom(1, StudyInstanceUID="2.25.1001", IssuerOfPatientID="City ")})
        assert Patient.objects.count() == 1
        assert hospital.get("/2.25.1001").json()["patient"]["issuer"] == "CITY"
        assert "id of" not in page(hospital)

    def test_one_known_by_its_name_before_the_site_took_it_is_the_same(self, hospital: Hospital) -> None:
        hospital.post(None, {"a.dcm": dicom(IssuerOfPatientID="CITY")})
        Site.objects.update(default_issuer="CITY")
        hospital.post(None, {"b.dcm": dicom(1, StudyInstanceUID="2.25.1001")})
        assert Patient.objects.count() == 1

    def test_qualifiers_name_it_too(self, hospital: Hospital) -> None:
        qualifiers = Dataset()
        qualifiers.UniversalEntityID = "1.2.3.4"
        qualifiers.UniversalEntityIDType = "ISO"
        hospital.post(None, {"a.dcm": dicom(IssuerOfPatientIDQualifiersSequence=Sequence([qualifiers]))})
        assert Patient.objects.get().issuer == "1.2.3.4"

    def test_files_of_two_issuers_are_no_one_study(self, hospital: Hospital) -> None:
        files = {"a.dcm": dicom(IssuerOfPatientID="CITY"), "b.dcm": dicom(1, IssuerOfPatientID="COUNTY")}
        answer = hospital.post(None, files)
        assert answer.status_code == 422
        assert reasons(answer) == [("study.patient.issuer", "b.dcm")]

    def test_a_search_may_name_the_issuer(self, hospital: Hospital) -> None:
        hospital.post(None, {"a.dcm": dicom()})
        hospital.post(None, {"b.dcm": dicom(1, StudyInstanceUID="2.25.1001", IssuerOfPatientID="CITY")})
        found = {
            issuer: [
                each["study_instance_uid"]
                for each in hospital.search({"patient_id": "P-1", **issuer_part}).json()["results"]
            ]
            for issuer, issuer_part in (("any", {}), ("own", {"issuer": ""}), ("CITY", {"issuer": "CITY"}))
        }
        assert sorted(found["any"]) == ["2.25.1000", "2.25.1001"]
        assert (found["own"], found["CITY"]) == (["2.25.1000"], ["2.25.1001"])

    def test_two_at_once_of_one_patient_make_one(self, hospital: Hospital) -> None:
        for number in range(2):
            hospital.post(None, {"a.dcm": dicom(number, StudyInstanceUID=uid(), IssuerOfPatientID="CITY")})
        assert Patient.objects.count() == 1

    def test_the_same_post_again_is_the_same(self, hospital: Hospital) -> None:
        data = dicom(IssuerOfPatientID="CITY")
        assert [hospital.post(None, {"a.dcm": data}).status_code for _ in range(2)] == [201, 200]
