"""A study is not a post: it grows image by image, is complete when that is said or nothing more comes, and what came
late is told to who reads and who signed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from cad_platform.accounts.models import Role
from cad_platform.analysis import services as analyses
from cad_platform.analysis.models import AnalysisJob
from cad_platform.audit.models import AuditEvent
from cad_platform.patients.models import DemographicsReview
from cad_platform.reading.models import ReportStanding
from cad_platform.studies import services, storage
from cad_platform.studies.models import Instance, QuarantinedFile, Study
from tests import factories
from tests.api.four_views import browser, completed, statuses, views
from tests.posted_files import (
    Hospital,
    dicom,
    reasons,
    uid,
)
from tests.registered import models_in_use

pytestmark = pytest.mark.django_db


@pytest.fixture
def hospital() -> Hospital:
    return Hospital()


def quiet(study: Study | None = None) -> int:
    """The quiet time passes."""
    Study.objects.filter(state=Study.State.RECEIVING).update(quiet_at=timezone.now() - timedelta(seconds=1))
    return services.complete_quiet()


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

    @pytest.mark.parametrize(("wait", "longest"), [(60, 5.0), (4, 2.0), (0, 0.5)])
    def test_who_looks_for_that_looks_in_time_and_not_for_nothing(
        self, hospital: Hospital, settings: Any, wait: int, longest: float
    ) -> None:
        settings.STUDY_QUIET_SECONDS = wait
        assert services.take_turn() == longest  # nothing arrives; what begins now is not due sooner
        hospital.post({"complete": False}, views())
        for due, pause in ((30.0, longest), (1.5, min(1.5, longest)), (0.2, min(1.0, longest))):
            Study.objects.update(quiet_at=timezone.now() + timedelta(seconds=due))
            assert services.take_turn() == pytest.approx(pause, abs=0.2)
        Study.objects.update(quiet_at=timezone.now() - timedelta(seconds=1))
        assert services.take_turn() == longest
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
