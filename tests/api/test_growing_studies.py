"""A study is not a post: it grows image by image, is complete when that is said or nothing more comes, and what came
late is told to who reads and who signed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cad_platform.accounts.models import Role
from cad_platform.analysis import services as analyses
from cad_platform.analysis.models import AnalysisJob
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict
from cad_platform.core.models import OutboxEvent
from cad_platform.patients.models import DemographicsReview
from cad_platform.reading.models import ReportStanding
from cad_platform.registry.models import ModelVersion
from cad_platform.registry.services import register_from_store
from cad_platform.studies import services, storage
from cad_platform.studies.models import Instance, KeptAside, QuarantinedFile, Study
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

CAD_SR = "1.2.840.10008.5.1.4.1.1.88.50"
PRESENTATION_STATE = "1.2.840.10008.5.1.4.1.1.11.1"
DOSE_SR = "1.2.840.10008.5.1.4.1.1.88.67"
KEY_OBJECTS = "1.2.840.10008.5.1.4.1.1.88.59"
RAW_DATA = "1.2.840.10008.5.1.4.1.1.66"
PDF = "1.2.840.10008.5.1.4.1.1.104.1"
VIEWS = [("R", "CC"), ("R", "MLO"), ("L", "CC"), ("L", "MLO")]


@pytest.fixture
def hospital() -> Hospital:
    return Hospital()


def views() -> dict[str, bytes]:
    return {
        f"{side}{view}.dcm": dicom(place, ImageLaterality=side, ViewPosition=view)
        for place, (side, view) in enumerate(VIEWS)
    }


def no_image(sop_class: str, modality: str, **tags: Any) -> bytes:
    """A sound object without a picture."""
    pixels = dict.fromkeys(
        ("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored",
         "HighBit", "PixelRepresentation", "PixelData", "ImageLaterality", "ViewPosition")
    )  # fmt: skip
    return dicom(0, SOPClassUID=sop_class, Modality=modality, **{**pixels, **tags})


def statuses(answer: Any) -> list[str]:
    return [each["status"] for each in answer.json()["files"]]


def quiet(study: Study | None = None) -> int:
    """The quiet time passes."""
    Study.objects.filter(state=Study.State.RECEIVING).update(quiet_at=timezone.now() - timedelta(seconds=1))
    return services.complete_quiet()


def models_in_use() -> None:
    known = register_from_store(Actor.system("test")).versions
    ModelVersion.objects.filter(pk__in=[version.pk for version in known]).update(is_default=True)


def completed() -> int:
    return OutboxEvent.objects.filter(topic="study.complete").count()


def browser(role: str, hospital: Hospital) -> Client:
    client = Client()
    client.force_login(factories.user(role, hospital.site))
    return client


class TestFiles:
    @pytest.mark.parametrize(
        ("sop_class", "modality", "what"),
        [
            (CAD_SR, "SR", "mammography CAD report"),
            (PRESENTATION_STATE, "PR", "presentation state"),
            (DOSE_SR, "SR", "radiation dose report"),
            (KEY_OBJECTS, "KO", "key object selection"),
            (RAW_DATA, "MG", "raw data"),
            (PDF, "DOC", "PDF document"),
            (SECONDARY_CAPTURE, "OT", "secondary capture without a picture"),
            ("1.2.840.113619.4.27", "MG", "private data"),
        ],
    )
    def test_what_is_no_image_is_kept_aside(
        self, hospital: Hospital, sop_class: str, modality: str, what: str
    ) -> None:
        answer = hospital.post(None, {**views(), "other": no_image(sop_class, modality)})
        assert answer.status_code == 201, answer.content
        assert statuses(answer) == ["stored"] * 4 + ["kept_aside"]
        read = hospital.get("/2.25.1000").json()
        assert [each["what"] for each in read["kept_aside"]] == [what]
        assert len(read["images"]) == 4
        assert hospital.post(None, {"again": no_image(sop_class, modality)}).status_code == 201

    @pytest.mark.parametrize(("sop_class", "modality"), [(CT, "CT"), (SECONDARY_CAPTURE, "OT")])
    def test_an_image_of_another_modality_is_kept_aside(
        self, hospital: Hospital, sop_class: str, modality: str
    ) -> None:
        files = {**views(), "other.dcm": dicom(9, SOPClassUID=sop_class, Modality=modality)}
        answer = hospital.post(None, files)
        assert (answer.status_code, statuses(answer)[-1]) == (201, "kept_aside")
        read = hospital.get("/2.25.1000").json()
        assert (read["modalities"], read["kept_aside"][0]["reason"]) == (["MG"], "other_modality")

    def test_it_changes_nothing_of_what_is_analysed_and_comes_late_without_reopening(
        self, hospital: Hospital
    ) -> None:
        hospital.post(None, views())
        before = Study.objects.get()
        report = no_image(CAD_SR, "SR")
        answer = hospital.post(None, {"sr": report})
        assert (answer.status_code, statuses(answer)) == (201, ["kept_aside"])
        after = Study.objects.get()
        assert (after.content_hash, after.state, after.version) == (before.content_hash, "complete", 1)
        again = hospital.post(None, {"sr": report})
        assert (again.status_code, statuses(again)) == (200, ["duplicate"])
        assert KeptAside.objects.count() == 1

    def test_a_study_is_not_begun_by_another_modalitys_image(self, hospital: Hospital) -> None:
        answer = hospital.post(None, {"a": dicom(SOPClassUID=CT, Modality="CT")})
        assert (answer.status_code, statuses(answer)) == (422, ["refused"])
        assert not Study.objects.exists()

    def test_a_report_that_comes_first_waits_for_its_images(self, hospital: Hospital) -> None:
        report = no_image(CAD_SR, "SR")
        answer = hospital.post(None, {"sr": report})
        assert (answer.status_code, statuses(answer)) == (201, ["kept_aside"])
        url = answer.json()["url"]
        waiting = hospital.client.get(url).json()
        assert (waiting["state"], waiting["modality"], waiting["images"]) == ("receiving", "", [])
        assert len(waiting["kept_aside"]) == 1
        assert hospital.get().json()["results"][0]["state"] == "receiving"
        assert hospital.client.post(f"{url}/complete", {}, content_type="application/json").status_code == 409
        again = hospital.post(None, {"sr": report})
        assert (again.status_code, statuses(again)) == (200, ["duplicate"])
        uid = answer.json()["study_instance_uid"]
        reader = Client()
        reader.force_login(factories.user(Role.RADIOLOGIST, hospital.site))
        assert reader.get(reverse("case", args=[uid])).status_code == 404
        assert uid not in reader.get(reverse("worklist")).content.decode()

        answer = hospital.post(None, views())
        assert answer.status_code == 201 and answer.json()["study_instance_uid"] == uid
        whole = hospital.client.get(url).json()
        assert (whole["state"], whole["modality"], len(whole["images"])) == ("complete", "MG", len(views()))
        assert len(whole["kept_aside"]) == 1
        assert reader.get(reverse("case", args=[uid])).status_code == 200

    def test_a_report_that_was_cut_off_is_damaged(self, hospital: Hospital) -> None:
        cut = no_image(CAD_SR, "SR")[:-7]
        answer = hospital.post(None, {**views(), "sr": cut})
        assert (answer.status_code, statuses(answer)[-1]) == (201, "refused")

    def test_an_object_of_another_patient_is_refused_alone(self, hospital: Hospital) -> None:
        answer = hospital.post(None, {**views(), "sr": no_image(CAD_SR, "SR", PatientID="P-2")})
        assert (answer.status_code, statuses(answer)[-1]) == (201, "refused")

    def test_mammograms_and_ultrasound_of_one_study_are_both_images(self, hospital: Hospital) -> None:
        ultrasound = dicom(7, SOPClassUID=ULTRASOUND, Modality="US", SeriesInstanceUID="2.25.2001")
        answer = hospital.post(None, {**views(), "us.dcm": ultrasound})
        assert (answer.status_code, statuses(answer)) == (201, ["stored"] * 5)
        study = Study.objects.get()
        assert (study.modality, study.modalities) == ("MG", ["MG", "US"])
        models_in_use()
        jobs = analyses.request_analyses(study.pk)
        assert [job.model_version.name for job in jobs] == ["mammography", "ultrasound"]
        read = [analyses.claim(job.pk, "worker") for job in jobs]
        assert [claim and len(claim.instances) for claim in read] == [4, 1]
        assert len(hospital.get(modality="US").json()["results"]) == 1
        assert len(hospital.get(modality="MG").json()["results"]) == 1
        page = browser(Role.RADIOLOGIST, hospital).get("/studies/2.25.1000/").content.decode()
        assert all(job.model_version.manifest["title"] in page for job in jobs)

    def test_the_mammogram_that_comes_after_the_ultrasound_gives_the_report_its_kind(
        self, hospital: Hospital
    ) -> None:
        hospital.post(None, {"us.dcm": dicom(7, SOPClassUID=ULTRASOUND, Modality="US")})
        hospital.post(None, {"mg.dcm": dicom(8)})
        read = hospital.get("/2.25.1000").json()
        assert (read["modality"], read["modalities"]) == ("MG", ["MG", "US"])

    @pytest.mark.parametrize(
        ("sop_class", "modality", "status"), [(ULTRASOUND, "US", "stored"), (CT, "CT", "kept_aside")]
    )
    def test_one_by_one_under_the_modality_of_the_study(
        self, hospital: Hospital, sop_class: str, modality: str, status: str
    ) -> None:
        other = dicom(7, SOPClassUID=sop_class, Modality=modality)
        assert hospital.post({"modality": "MG"}, {"other.dcm": other}).status_code == 422
        assert not Study.objects.exists()
        hospital.post({"modality": "MG"}, {"mg.dcm": dicom(8)})
        answer = hospital.post({"modality": "MG"}, {"other.dcm": other})
        assert (answer.status_code, statuses(answer)) == (201, [status])


class TestGrowing:
    def test_image_by_image_is_one_study_in_any_order(self, hospital: Hospital) -> None:
        for place, (name, data) in enumerate(reversed(views().items())):
            answer = hospital.post(None, {name: data})
            assert (answer.status_code, statuses(answer)) == (201, ["stored"])
            assert answer.json()["created"] is (place == 0)
        assert Study.objects.count() == 1 and Instance.objects.count() == 4
        # The first was analysed at once; the others wait for the quiet time, together.
        assert completed() == 1
        assert hospital.get("/2.25.1000").json()["state"] == "receiving"
        assert (quiet(), completed()) == (1, 2)
        assert hospital.get("/2.25.1000").json()["state"] == "complete"
        assert quiet() == 0

    def test_a_study_in_parts_is_complete_when_that_is_said(self, hospital: Hospital) -> None:
        files = list(views().items())
        first = hospital.post({"complete": False}, dict(files[:2]))
        assert (first.status_code, first.json()["state"], completed()) == (201, "receiving", 0)
        assert hospital.post({"complete": False}, dict(files[2:])).status_code == 201
        assert completed() == 0
        done = hospital.client.post("/api/v1/studies/2.25.1000/complete")
        assert (done.status_code, done.json()["state"], done.json()["version"]) == (200, "complete", 1)
        assert completed() == 1
        assert AuditEvent.objects.filter(action="study.complete").count() == 1
        assert hospital.client.post("/api/v1/studies/2.25.1000/complete").status_code == 200
        assert completed() == 1

    def test_or_with_the_first_post_that_does_not_say_otherwise(self, hospital: Hospital) -> None:
        files = list(views().items())
        hospital.post({"complete": False}, dict(files[:2]))
        assert hospital.post(None, dict(files[2:])).json()["state"] == "complete"
        assert completed() == 1

    def test_or_when_nothing_more_comes(self, hospital: Hospital, settings: Any) -> None:
        settings.STUDY_QUIET_SECONDS = 60
        hospital.post({"complete": False}, views())
        assert services.complete_quiet() == 0
        assert quiet() == 1
        assert Study.objects.get().state == Study.State.COMPLETE

    def test_completing_another_sites_study_is_404(self, hospital: Hospital) -> None:
        hospital.post({"complete": False}, views())
        assert Hospital().client.post("/api/v1/studies/2.25.1000/complete").status_code == 404

    def test_a_late_image_supersedes_the_result(self, hospital: Hospital) -> None:
        files = list(views().items())
        hospital.post(None, dict(files[:3]))
        study = Study.objects.get()
        models_in_use()
        (job,) = analyses.request_analyses(study.pk)
        AnalysisJob.objects.update(state=AnalysisJob.State.FAILED, reason="of a test")
        assert hospital.get("/2.25.1000").json()["state"] == "analysed"
        assert hospital.post(None, dict(files[3:])).json()["version"] == 2
        read = hospital.get("/2.25.1000").json()
        assert (read["state"], [each["current"] for each in read["jobs"]]) == ("receiving", [False])
        assert analyses.request_analyses(study.pk) == []  # not before it is complete
        quiet()
        (new,) = analyses.request_analyses(study.pk)
        assert new.pk != job.pk and new.content_hash != job.content_hash

    def test_a_job_that_waits_for_the_earlier_images_is_not_begun(self, hospital: Hospital) -> None:
        files = list(views().items())
        hospital.post(None, dict(files[:3]))
        study = Study.objects.get()
        models_in_use()
        (job,) = analyses.request_analyses(study.pk)
        hospital.post(None, dict(files[3:]))
        assert analyses.claim(job.pk, "worker") is None
        job.refresh_from_db()
        assert job.state == AnalysisJob.State.CANCELLED
        quiet()
        assert len(analyses.request_analyses(study.pk)) == 1

    def test_the_reader_with_the_case_open_is_told(self, hospital: Hospital) -> None:
        files = list(views().items())
        hospital.post(None, dict(files[:3]))
        radiologist = browser(Role.RADIOLOGIST, hospital)
        page = radiologist.get("/studies/2.25.1000/").content.decode()
        seen = page.split('name="seen" value="')[1].split('"')[0]
        opened = page.split('name="opened" value="')[1].split('"')[0]
        query = {"seen": seen, "opened": opened}
        assert radiologist.get("/studies/2.25.1000/live", query).status_code == 204
        hospital.post(None, dict(files[3:]))
        live = radiologist.get("/studies/2.25.1000/live", query)
        assert live.status_code == 200
        assert "This study was changed while you had it open." in live.content.decode()
        assert "Images are still arriving." in live.content.decode()

    def test_a_signed_report_says_that_images_arrived_after_signing(self, hospital: Hospital) -> None:
        files = list(views().items())
        hospital.post(None, dict(files[:3]))
        study = Study.objects.get()
        ReportStanding.objects.create(study=study, has_draft=False, signed_at=timezone.now(), signed_jobs={})
        radiologist = browser(Role.RADIOLOGIST, hospital)
        assert hospital.get("/2.25.1000").json()["changed_after_signing"] == []
        hospital.post(None, dict(files[3:]))
        assert hospital.get("/2.25.1000").json()["changed_after_signing"] == ["images"]
        assert "Images arrived after signing." in radiologist.get("/studies/2.25.1000/").content.decode()
        assert "Changed after signing" in radiologist.get("/worklist/").content.decode()
        # An addendum settles it.
        ReportStanding.objects.update(signed_at=timezone.now())
        assert hospital.get("/2.25.1000").json()["changed_after_signing"] == []

    def test_bytes_that_the_storage_has_lost_are_put_back(self, hospital: Hospital) -> None:
        files = {"a.dcm": dicom(1)}
        hospital.post(None, files)
        digest = Instance.objects.get().file_id
        storage.delete(digest)
        assert hospital.post(None, files).status_code == 200
        assert storage.exists(digest)

    def test_the_worklist_says_that_a_study_is_still_arriving(self, hospital: Hospital) -> None:
        hospital.post({"complete": False}, views())
        assert "Still arriving" in browser(Role.RADIOLOGIST, hospital).get("/worklist/").content.decode()
        assert len(hospital.get(state="receiving").json()["results"]) == 1
        assert hospital.get(state="complete").json()["results"] == []

    def test_a_late_header_that_says_something_else_of_the_study_is_noted(self, hospital: Hospital) -> None:
        hospital.post({"accession_number": "A-9"}, {"a.dcm": dicom(1)})
        assert hospital.post(None, {"b.dcm": dicom(2)}).status_code == 201
        noted = hospital.get("/2.25.1000").json()["header_differences"]
        assert ("b.dcm", "accession_number", "ACC-1", "A-9") in [
            (each["file"], each["field"], each["header"], each["used"]) for each in noted
        ]


class TestTwoPatients:
    def test_one_image_under_two_patients_is_a_conflict_and_the_rest_is_stored(
        self, hospital: Hospital
    ) -> None:
        sop = uid()
        shared = dicom(1, SOPInstanceUID=sop)
        hospital.post(None, {"a.dcm": shared})
        post = {"patient": {"id": "P-2"}, "study_instance_uid": "2.25.77"}
        answer = hospital.post(post, {"a.dcm": shared, "b.dcm": dicom(2)})
        assert (answer.status_code, statuses(answer)) == (201, ["quarantined", "stored"])
        assert QuarantinedFile.objects.get().study == Study.objects.get(study_instance_uid="2.25.77")

    def test_an_image_of_another_patient_is_never_added(self, hospital: Hospital) -> None:
        hospital.post(None, {"a.dcm": dicom(1)})
        answer = hospital.post(None, {"b.dcm": dicom(2, PatientID="P-2")})
        assert (answer.status_code, reasons(answer)) == (409, [("study.patient.id", None)])
        assert statuses(answer) == ["refused"] and Instance.objects.count() == 1

    def test_an_image_of_another_study_of_the_patient_is_refused_alone(self, hospital: Hospital) -> None:
        shared = dicom(1)
        hospital.post(None, {"a.dcm": shared})
        answer = hospital.post({"study_instance_uid": "2.25.78"}, {"a.dcm": shared, "b.dcm": dicom(2)})
        assert (answer.status_code, statuses(answer)) == (201, ["refused", "stored"])
        assert not QuarantinedFile.objects.exists()

    def test_a_study_that_is_sent_again_with_another_name_asks_once(self, hospital: Hospital) -> None:
        files = views()
        hospital.post(None, files)
        other = {"patient": {"id": "P-1", "name": "Married^Amara"}}
        for _ in range(2):
            assert hospital.post(other, files).status_code == 200
            assert DemographicsReview.objects.count() == 1
            DemographicsReview.objects.update(
                outcome="kept", decided_by=factories.user(at=hospital.site), decided_at=timezone.now()
            )


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
        assert "<td>Side</td><td>L</td><td>R" in page and "<td>Patient id</td><td>P-1</td><td>P-7" in page


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
