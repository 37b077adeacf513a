"""Real files of all three modalities, as they come from hospitals."""

from __future__ import annotations

from pathlib import Path

import pytest

from cad_platform.studies.models import Instance, Slide, Study
from tests.posted_files import Hospital

pytestmark = pytest.mark.django_db


def files(*paths: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in paths}


@pytest.mark.long
def test_the_four_view_exam_whose_every_view_names_another_patient_and_study(shared_data: Path) -> None:
    hospital = Hospital()
    views = [shared_data / "dicom" / "mammography" / f"1-{number}.dcm" for number in (280, 281, 282, 283)]
    alone = hospital.post(None, files(*views))
    assert alone.status_code == 422
    assert {error["field"] for error in alone.json()["errors"]} >= {
        "study.patient.id",
        "study.study_instance_uid",
    }
    sides = [("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO")]
    post = {
        "patient": {"id": "C-1", "name": "Case^One"},
        "study_instance_uid": "2.25.820",
        "modality": "MG",
        "images": [
            {"file": path.name, "laterality": side, "view": view}
            for path, (side, view) in zip(views, sides, strict=True)
        ],
    }
    assert hospital.post(post, files(*views)).status_code == 201
    placed = Instance.objects.order_by("file_name").values_list("laterality", "view_position")
    assert list(placed) == sides
    differing = {difference["field"] for difference in Study.objects.get().header_differences}
    assert {"patient.id", "study_instance_uid"} <= differing


def test_a_whole_slide_says_by_itself_that_it_is_one(shared_data: Path) -> None:
    hospital = Hospital()
    slide = shared_data / "wsi" / "CMU-1-Small-Region.svs"
    answer = hospital.post({"patient": {"id": "W-1"}}, files(slide))
    assert answer.status_code == 201, answer.content
    assert Study.objects.get().modality == "SM"
    stored = Slide.objects.get()
    assert stored.mpp_x == pytest.approx(0.499)
    assert stored.levels[0]["width"] == stored.instance.columns > 2000
    (image,) = hospital.client.get(answer.json()["url"]).json()["images"]
    assert image["urls"]["tiles"].endswith("/slide.dzi") and image["urls"]["pixels"] is None


def test_a_broken_slide_is_refused_by_name(shared_data: Path) -> None:
    answer = Hospital().post({"patient": {"id": "W-1"}}, files(shared_data / "wsi" / "broken.svs"))
    assert answer.status_code in {415, 422}
    assert answer.json()["errors"][0]["file"] == "broken.svs"


def test_an_ultrasound_picture(shared_data: Path) -> None:
    picture = shared_data / "busi" / "Dataset_BUSI_with_GT" / "benign" / "benign (1).png"
    answer = Hospital().post({"patient": {"id": "B-1"}, "modality": "US"}, files(picture))
    assert answer.status_code == 201
    assert Instance.objects.get().file_name == "benign (1).png"


@pytest.mark.parametrize(
    "name",
    [
        "OBXXXX1A.dcm",
        "OBXXXX1A_rle_2frame.dcm",
        "US1_J2KR.dcm",
        "color-pl.dcm",
        "color3d_jpeg_baseline.dcm",
        "examples_ybr_color.dcm",
        "gdcm-US-ALOKA-16.dcm",
        "gdcm-US-ALOKA-16_big.dcm",
        "JPGLosslessP14SV1_1s_1f_8b.dcm",
    ],
)
def test_ultrasound_in_every_encoding(shared_data: Path, name: str) -> None:
    study = {"patient": {"id": "U-1"}, "modality": "US"}
    answer = Hospital().post(study, files(shared_data / "dicom" / "ultrasound" / name))
    assert answer.status_code == 201, answer.content
