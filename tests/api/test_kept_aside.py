"""What a post may hold beside images: objects that show none, other modalities, and mammograms with ultrasound."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from cad_platform.accounts.models import Role
from cad_platform.analysis import services as analyses
from cad_platform.studies.models import KeptAside, Study
from tests import factories
from tests.api.four_views import browser, statuses, views
from tests.posted_files import (
    CT,
    SECONDARY_CAPTURE,
    ULTRASOUND,
    Hospital,
    dicom,
)
from tests.registered import models_in_use

pytestmark = pytest.mark.django_db

CAD_SR = "1.2.840.10008.5.1.4.1.1.88.50"
PRESENTATION_STATE = "1.2.840.10008.5.1.4.1.1.11.1"
DOSE_SR = "1.2.840.10008.5.1.4.1.1.88.67"
KEY_OBJECTS = "1.2.840.10008.5.1.4.1.1.88.59"
RAW_DATA = "1.2.840.10008.5.1.4.1.1.66"
PDF = "1.2.840.10008.5.1.4.1.1.104.1"


@pytest.fixture
def hospital() -> Hospital:
    return Hospital()


def no_image(sop_class: str, modality: str, **tags: Any) -> bytes:
    """A sound object without a picture."""
    pixels = dict.fromkeys(
        ("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored",
         "HighBit", "PixelRepresentation", "PixelData", "ImageLaterality", "ViewPosition")
    )  # fmt: skip
    return dicom(0, SOPClassUID=sop_class, Modality=modality, **{**pixels, **tags})


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
