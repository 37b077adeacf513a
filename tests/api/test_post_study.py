"""POST /api/v1/studies: what is taken in, what is refused and why."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from cad_platform.accounts.models import Role, Scope
from cad_platform.audit.models import AuditEvent
from cad_platform.core.models import OutboxEvent
from cad_platform.patients.models import DemographicsReview, Patient
from cad_platform.studies import storage
from cad_platform.studies.models import Instance, QuarantinedFile, StoredFile, Study
from tests import factories
from tests.posted_files import (
    CT,
    SECONDARY_CAPTURE,
    STUDY,
    ULTRASOUND,
    Hospital,
    dicom,
    png,
    reasons,
    uid,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def hospital() -> Hospital:
    return Hospital()


def nothing_was_stored() -> bool:
    return not Study.objects.exists() and not Patient.objects.exists() and not StoredFile.objects.exists()


class TestCreated:
    def test_a_picture_with_a_study_part(self, hospital: Hospital) -> None:
        data = png(1)
        answer = hospital.post(files={"left.png": data})
        assert answer.status_code == 201, answer.content
        study = Study.objects.get(study_instance_uid=answer.json()["study_instance_uid"])
        assert answer["Location"] == answer.json()["url"]
        assert study.study_instance_uid.startswith("2.25.")
        assert study.state == Study.State.COMPLETE and study.completed_at and study.content_hash
        assert study.patient and study.patient.birth_date == date(1961, 4, 2)
        image = Instance.objects.get(series__study=study)
        assert image.sop_instance_uid_minted and image.sop_instance_uid.startswith("2.25.")
        assert (image.file_name, image.rows, image.columns) == ("left.png", 64, 64)
        with storage.open(image.file_id) as path:
            assert path.read_bytes() == data

    def test_few_statements_take_in_what_is_new(
        self, hospital: Hospital, django_assert_max_num_queries: Any
    ) -> None:
        hospital.post(None, {"a.dcm": dicom()})
        with django_assert_max_num_queries(14) as asked:
            answer = hospital.post(None, {"b.dcm": dicom(StudyInstanceUID=uid(), PatientID="P-NEW")})
        assert answer.status_code == 201, answer.content
        assert sum("INSERT INTO" in each["sql"] for each in asked.captured_queries) == 2

    def test_dicom_needs_no_study_part(self, hospital: Hospital) -> None:
        sop = uid()
        answer = hospital.post(None, {"cc.dcm": dicom(SOPInstanceUID=sop)})
        assert answer.status_code == 201, answer.content
        study = Study.objects.get(study_instance_uid="2.25.1000")
        assert (study.modality, study.accession_number, study.procedure) == ("MG", "ACC-1", "Screening")
        assert study.study_date == date(2026, 1, 5)
        image = Instance.objects.get(sop_instance_uid=sop)
        assert (image.laterality, image.view_position) == ("L", "CC")
        assert image.pixel_spacing_um == pytest.approx(70)
        assert study.header_differences == []

    def test_the_outbox_and_the_audit_record_are_written_with_it(self, hospital: Hospital) -> None:
        hospital.post()
        study = Study.objects.get()
        assert OutboxEvent.objects.get(topic="study.complete").payload == {"study_id": str(study.pk)}
        event = AuditEvent.objects.get(action="study.receive")
        assert (event.object_id, event.actor, event.site) == (str(study.pk), hospital.user, hospital.site)

    def test_what_the_post_says_overrides_the_headers_and_the_difference_is_recorded(
        self, hospital: Hospital
    ) -> None:
        post = {
            "patient": {"id": "P-9", "name": "Right^Name"},
            "study_instance_uid": "2.25.42",
            "images": [{"file": "cc.dcm", "laterality": "R", "view": "mlo", "pixel_spacing_um": 50}],
        }
        answer = hospital.post(post, {"cc.dcm": dicom()})
        assert answer.status_code == 201, answer.content
        study = Study.objects.get(study_instance_uid="2.25.42")
        assert study.patient and (study.patient.patient_id, study.patient.name) == ("P-9", "Right^Name")
        image = Instance.objects.get()
        assert (image.laterality, image.view_position, image.pixel_spacing_um) == ("R", "MLO", 50)
        assert image.pixel_spacing_source == "study part"
        recorded = {(d["field"], d["header"], d["used"]) for d in study.header_differences}
        assert {
            ("patient.id", "P-1", "P-9"),
            ("study_instance_uid", "2.25.1000", "2.25.42"),
            ("laterality", "L", "R"),
            ("view", "CC", "MLO"),
            ("pixel_spacing_um", "70", "50"),
        } <= recorded
        assert "patient.name" in answer.json()["overridden"]

    def test_an_exam_whose_views_disagree_is_taken_with_a_study_part(self, hospital: Hospital) -> None:
        files = {
            f"{number}.dcm": dicom(
                number,
                PatientID=f"Case_{number}",
                PatientName=f"Case_{number}",
                StudyInstanceUID=uid(),
                SeriesInstanceUID=uid(),
                SOPClassUID=SECONDARY_CAPTURE,
            )
            for number in range(4)
        }
        post = {"patient": {"id": "C-1"}, "study_instance_uid": "2.25.4242"}
        answer = hospital.post(post, files)
        assert answer.status_code == 201, answer.content
        assert Instance.objects.filter(series__study__study_instance_uid="2.25.4242").count() == 4
        assert Patient.objects.get().name == ""  # four headers, four names: none of them can be trusted

    def test_the_answer_names_no_patient(self, hospital: Hospital) -> None:
        text = hospital.post(None, {"cc.dcm": dicom()}).content.decode()
        assert "Okafor" not in text and "P-1" not in text

    def test_a_study_part_sent_as_a_file(self, hospital: Hospital) -> None:
        answer = hospital.client.post(
            "/api/v1/studies",
            {
                "study": SimpleUploadedFile("study.json", json.dumps(STUDY).encode()),
                "files": SimpleUploadedFile("a.png", png()),
            },
        )
        assert answer.status_code == 201, answer.content

    def test_a_dicom_file_without_uids_gets_minted_ones(self, hospital: Hospital) -> None:
        data = dicom(SOPInstanceUID=None, StudyInstanceUID=None, SeriesInstanceUID=None)
        assert hospital.post(None, {"a.dcm": data}).status_code == 201
        image = Instance.objects.select_related("series__study").get()
        assert image.sop_instance_uid_minted
        assert image.series.study.study_instance_uid.startswith("2.25.")
        assert image.series.series_instance_uid.startswith("2.25.")

    @pytest.mark.parametrize(
        "name", ["<script>alert(1)</script>", "=HYPERLINK(1)", "+1", "@x", "王^小明", 'O\'Hara^"Zoë"']
    )
    def test_markup_and_formulas_in_names_are_only_text(self, hospital: Hospital, name: str) -> None:
        answer = hospital.post({**STUDY, "patient": {"id": "P-1", "name": name}}, {f"{name}.png": png()})
        assert answer.status_code == 201, answer.content
        read = hospital.get("/" + answer.json()["study_instance_uid"])
        assert read["Content-Type"] == "application/json"
        assert read["X-Content-Type-Options"] == "nosniff"
        assert read.json()["patient"]["name"] == name
        assert read.json()["images"][0]["file"] == f"{name}.png".rsplit("/", 1)[-1]


class TestTheSameAgain:
    def test_the_same_dicom_twice_is_200(self, hospital: Hospital) -> None:
        files = {"cc.dcm": dicom(1), "mlo.dcm": dicom(2, ViewPosition="MLO")}
        first, again = hospital.post(None, files), hospital.post(None, files)
        assert (first.status_code, again.status_code) == (201, 200), again.content
        assert again.json()["study_instance_uid"] == first.json()["study_instance_uid"]
        assert again.json()["created"] is False
        assert Instance.objects.count() == 2
        assert OutboxEvent.objects.filter(topic="study.complete").count() == 1

    def test_pictures_are_recognised_by_patient_accession_number_and_bytes(self, hospital: Hospital) -> None:
        files = {"a.png": png(1), "b.png": png(2)}
        first = hospital.post(files=files)
        again = hospital.post(files={"renamed.png": png(2), "other.png": png(1)})
        assert (first.status_code, again.status_code) == (201, 200)
        assert again.json()["study_instance_uid"] == first.json()["study_instance_uid"]

    @pytest.mark.parametrize("change", [{"accession_number": "ACC-2"}, {"patient": {"id": "P-2"}}])
    def test_pictures_for_another_patient_or_request_are_another_study(
        self, hospital: Hospital, change: dict[str, Any]
    ) -> None:
        assert hospital.post().status_code == 201
        assert hospital.post({**STUDY, **change}).status_code == 201
        assert Study.objects.count() == 2

    def test_known_images_under_another_study_uid_are_still_the_same(self, hospital: Hospital) -> None:
        files = {"cc.dcm": dicom()}
        hospital.post(None, files)
        again = hospital.post({"study_instance_uid": "2.25.77"}, files)
        assert (again.status_code, again.json()["study_instance_uid"]) == (200, "2.25.1000")

    def test_the_same_uids_at_another_site_are_another_study(self, hospital: Hospital) -> None:
        files = {"cc.dcm": dicom()}
        assert hospital.post(None, files).status_code == 201
        assert Hospital().post(None, files).status_code == 201
        assert StoredFile.objects.count() == 1  # one content, stored once

    def test_a_known_uid_with_other_images_adds_them(self, hospital: Hospital) -> None:
        hospital.post({**STUDY, "study_instance_uid": "2.25.5"}, {"a.png": png(1)})
        answer = hospital.post({**STUDY, "study_instance_uid": "2.25.5"}, {"b.png": png(2)})
        assert (answer.status_code, answer.json()["created"]) == (201, False)
        assert Instance.objects.filter(series__study__study_instance_uid="2.25.5").count() == 2

    def test_known_images_for_another_patient_are_409(self, hospital: Hospital) -> None:
        files = {"cc.dcm": dicom()}
        hospital.post(None, files)
        answer = hospital.post({"patient": {"id": "P-2"}}, files)
        assert answer.status_code == 409
        assert reasons(answer) == [("study.patient.id", None)]
        assert not Patient.objects.filter(patient_id="P-2").exists()


class TestContradictions:
    @pytest.mark.parametrize(
        ("tag", "values", "field"),
        [
            ("PatientID", ("P-1", "P-2"), "study.patient.id"),
            ("StudyInstanceUID", ("2.25.1", "2.25.2"), "study.study_instance_uid"),
            ("PatientBirthDate", ("19610402", "19710402"), "study.patient.birth_date"),
            ("PatientName", ("Okafor^Amara", "Other^Person"), "study.patient.name"),
            ("AccessionNumber", ("A", "B"), "study.accession_number"),
        ],
    )
    def test_headers_that_contradict_each_other_are_422(
        self, hospital: Hospital, tag: str, values: tuple[str, str], field: str
    ) -> None:
        files = {f"{n}.dcm": dicom(n, **{tag: value}) for n, value in enumerate(values)}
        answer = hospital.post(None, files)
        assert answer.status_code == 422
        assert (field, "1.dcm") in reasons(answer)
        assert nothing_was_stored()

    def test_two_spellings_of_one_name_are_no_contradiction(self, hospital: Hospital) -> None:
        files = {"a.dcm": dicom(1), "b.dcm": dicom(2, PatientName="OKAFOR^AMARA^^")}
        assert hospital.post(None, files).status_code == 201

    @pytest.mark.parametrize(
        ("study", "files", "field"),
        [
            (None, {"ct.dcm": dicom(SOPClassUID=CT, Modality="CT")}, "study.modality"),
            ({"modality": "MG"}, {"ct.dcm": dicom(SOPClassUID=CT, Modality="CT")}, "study.modality"),
            ({"modality": "MG"}, {"us.dcm": dicom(SOPClassUID=ULTRASOUND, Modality="US")}, "study.modality"),
            ({"patient": {"id": "P"}}, {"a.png": png()}, "study.modality"),
            ({"modality": "US"}, {"a.png": png()}, "study.patient.id"),
        ],
    )
    def test_a_wrong_or_missing_modality_or_patient_is_422(
        self, hospital: Hospital, study: Any, files: dict[str, bytes], field: str
    ) -> None:
        answer = hospital.post(study, files)
        assert answer.status_code == 422
        assert field in [where for where, _ in reasons(answer)]
        assert nothing_was_stored()

    def test_of_two_files_with_one_sop_uid_the_second_is_set_aside(self, hospital: Hospital) -> None:
        sop = uid()
        files = {"a.dcm": dicom(1, SOPInstanceUID=sop), "b.dcm": dicom(2, SOPInstanceUID=sop)}
        answer = hospital.post(None, files)
        assert answer.status_code == 201
        assert [each["status"] for each in answer.json()["files"]] == ["stored", "quarantined"]
        assert QuarantinedFile.objects.get().existing == Instance.objects.get()

    def test_the_same_dicom_file_twice_in_a_post_is_stored_once(self, hospital: Hospital) -> None:
        data = dicom(1)
        answer = hospital.post(None, {"a.dcm": data, "b.dcm": data})
        assert answer.status_code == 201
        assert [each["status"] for each in answer.json()["files"]] == ["stored", "duplicate"]
        assert Instance.objects.count() == 1


class TestTheStudyPart:
    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"patient": {"id": "P", "name": "a\0b"}}, "study.patient.name"),
            ({"patient": {"id": "P\n"}}, "study.patient.id"),
            ({"patient": {"id": "P" * 300}}, "study.patient.id"),
            ({"patient": {"id": "P", "birth_date": "1961-13-01"}}, "study.patient.birth_date"),
            ({"patient": {"id": "P", "birth_date": "2999-01-01"}}, "study.patient.birth_date"),
            ({"patient": {"id": "P", "sex": "X"}}, "study.patient.sex"),
            ({"patient": {"id": "P", "surname": "B"}}, "study.patient.surname"),
            ({"patient": "P"}, "study.patient"),
            ({"modality": "CT"}, "study.modality"),
            ({"priority": "now"}, "study.priority"),
            ({"study_instance_uid": "1.2.x"}, "study.study_instance_uid"),
            ({"study_instance_uid": "2.25." + "9" * 70}, "study.study_instance_uid"),
            ({"acession_number": "typo"}, "study.acession_number"),
            ({"images": [{"file": "a.png", "view": "C\0"}]}, "study.images[0].view"),
            ({"images": [{"file": "a.png", "pixel_spacing_um": 0}]}, "study.images[0].pixel_spacing_um"),
            ({"images": [{"file": "a.png", "pixel_spacing_um": 1e400}]}, "study.images[0].pixel_spacing_um"),
            ({"images": [{"file": "missing.png"}]}, "study.images[0].file"),
            ({"images": [{"file": "a.png"}, {"file": "a.png"}]}, "study.images[1].file"),
        ],
    )
    def test_every_error_names_its_field(
        self, hospital: Hospital, change: dict[str, Any], field: str
    ) -> None:
        answer = hospital.post({**STUDY, **change})
        assert answer.status_code == 422
        assert field in [where for where, _ in reasons(answer)]
        assert nothing_was_stored()

    @pytest.mark.parametrize(
        "text", ["", "not json", "[1]", '{"patient": ', "{" * 100, "[" * 200_000, '{"a":' * 100_000, "\xff"]
    )
    def test_what_is_no_json_object_is_422(self, hospital: Hospital, text: str) -> None:
        answer = hospital.post(text)
        assert answer.status_code == 422
        assert reasons(answer)[0][0] == "study"

    def test_its_content_is_not_repeated_in_the_answer(self, hospital: Hospital) -> None:
        answer = hospital.post({**STUDY, "patient": {"id": "SECRET\0", "name": "SECRET\0"}})
        assert "SECRET" not in answer.content.decode()

    def test_a_huge_study_part_is_413(self, hospital: Hospital) -> None:
        assert hospital.post("x" * 3_000_000).status_code == 413


class TestDemographics:
    def test_other_demographics_are_accepted_and_go_to_the_review_list(self, hospital: Hospital) -> None:
        hospital.post()
        changed = {"id": "P-1", "name": "Married^Amara", "birth_date": "1962-04-02", "sex": "F"}
        answer = hospital.post({**STUDY, "patient": changed}, {"b.png": png(9)})
        assert answer.status_code == 201
        review = DemographicsReview.objects.get()
        assert review.reported == {"name": "Married^Amara", "birth_date": "1962-04-02"}
        assert review.study_instance_uid == answer.json()["study_instance_uid"]
        assert review.patient.name == "Okafor^Amara"

    def test_unknown_demographics_are_filled_in_without_review(self, hospital: Hospital) -> None:
        hospital.post({**STUDY, "patient": {"id": "P-1"}})
        hospital.post(files={"b.png": png(9)})
        assert Patient.objects.get().name == "Okafor^Amara"
        assert not DemographicsReview.objects.exists()

    def test_the_same_difference_is_listed_once(self, hospital: Hospital) -> None:
        hospital.post()
        for seed in (5, 6):
            hospital.post({**STUDY, "patient": {"id": "P-1", "name": "X^Y"}}, {"b.png": png(seed)})
        assert DemographicsReview.objects.count() == 1


class TestWhoMayPost:
    def test_without_a_token_401(self, hospital: Hospital, client: Any) -> None:
        answer = client.post("/api/v1/studies", {"files": SimpleUploadedFile("a.png", png())})
        assert answer.status_code == 401
        assert answer["WWW-Authenticate"].startswith("Bearer")
        assert reasons(answer) == []

    def test_a_session_is_no_token(self, client: Any) -> None:
        client.force_login(factories.user(Role.INTEGRATOR))
        assert client.post("/api/v1/studies", {}).status_code == 401

    def test_with_a_reading_token_403(self) -> None:
        assert Hospital(None, Scope.STUDIES_READ).post().status_code == 403

    def test_with_a_posting_token_that_may_not_read(self) -> None:
        hospital = Hospital(None, Scope.STUDIES_WRITE)
        answer = hospital.post()
        assert answer.status_code == 201, answer.content
        assert hospital.get("/" + answer.json()["study_instance_uid"]).status_code == 403
