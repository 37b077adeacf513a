"""What was stored wrong is put right, and what was withdrawn comes back: as new versions, with a reason."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from cad_platform.accounts.models import Role
from cad_platform.audit.models import AuditEvent
from cad_platform.core.errors import Conflict
from cad_platform.core.models import OutboxEvent
from cad_platform.patients.models import DemographicsReview
from cad_platform.reading.models import ReportStanding
from cad_platform.studies import services
from cad_platform.studies.models import Instance, Study
from tests import factories
from tests.api.four_views import browser, completed, statuses, views
from tests.posted_files import (
    STUDY,
    Hospital,
    dicom,
    png,
    reasons,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def hospital() -> Hospital:
    return Hospital()


class TestCorrections:
    PART = {"correction": {"reason": "Wrong side at the device"}}

    @pytest.mark.parametrize(
        ("field", "first", "then", "stored"),
        [
            ("laterality", "R", "L", "laterality"),
            ("view", "CC", "MLO", "view"),
            ("pixel_spacing_um", 70, 50, "pixel_spacing_um"),
        ],
    )
    @pytest.mark.parametrize("data", [dicom(1, ImageLaterality=None, ViewPosition=None), png(1)])
    def test_of_an_image(
        self, hospital: Hospital, field: str, first: Any, then: Any, stored: str, data: bytes
    ) -> None:
        def post(value: Any, **more: Any) -> Any:
            part = {**STUDY, "modality": "MG", "images": [{"file": "a", field: value}], **more}
            return hospital.post(part, {"a": data})

        assert post(first).status_code == 201
        study = Study.objects.get()
        before = study.content_hash
        assert (post(first).status_code, completed()) == (200, 1)
        refused = post(then)
        assert refused.status_code == 409
        assert "correction" in refused.json()["detail"]
        assert reasons(refused) == [(f"study.images.{field}", "a")]
        corrected = post(then, **self.PART)
        assert (corrected.status_code, corrected.json()["version"]) == (200, 2), corrected.content
        read = hospital.get("/" + study.study_instance_uid).json()
        assert read["images"][0][stored] == then
        (kept,) = read["corrections"]
        assert (kept["kind"], kept["reason"]) == ("corrected", "Wrong side at the device")
        assert [(each["field"], each["old"], each["new"]) for each in kept["changes"]] == [
            (field, str(first), str(then))
        ]
        study.refresh_from_db()
        assert study.content_hash != before and completed() == 2
        assert OutboxEvent.objects.filter(topic="study.corrected").count() == 1
        assert AuditEvent.objects.filter(action="study.correct").count() == 1
        # The same once more changes nothing; the correction is not made twice.
        again = post(then, **self.PART)
        assert (again.status_code, again.json()["version"]) == (200, 2)

    def test_of_the_patient_moves_the_study(self, hospital: Hospital) -> None:
        files = views()
        hospital.post(None, files)
        wrong = {"patient": {"id": "P-2", "name": "Other^Person"}}
        assert hospital.post(wrong, files).status_code == 409
        assert hospital.post({**wrong, **self.PART}, files).status_code == 200
        read = hospital.get("/2.25.1000").json()
        assert read["patient"]["id"] == "P-2" and len(read["images"]) == 4
        assert read["corrections"][0]["changes"][0]["old"] == "P-1"
        # Its sender's headers still name the first patient: that was settled.
        assert hospital.post(None, {"late.dcm": dicom(8)}).status_code == 201
        assert hospital.get("/2.25.1000").json()["patient"]["id"] == "P-2"

    def test_of_a_views_modifiers(self, hospital: Hospital) -> None:
        files = {"a.dcm": dicom(1, ViewPosition=None)}
        hospital.post({"images": [{"file": "a.dcm", "view": "CC"}]}, files)
        right = {"images": [{"file": "a.dcm", "view": "CC ID"}]}
        assert hospital.post(right, files).status_code == 409
        assert hospital.post({**right, **self.PART}, files).json()["version"] == 2
        read = hospital.get("/2.25.1000").json()
        (image,) = read["images"]
        assert (image["view"], image["view_modifiers"]) == ("CC", ["ID"])
        assert [(each["old"], each["new"]) for each in read["corrections"][0]["changes"]] == [("CC", "CC ID")]
        assert hospital.post({**right, **self.PART}, files).json()["version"] == 2

    def test_of_who_the_patient_is(self, hospital: Hospital) -> None:
        files = views()
        hospital.post(None, files)
        right = {"patient": {"name": "Okafor^Amara Ngozi", "birth_date": "1961-04-20", "sex": "O"}}
        answer = hospital.post({**right, **self.PART}, files)
        assert (answer.status_code, answer.json()["version"]) == (200, 2), answer.content
        read = hospital.get("/2.25.1000").json()
        who = read["patient"]
        assert (who["name"], who["birth_date"], who["sex"]) == ("Okafor^Amara Ngozi", "1961-04-20", "O")
        changes = {each["field"]: (each["old"], each["new"]) for each in read["corrections"][0]["changes"]}
        assert changes == {
            "patient.name": ("Okafor^Amara", "Okafor^Amara Ngozi"),
            "patient.birth_date": ("1961-04-02", "1961-04-20"),
            "patient.sex": ("F", "O"),
        }
        assert AuditEvent.objects.filter(action="patient.correct").count() == 1
        # It is settled: nobody has to decide, and the same once more changes nothing.
        assert not DemographicsReview.objects.exists()
        assert hospital.post({**right, **self.PART}, files).json()["version"] == 2

    def test_of_a_name_completes_its_groups(self, hospital: Hospital) -> None:
        hospital.post(None, {"a.dcm": (data := dicom(1, PatientName="Wang^XiaoDong"))})
        right = {"patient": {"name": "Wang^XiaoDong=王^小东"}}
        assert hospital.post({**right, **self.PART}, {"a.dcm": data}).json()["version"] == 1
        assert hospital.get("/2.25.1000").json()["patient"]["name_ideographic"] == "王^小东"

    def test_of_a_field_of_the_study(self, hospital: Hospital) -> None:
        files = views()
        hospital.post(None, files)
        assert hospital.post({"accession_number": "B-1"}, files).status_code == 409
        assert hospital.post({"accession_number": "B-1", **self.PART}, files).status_code == 200
        assert hospital.get("/2.25.1000").json()["accession_number"] == "B-1"

    def test_beside_something_new_only_the_contradicting_image_is_refused(self, hospital: Hospital) -> None:
        hospital.post(None, {"a.dcm": dicom(1), "b.dcm": (other := dicom(2))} | {})
        post = {"images": [{"file": "b.dcm", "laterality": "R"}]}
        answer = hospital.post(post, {"b.dcm": other, "c.dcm": dicom(3)})
        assert (answer.status_code, statuses(answer)) == (201, ["refused", "stored"])
        assert "correction" in answer.json()["files"][0]["reason"]

    def test_after_signing_the_report_stands_and_says_so(self, hospital: Hospital) -> None:
        files = {"a.dcm": dicom(1, ImageLaterality=None)}
        hospital.post({"images": [{"file": "a.dcm", "laterality": "R"}]}, files)
        study = Study.objects.get()
        ReportStanding.objects.create(study=study, has_draft=False, signed_at=timezone.now(), signed_jobs={})
        hospital.post({"images": [{"file": "a.dcm", "laterality": "L"}], **self.PART}, files)
        assert hospital.get("/2.25.1000").json()["changed_after_signing"] == ["correction"]
        page = browser(Role.RADIOLOGIST, hospital).get("/studies/2.25.1000/").content.decode()
        assert "Corrected after signing." in page and "Wrong side at the device" in page

    def test_the_case_page_lists_who_and_which_side(self, hospital: Hospital) -> None:
        post = {"patient": {"id": "P-7"}, "images": [{"file": "a.dcm", "laterality": "R"}]}
        hospital.post(post, {"a.dcm": dicom(1)})
        page = browser(Role.RADIOLOGIST, hospital).get("/studies/2.25.1000/").content.decode()
        assert "Header says" in page
        assert (
            "<td>Side</td><td>left</td><td>right" in page and "<td>Patient id</td><td>P-1</td><td>P-7" in page
        )


class TestComingBack:
    def withdraw(self, hospital: Hospital) -> Client:
        radiologist = browser(Role.RADIOLOGIST, hospital)
        address = "/api/v1/studies/2.25.1000/withdraw"
        assert radiologist.post(address, {"reason": "wrong side"}, "application/json").status_code == 200
        return radiologist

    def test_the_same_files_with_another_side_come_back_corrected(self, hospital: Hospital) -> None:
        files = {"w.dcm": dicom(1, ImageLaterality=None)}

        def post(side: str) -> Any:
            return hospital.post({"images": [{"file": "w.dcm", "laterality": side}]}, files)

        assert (post("R").status_code, post("L").status_code) == (201, 409)
        self.withdraw(hospital)
        assert post("L").status_code == 200
        read = hospital.get("/2.25.1000").json()
        assert (read["withdrawn"], read["images"][0]["laterality"]) == (None, "L")
        assert [each["kind"] for each in read["corrections"]] == ["brought_back", "corrected"]
        assert AuditEvent.objects.filter(action="study.bring_back").count() == 1

    def test_one_image_of_it_and_a_new_one_bring_it_back_too(self, hospital: Hospital) -> None:
        files = list(views().items())
        hospital.post(None, dict(files[:3]))
        self.withdraw(hospital)
        answer = hospital.post(None, dict(files[2:]))
        assert (answer.status_code, statuses(answer)) == (201, ["duplicate", "stored"])
        assert Study.objects.count() == 1 and Instance.objects.filter(active=True).count() == 4

    def test_pictures_come_back_by_their_files(self, hospital: Hospital) -> None:
        first = hospital.post(files={"a.png": png(1)}).json()["study_instance_uid"]
        radiologist = browser(Role.RADIOLOGIST, hospital)
        radiologist.post(f"/api/v1/studies/{first}/withdraw", {"reason": "x"}, "application/json")
        again = hospital.post(files={"b.png": png(1)})
        assert (again.status_code, again.json()["study_instance_uid"]) == (200, first)

    def test_not_for_the_same_number_of_another_issuer(self, hospital: Hospital) -> None:
        files = views()
        hospital.post(None, files)
        self.withdraw(hospital)
        answer = hospital.post({"patient": {"id": "P-1", "issuer": "Elsewhere"}}, files)
        assert (answer.status_code, answer.json()["created"]) == (201, True)
        assert Study.objects.filter(withdrawn_at__isnull=False).count() == 1

    def test_by_a_person_with_a_reason(self, hospital: Hospital) -> None:
        hospital.post(None, views())
        radiologist = self.withdraw(hospital)
        page = radiologist.get("/studies/2.25.1000/").content.decode()
        assert "Bring study back" in page
        address = "/api/v1/studies/2.25.1000/bring-back"
        assert radiologist.post(address, {"reason": " "}, "application/json").status_code == 422
        assert radiologist.post("/studies/2.25.1000/bring-back", {"reason": "was right"}).status_code == 302
        read = hospital.get("/2.25.1000").json()
        assert (read["withdrawn"], read["version"]) == (None, 2)
        assert read["corrections"][0]["reason"] == "was right"
        assert radiologist.post(address, {"reason": "again"}, "application/json").status_code == 409

    def test_not_where_its_images_were_sent_for_another_patient_since(self, hospital: Hospital) -> None:
        files = views()
        hospital.post(None, files)
        radiologist = self.withdraw(hospital)
        assert hospital.post({"patient": {"id": "P-2"}}, files).status_code == 201
        withdrawn = Study.objects.get(withdrawn_at__isnull=False)
        actor = factories.actor(at=hospital.site)
        with pytest.raises(Conflict):
            services.bring_back(actor, withdrawn, "was right")
        assert radiologist.get("/studies/2.25.1000/").status_code == 200
