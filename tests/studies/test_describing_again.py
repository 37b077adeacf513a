"""Images of earlier versions are described anew; what counts differently makes a new version of their study."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from cad_platform.core.actor import Actor
from cad_platform.studies import tasks
from cad_platform.studies.describing_again import describe_again
from cad_platform.studies.models import Instance, Slide, Study
from imaging.description import RULES
from imaging.errors import DamagedFile
from tests.api.test_sides import confirm, reader
from tests.imaging.test_tiff_pyramids import SIZES, pyramid
from tests.posted_files import Hospital, dicom, png, uid
from tests.whole_slides import section

pytestmark = pytest.mark.django_db

PATIENT = {"patient": {"id": "P-1"}}


def as_of_before(**row: object) -> None:
    """Rows as version 2.2 left them."""
    Instance.objects.update(facts={}, described_by=0, **row)


def run() -> str:
    out = StringIO()
    call_command("describe_again", stdout=out)
    return out.getvalue().strip()


def test_what_was_misread_is_put_right_and_the_study_becomes_a_new_version() -> None:
    hospital = Hospital()
    magnified = dicom(ViewPosition="RCC", ImageLaterality="R", EstimatedRadiographicMagnificationFactor="1.4")
    hospital.post(PATIENT, {"a.dcm": magnified, "b.dcm": dicom(SOPInstanceUID=uid())})
    as_of_before(pixel_spacing_um=70.0)
    Instance.objects.filter(file_name="a.dcm").update(view_position="RCC")
    content = Study.objects.get().content_hash

    assert run() == "1 studies described again, 1 of them changed"

    read = hospital.get("/2.25.1000").json()
    assert [(each["laterality"], each["view"]) for each in read["images"]] == [("R", "CC"), ("L", "CC")]
    assert read["images"][0]["pixel_spacing_um"] == pytest.approx(50)
    assert {each["field"] for each in read["corrections"][-1]["changes"]} == {"view", "pixel_spacing_um"}
    assert Study.objects.get().content_hash != content
    assert run() == "0 studies described again, 0 of them changed"


def test_what_was_posted_stays_and_its_contradiction_is_seen() -> None:
    hospital = Hospital()
    part = {"file": "a.dcm", "laterality": "R", "pixel_spacing_um": 50}
    hospital.post({**PATIENT, "images": [part]}, {"a.dcm": dicom()})
    as_of_before()

    assert run() == "1 studies described again, 0 of them changed"

    (image,) = hospital.get("/2.25.1000").json()["images"]
    assert (image["laterality"], image["pixel_spacing_um"]) == ("R", 50)
    assert "the post says R" in image["side_stop"]


def test_a_pyramid_that_was_taken_for_a_picture_becomes_a_slide(tmp_path: Path) -> None:
    hospital = Hospital()
    path = pyramid(tmp_path / "section.ome.tif", section(768, 1024), SIZES)
    hospital.post({**PATIENT, "modality": "SM"}, {path.name: path.read_bytes()})
    stored = Instance.objects.get()
    assert stored.kind == Instance.Kind.SLIDE
    wanted = (stored.rows, stored.columns, stored.pixel_spacing_um, Slide.objects.get().levels)
    as_of_before(kind="image", pixel_spacing_um=None, pixel_spacing_source="")
    Slide.objects.update(levels=[], mpp_x=None)

    assert run() == "1 studies described again, 1 of them changed"

    stored.refresh_from_db()
    assert stored.kind == Instance.Kind.SLIDE
    assert (stored.rows, stored.columns, stored.pixel_spacing_um, Slide.objects.get().levels) == wanted
    (correction,) = hospital.get(f"/{Study.objects.get().study_instance_uid}").json()["corrections"]
    assert "kind" in {each["field"] for each in correction["changes"]}


def test_plain_pictures_are_described_once_and_keep_what_was_posted_of_them() -> None:
    hospital = Hospital()
    part = {"file": "a.png", "laterality": "L", "view": "CC ID", "pixel_spacing_um": 50}
    hospital.post({**PATIENT, "modality": "MG", "images": [part]}, {"a.png": png()})
    before = Instance.objects.get()
    Instance.objects.update(described_by=0)

    assert run() == "1 studies described again, 0 of them changed"
    assert run() == "0 studies described again, 0 of them changed"

    after = Instance.objects.get()
    for name in ("facts", "laterality", "view_position", "pixel_spacing_um", "pixel_spacing_source"):
        assert getattr(after, name) == getattr(before, name), name


def test_a_persons_word_on_a_side_outlives_it() -> None:
    hospital = Hospital()
    part = {"file": "a.dcm", "laterality": "L"}
    hospital.post({**PATIENT, "images": [part]}, {"a.dcm": dicom(PatientOrientation=["P", "L"])})
    (image,) = hospital.get("/2.25.1000").json()["images"]
    assert image["side_stop"]
    confirm(reader(hospital), image["id"], "L")
    Instance.objects.update(described_by=0)

    run()

    (image,) = hospital.get("/2.25.1000").json()["images"]
    assert (image["side_stop"], image["side_confirmed"]) == ("", True)


def test_what_cannot_be_read_any_more_stays_and_is_not_tried_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Hospital().post(PATIENT, {"a.dcm": dicom()})
    Instance.objects.update(described_by=0)

    def damaged(*_: object, **__: object) -> None:
        raise DamagedFile("No more.")

    monkeypatch.setattr("cad_platform.studies.describing_again.sandbox.describe", damaged)
    assert "1 images could not be read" in run()
    assert Instance.objects.get().described_by == RULES


def test_housekeeping_does_it_in_slices() -> None:
    hospital = Hospital()
    for number in (1, 2):
        hospital.post(
            {"patient": {"id": f"P-{number}"}}, {"a.dcm": dicom(SOPInstanceUID=uid(), StudyInstanceUID=uid())}
        )
    Instance.objects.update(described_by=0)

    assert list(describe_again(Actor.system("test"), seconds=0)) == []
    assert tasks.describe_again() == 2
    assert tasks.describe_again() == 0
