"""Images of earlier versions are described anew; what counts differently makes a new version of their study."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import call_command

from cad_platform.studies.models import Instance, Study
from tests.posted_files import Hospital, dicom, uid

pytestmark = pytest.mark.django_db

PATIENT = {"patient": {"id": "P-1"}}


def as_of_before(**row: object) -> None:
    """Rows as version 2.2 left them."""
    Instance.objects.update(facts={}, **row)


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
