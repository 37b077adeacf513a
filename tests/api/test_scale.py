"""Where an image has no scale, or not all that its file gives, page and API say why, in the reader's language."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from cad_platform.accounts.models import Role
from tests import factories
from tests.imaging.dicom_headers import CC, MAGNIFICATION, region, view_code
from tests.posted_files import ULTRASOUND, Hospital, dicom

pytestmark = pytest.mark.django_db

MAGNIFIED = {"ViewCodeSequence": [view_code(CC, MAGNIFICATION)]}


def image_of(*, study: Any = None, **header: Any) -> tuple[Hospital, dict[str, Any]]:
    hospital = Hospital()
    answer = hospital.post(study, {"cc.dcm": dicom(**header)})
    assert answer.status_code == 201, answer.content
    (image,) = hospital.get("/2.25.1000").json()["images"]
    return hospital, image


def case(hospital: Hospital, language: str = "en") -> str:
    browser = Client()
    browser.force_login(factories.user(Role.RADIOLOGIST, hospital.site))
    browser.post(reverse("set_language"), {"language": language})
    return browser.get("/studies/2.25.1000/").content.decode()


def first_image(page: str) -> dict[str, Any]:
    found = re.search(r'<script id="case-json" type="application/json">(.*?)</script>', page, re.S)
    assert found is not None
    image: dict[str, Any] = json.loads(found[1])["images"][0]
    return image


@pytest.mark.parametrize(
    ("header", "short", "sentence"),
    [
        (MAGNIFIED, "magnification unknown", "that does not say its factor"),
        ({"ImagerPixelSpacing": ["70", "70"]}, "impossible spacing", "says 70 mm × 70 mm"),
        (
            {
                "ImagerPixelSpacing": None,
                "PixelSpacing": ["0.1", "0.1"],
                "EstimatedRadiographicMagnificationFactor": "1.8",
            },
            "unclear whether corrected for magnification",
            "corrected for the magnification of 1.8",
        ),
        ({"ImagerPixelSpacing": None}, "", "does not say how large a pixel is"),
        (
            {
                "SOPClassUID": ULTRASOUND,
                "Modality": "US",
                "ImagerPixelSpacing": None,
                "SequenceOfUltrasoundRegions": [
                    region(0, 0, 63, 63, RegionSpatialFormat=3, PhysicalUnitsXDirection=4)
                ],
            },
            "",
            "regions of this image give no lengths",
        ),
    ],
)
def test_a_scale_that_is_refused_or_open_says_why(header: dict[str, Any], short: str, sentence: str) -> None:
    hospital, image = image_of(**header)

    assert image["pixel_spacing_um"] is None
    assert sentence in " ".join(image["scale_remarks"])
    page = case(hospital)
    assert first_image(page)["scale_reason"] == short
    assert sentence in " ".join(first_image(page)["scale_sentences"])
    assert sentence in page[page.index('id="scales"') :]


def test_in_chinese_too() -> None:
    hospital, _ = image_of(**MAGNIFIED)
    page = case(hospital, "zh-hans")

    assert first_image(page)["scale_reason"] == "放大倍数未知"
    assert "放大位图像未说明放大倍数" in page[page.index('id="scales"') :]


def test_where_the_scale_is_known_nothing_is_said_of_it() -> None:
    hospital, image = image_of()

    assert (image["pixel_spacing_um"], image["scale_remarks"]) == (70, [])
    assert 'id="scales"' not in case(hospital)


def test_what_was_not_used_is_said_beside_a_scale_that_stands() -> None:
    hospital, image = image_of(EstimatedRadiographicMagnificationFactor="40")

    assert image["pixel_spacing_um"] == 70
    assert "magnification of 40" in image["scale_remarks"][0]
    assert first_image(case(hospital))["scale_reason"] == ""


def test_the_senders_word_settles_it() -> None:
    part = {"file": "cc.dcm", "pixel_spacing_um": 55.6}
    _, image = image_of(study={"patient": {"id": "P-1"}, "images": [part]}, **MAGNIFIED)

    assert (image["pixel_spacing_um"], image["scale_remarks"]) == (55.6, [])
