"""Exams that arrive in pieces, with objects that are no images, are corrected, withdrawn and come back."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.uid import generate_uid

from tests.field.files import four_views, no_image, patient, speckle, ultrasound, view
from tests.posted_files import Hospital

pytestmark = pytest.mark.django_db

OBJECTS = {
    "cad-sr.dcm": ("1.2.840.10008.5.1.4.1.1.88.50", "SR"),
    "state.dcm": ("1.2.840.10008.5.1.4.1.1.11.1", "PR"),
    "dose.dcm": ("1.2.840.10008.5.1.4.1.1.88.67", "SR"),
    "keys.dcm": ("1.2.840.10008.5.1.4.1.1.88.59", "KO"),
    "raw.dcm": ("1.2.840.10008.5.1.4.1.1.66", "OT"),
    "letter.dcm": ("1.2.840.10008.5.1.4.1.1.104.1", "DOC"),
}


def exam() -> tuple[dict[str, Any], dict[str, bytes]]:
    same = {"StudyInstanceUID": generate_uid(), "PatientID": patient()}
    return same, four_views(**same)


def test_images_that_come_one_by_one_are_one_study() -> None:
    hospital = Hospital()
    _, files = exam()
    answers = [hospital.post(None, {name: data}) for name, data in files.items()]
    assert [answer.status_code for answer in answers] == [201] * 4
    assert len({answer.json()["study_instance_uid"] for answer in answers}) == 1
    assert len(hospital.client.get(answers[0].json()["url"]).json()["images"]) == 4
    assert hospital.post(None, files).status_code == 200


def test_what_is_no_image_is_kept_aside_and_refuses_nothing() -> None:
    hospital = Hospital()
    same, files = exam()
    others = {name: no_image(*kind, **same) for name, kind in OBJECTS.items()}
    answer = hospital.post(None, {**files, **others})
    assert answer.status_code == 201, answer.content
    said = {each["file"]: each["status"] for each in answer.json()["files"]}
    assert {said[name] for name in files} == {"stored"}
    assert {said[name] for name in others} == {"kept_aside"}
    study = hospital.client.get(answer.json()["url"]).json()
    assert len(study["images"]) == 4
    assert {each["file"] for each in study["kept_aside"]} == set(others)
    assert hospital.post(None, {**files, **others}).status_code == 200


def test_one_damaged_file_does_not_refuse_the_others() -> None:
    hospital = Hospital()
    _, files = exam()
    answer = hospital.post(None, {**files, "torn.dcm": next(iter(files.values()))[:700]})
    assert answer.status_code == 201
    (refused,) = (each for each in answer.json()["files"] if each["status"] == "refused")
    assert refused["file"] == "torn.dcm" and refused["reason"]


def test_mammograms_and_ultrasound_of_one_study_are_both_read() -> None:
    hospital = Hospital()
    same, files = exam()
    answer = hospital.post(None, {**files, "us.dcm": ultrasound(speckle(), **same)})
    assert answer.status_code == 201, answer.content
    study = hospital.client.get(answer.json()["url"]).json()
    assert len(study["images"]) == 5
    assert set(study["modalities"]) == {"MG", "US"}


def test_two_files_of_one_name() -> None:
    hospital = Hospital()
    _, files = exam()
    first, second, *_ = files.values()
    from django.core.files.uploadedfile import SimpleUploadedFile

    body = {"files": [SimpleUploadedFile("IM000001", data) for data in (first, second)]}
    answer = hospital.client.post("/api/v1/studies", body)
    assert answer.status_code == 201, answer.content
    assert len(hospital.client.get(answer.json()["url"]).json()["images"]) == 2


def test_a_study_that_is_not_complete_yet_says_so_until_it_is() -> None:
    hospital = Hospital()
    _, files = exam()
    answer = hospital.post({"complete": False}, files)
    assert answer.status_code == 201, answer.content
    assert answer.json()["state"] == "receiving"
    uid = answer.json()["study_instance_uid"]
    done = hospital.client.post(f"/api/v1/studies/{uid}/complete", {}, content_type="application/json")
    assert done.status_code == 200, done.content
    assert done.json()["state"] != "receiving"


@pytest.mark.parametrize(
    "change",
    [
        {"images": [{"file": "w.dcm", "laterality": "R"}]},
        {"images": [{"file": "w.dcm", "laterality": "L", "view": "MLO"}]},
        {"images": [{"file": "w.dcm", "laterality": "L", "pixel_spacing_um": 70}]},
        {
            "patient": {"id": "ANOTHER-1", "name": "Other^Woman"},
            "images": [{"file": "w.dcm", "laterality": "L"}],
        },
    ],
)
def test_the_same_images_said_otherwise_are_a_correction_or_refused(change: dict[str, Any]) -> None:
    hospital = Hospital()
    data = {"w.dcm": view("L", "CC", ImageLaterality=None, PatientOrientation=None)}
    first = hospital.post({"images": [{"file": "w.dcm", "laterality": "L"}]}, data)
    assert first.status_code == 201
    refused = hospital.post(change, data)
    assert refused.status_code == 409 and "correction" in refused.content.decode()
    taken = hospital.post({**change, "correction": {"reason": "The side was wrong"}}, data)
    assert taken.status_code in {200, 201}, taken.content
    study = hospital.client.get(first.json()["url"]).json()
    wanted = change["images"][0]
    assert study["images"][0]["laterality"] == wanted["laterality"]
    if "view" in wanted:
        assert study["images"][0]["view"] == "MLO"
    if "pixel_spacing_um" in wanted:
        assert study["images"][0]["pixel_spacing_um"] == 70
    if "patient" in change:
        assert study["patient"]["id"] == "ANOTHER-1"


def test_one_image_under_two_patients_is_a_conflict() -> None:
    hospital = Hospital()
    uid = generate_uid()
    first = view("L", "CC", SOPInstanceUID=uid)
    assert hospital.post(None, {"a.dcm": first}).status_code == 201
    again = view("L", "CC", SOPInstanceUID=uid)
    assert hospital.post(None, {"a.dcm": again}).status_code == 409
