"""POST /api/v1/studies, file by file: each is stored, refused or set aside by itself."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from cad_platform.patients.models import Patient
from cad_platform.studies import storage
from cad_platform.studies.models import Instance, QuarantinedFile, StoredFile, Study
from tests.posted_files import (
    STUDY,
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


class TestFiles:
    @pytest.mark.parametrize(
        ("name", "data", "status"),
        [
            ("empty.dcm", b"", 415),
            ("text.dcm", b"this is no image, only text\n" * 20, 415),
            ("page.png", b"<html><script>alert(1)</script></html>", 415),
            ("half.dcm", dicom()[:2500], 422),
            ("half.png", png(1)[: len(png(1)) // 2], 422),
            ("no-pixels.dcm", dicom(PixelData=None), 415),
        ],
    )
    def test_one_bad_file_is_refused_and_the_others_are_stored(
        self, hospital: Hospital, name: str, data: bytes, status: int
    ) -> None:
        answer = hospital.post({**STUDY, "modality": None}, {"good.dcm": dicom(), name: data})
        assert answer.status_code == 201, answer.content
        good, bad = answer.json()["files"]
        assert (good["status"], bad["status"], bad["file"]) == ("stored", "refused", name)
        assert bad["reason"] and good["url"] and bad["url"] is None
        assert Instance.objects.count() == 1

    @pytest.mark.parametrize(
        ("name", "data", "status"),
        [
            ("empty.dcm", b"", 415),
            ("text.dcm", b"this is no image, only text\n" * 20, 415),
            ("half.dcm", dicom()[:2500], 422),
            ("half.png", png(1)[: len(png(1)) // 2], 422),
            ("no-pixels.dcm", dicom(PixelData=None), 415),
        ],
    )
    def test_a_post_of_nothing_but_a_bad_file_is_refused(
        self, hospital: Hospital, name: str, data: bytes, status: int
    ) -> None:
        answer = hospital.post({**STUDY, "modality": None}, {name: data})
        assert answer.status_code == status, answer.content
        assert reasons(answer) == [("files", name)]
        assert answer.json()["errors"][0]["reason"]
        assert nothing_was_stored()

    def test_all_bad_files_are_named_at_once(self, hospital: Hospital) -> None:
        answer = hospital.post(files={"a.png": b"x", "c.png": b""})
        assert sorted(reasons(answer)) == [("files", "a.png"), ("files", "c.png")]
        assert [each["status"] for each in answer.json()["files"]] == ["refused", "refused"]

    def test_no_file_at_all_is_422(self, hospital: Hospital) -> None:
        answer = hospital.client.post("/api/v1/studies", {"study": json.dumps(STUDY)})
        assert (answer.status_code, reasons(answer)) == (422, [("files", None)])

    def test_two_files_of_one_name_are_accepted(self, hospital: Hospital) -> None:
        answer = hospital.post_files(STUDY, [("a.png", png(1)), ("a.png", png(2))])
        assert answer.status_code == 201, answer.content
        assert [each["status"] for each in answer.json()["files"]] == ["stored", "stored"]

    def test_a_part_that_names_two_files_has_to_say_which(self, hospital: Hospital) -> None:
        files = [("a.png", png(1)), ("a.png", png(2))]
        answer = hospital.post_files({**STUDY, "images": [{"file": "a.png", "laterality": "L"}]}, files)
        assert (answer.status_code, reasons(answer)) == (422, [("study.images[0].file", "a.png")])
        parts = [{"index": 1, "file": "a.png", "laterality": "L"}, {"index": 0, "laterality": "R"}]
        answer = hospital.post_files({**STUDY, "images": parts}, files)
        assert answer.status_code == 201
        sides = {each.file_id: each.laterality for each in Instance.objects.all()}
        assert sides == {sha256(png(1)).hexdigest(): "R", sha256(png(2)).hexdigest(): "L"}

    @pytest.mark.parametrize(
        ("part", "field"),
        [
            ({"index": 2}, "study.images[0].index"),
            ({"index": 0, "file": "b.png"}, "study.images[0].index"),
            ({"laterality": "L"}, "study.images[0].file"),
        ],
    )
    def test_a_part_that_names_no_file_is_422(
        self, hospital: Hospital, part: dict[str, Any], field: str
    ) -> None:
        answer = hospital.post_files({**STUDY, "images": [part]}, [("a.png", png(1)), ("b.png", png(2))])
        assert answer.status_code == 422
        assert [where for where, _ in reasons(answer)] == [field]

    def test_a_part_that_is_not_known_is_named(self, hospital: Hospital) -> None:
        body = {"files": SimpleUploadedFile("a.png", png()), "fils": SimpleUploadedFile("b.png", png())}
        answer = hospital.client.post("/api/v1/studies", {**body, "study": json.dumps(STUDY)})
        assert (answer.status_code, reasons(answer)) == (422, [("fils", None)])

    def test_a_file_name_with_nul_is_refused(self, hospital: Hospital) -> None:
        body = (
            b'--b\r\nContent-Disposition: form-data; name="files"; filename="a\0b.png"\r\n\r\n'
            + png()
            + b"\r\n--b--\r\n"
        )
        answer = hospital.client.generic(
            "POST", "/api/v1/studies", body, content_type="multipart/form-data; boundary=b"
        )
        assert (answer.status_code, reasons(answer)) == (422, [("files", None)])

    def test_a_path_in_a_file_name_is_dropped(self, hospital: Hospital) -> None:
        body = (
            b'--b\r\nContent-Disposition: form-data; name="study"\r\n\r\n'
            + json.dumps(STUDY).encode()
            + b'\r\n--b\r\nContent-Disposition: form-data; name="files"; filename="../../etc/a.png"\r\n\r\n'
            + png()
            + b"\r\n--b--\r\n"
        )
        answer = hospital.client.generic(
            "POST", "/api/v1/studies", body, content_type="multipart/form-data; boundary=b"
        )
        assert answer.status_code == 201, answer.content
        assert Instance.objects.get().file_name == "a.png"

    def test_a_body_cut_before_its_last_boundary_is_400(self, hospital: Hospital) -> None:
        body = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n' + png()
        answer = hospital.client.generic(
            "POST", "/api/v1/studies", body, content_type="multipart/form-data; boundary=b"
        )
        assert answer.status_code == 400
        assert nothing_was_stored()

    def test_json_instead_of_multipart_is_415(self, hospital: Hospital) -> None:
        answer = hospital.client.post("/api/v1/studies", STUDY, content_type="application/json")
        assert (answer.status_code, reasons(answer)) == (415, [])

    def test_nothing_is_left_in_the_upload_folder(self, hospital: Hospital, settings: Any) -> None:
        hospital.post()
        hospital.post(files={"a.png": b"x"})
        assert list(settings.UPLOAD_DIR.iterdir()) == []


class TestQuarantine:
    def test_a_known_sop_uid_with_other_bytes(self, hospital: Hospital) -> None:
        sop = uid()
        hospital.post(None, {"cc.dcm": dicom(1, SOPInstanceUID=sop)})
        kept = Instance.objects.get()
        other = dicom(2, SOPInstanceUID=sop)
        answer = hospital.post(None, {"cc.dcm": other})
        assert answer.status_code == 409
        assert reasons(answer) == [("files", "cc.dcm")]
        assert answer.json()["type"] == "urn:cad:problem:sop_instance_uid_conflict"
        assert [each["status"] for each in answer.json()["files"]] == ["quarantined"]
        quarantined = QuarantinedFile.objects.get()
        assert quarantined.existing == kept
        with storage.open(quarantined.file_id) as path:
            assert path.read_bytes() == other
        assert list(Instance.objects.all()) == [kept]
        assert Instance.objects.get().file_id == kept.file_id
        read = hospital.get("/2.25.1000").json()
        assert [file["sop_instance_uid"] for file in read["quarantined_files"]] == [sop]
        assert read["state"] == "complete"

    def test_the_other_files_of_the_post_are_stored(self, hospital: Hospital) -> None:
        sop = uid()
        hospital.post(None, {"cc.dcm": dicom(1, SOPInstanceUID=sop)})
        files = {"cc.dcm": dicom(2, SOPInstanceUID=sop), "new.dcm": dicom(3)}
        for status, new in ((201, "stored"), (200, "duplicate")):
            answer = hospital.post(None, files)
            assert answer.status_code == status
            assert [each["status"] for each in answer.json()["files"]] == ["quarantined", new]
        assert Instance.objects.count() == 2

    def test_repeating_it_adds_nothing(self, hospital: Hospital) -> None:
        sop = uid()
        hospital.post(None, {"cc.dcm": dicom(1, SOPInstanceUID=sop)})
        for _ in range(2):
            assert hospital.post(None, {"cc.dcm": dicom(2, SOPInstanceUID=sop)}).status_code == 409
        assert QuarantinedFile.objects.count() == 1

    def test_a_clash_without_a_study_uid_belongs_to_the_known_images_study(self, hospital: Hospital) -> None:
        sop = uid()
        hospital.post(None, {"cc.dcm": dicom(1, SOPInstanceUID=sop)})
        clashing = dicom(2, SOPInstanceUID=sop, StudyInstanceUID=None)
        assert hospital.post(None, {"cc.dcm": clashing}).status_code == 409
        assert Study.objects.count() == 1
        assert QuarantinedFile.objects.get().study == Study.objects.get()

    def test_a_new_study_uid_can_be_found_as_quarantined_and_filled_later(self, hospital: Hospital) -> None:
        sop = uid()
        hospital.post(None, {"cc.dcm": dicom(1, SOPInstanceUID=sop)})
        clashing = dicom(2, SOPInstanceUID=sop, StudyInstanceUID="2.25.3000")
        assert hospital.post(None, {"cc.dcm": clashing}).status_code == 409
        read = hospital.get("/2.25.3000").json()
        assert (read["state"], read["images"], read["patient"]) == ("quarantined", [], None)
        assert [s["state"] for s in hospital.get(state="quarantined").json()["results"]] == ["quarantined"]
        assert hospital.post(None, {"cc.dcm": dicom(2, StudyInstanceUID="2.25.3000")}).status_code == 201
        assert hospital.get("/2.25.3000").json()["state"] == "complete"
