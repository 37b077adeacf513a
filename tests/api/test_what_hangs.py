"""Exams as hospitals send them, posted and read through the API: what hangs, what is read, how it is measured."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from cad_platform import modalities
from cad_platform.analysis.models import AnalysisJob
from cad_platform.analysis.services import Claim, request_analyses
from cad_platform.studies.models import Study
from tests import factories
from tests.claims import begin
from tests.imaging.dicom_headers import CC, IMPLANT_DISPLACED, MAGNIFICATION, MLO, region, view_code
from tests.posted_files import ULTRASOUND, Hospital, dicom, uid

pytestmark = pytest.mark.django_db

PATIENT = {"patient": {"id": "P-1"}}
RAW = "1.2.840.10008.5.1.4.1.1.1.2.1"
VIEWS = tuple(itertools.product("RL", (("CC", CC), ("MLO", MLO))))


def post(hospital: Hospital, files: dict[str, bytes]) -> list[dict[str, Any]]:
    answer = hospital.post(PATIENT, files)
    assert answer.status_code == 201, answer.content
    images: list[dict[str, Any]] = hospital.get("/2.25.1000").json()["images"]
    return images


def names(images: list[dict[str, Any]]) -> list[str]:
    return [" ".join([each["laterality"], each["view"], *each["view_modifiers"]]) for each in images]


@pytest.fixture
def hospital() -> Hospital:
    return Hospital()


def claimed(modality: str) -> Claim:
    version = factories.model_version(modalities.get(modality).champion, modality)
    version.manifest = {
        "name": version.name,
        "version": version.version,
        "title": version.name,
        "classes": ["normal", "malignant"],
        "positive_class": "malignant",
        "input": {"modality": modality, "kinds": ["image"], "max_images": 16},
        "weights": {"file": "w", "sha256": "ab" * 32},
        "preprocessing": {},
        "preprocessing_sha256": "cd" * 32,
        "thresholds": {},
        "parameters": 1,
        "licence": "x",
        "intended_use": "x",
    }
    version.save()
    claim = begin(Study.objects.get().pk, "worker")
    assert claim is not None
    return claim


def test_raw_and_processed_views_of_one_exam(hospital: Hospital) -> None:
    files = {}
    for side, (view, code) in VIEWS:
        of_view = {
            "ImageLaterality": side,
            "ViewPosition": view,
            "ViewCodeSequence": Sequence([view_code(code)]),
        }
        files[f"{side}{view}-raw.dcm"] = dicom(
            SOPClassUID=RAW, PresentationIntentType="FOR PROCESSING", SeriesNumber=1, **of_view
        )
        files[f"{side}{view}.dcm"] = dicom(SeriesNumber=2, **of_view)

    images = post(hospital, files)

    assert names(images[:4]) == ["R CC", "L CC", "R MLO", "L MLO"]
    assert [each["roles"] for each in images] == [["hung", "scored"]] * 4 + [["kept_aside"]] * 4
    assert all(each["kept_aside_reason"] for each in images[4:])
    assert {each.presentation_intent for each in claimed("MG").instances} == {"FOR PRESENTATION"}


def test_an_implant_set_of_eight(hospital: Hospital) -> None:
    files = {
        f"{side}{view}{len(modifiers)}.dcm": dicom(
            ImageLaterality=side, ViewPosition=view, ViewCodeSequence=Sequence([view_code(code, *modifiers)])
        )
        for modifiers in ((), (IMPLANT_DISPLACED,))
        for side, (view, code) in VIEWS
    }

    assert names(post(hospital, files)) == [
        "R CC", "R CC ID", "L CC", "L CC ID", "R MLO", "R MLO ID", "L MLO", "L MLO ID",
    ]  # fmt: skip


def test_views_spelled_with_their_side(hospital: Hospital) -> None:
    files = {
        f"{side}{view}.dcm": dicom(ImageLaterality=None, ViewPosition=f"{side}{view}")
        for side, (view, _) in VIEWS
    }

    images = post(hospital, files)

    assert names(images) == ["R CC", "L CC", "R MLO", "L MLO"]
    assert not any(each["side_stop"] for each in images)


def test_a_magnified_view_is_measured_in_the_breast_and_not_read(hospital: Hospital) -> None:
    magnified = dicom(
        PixelSpacing=["0.1", "0.1"],
        ImagerPixelSpacing=["0.1", "0.1"],
        EstimatedRadiographicMagnificationFactor="1.8",
        ViewCodeSequence=Sequence([view_code(CC, MAGNIFICATION)]),
    )

    (image,) = post(hospital, {"m.dcm": magnified})

    assert image["pixel_spacing_um"] == pytest.approx(55.6, abs=0.1)
    assert (image["roles"], image["view_modifiers"]) == (["hung"], ["M"])


def scan(*regions: Dataset, **tags: Any) -> bytes:
    return dicom(
        SOPClassUID=ULTRASOUND,
        SOPInstanceUID=uid(),
        Modality="US",
        ImageLaterality=None,
        ViewPosition=None,
        ImagerPixelSpacing=None,
        PresentationIntentType=None,
        **({"SequenceOfUltrasoundRegions": Sequence(list(regions))} if regions else {}),
        **tags,
    )


def test_two_regions_of_two_depths(hospital: Hospital) -> None:
    deep = region(32, 0, 63, 63, PhysicalDeltaX=0.02, PhysicalDeltaY=0.02)

    (image,) = post(hospital, {"us.dcm": scan(region(0, 0, 31, 63), deep)})

    assert (image["pixel_spacing_um"], image["pixel_spacing_row_um"], image["pixel_spacing_column_um"]) == (
        None, None, None,
    )  # fmt: skip
    assert [(each["box"], each["pixel_spacing_row_um"]) for each in image["regions"]] == [
        ([0, 0, 32, 64], 100.0),
        ([32, 0, 64, 64], 200.0),
    ]


def test_pixels_that_are_not_square(hospital: Hospital) -> None:
    (image,) = post(
        hospital, {"us.dcm": scan(region(0, 0, 63, 63, PhysicalDeltaX=0.008, PhysicalDeltaY=0.004))}
    )

    assert image["pixel_spacing_um"] is None
    assert image["pixel_spacing_row_um"] == pytest.approx(40)
    assert image["pixel_spacing_column_um"] == pytest.approx(80)


def test_a_clip_says_how_fast_it_plays(hospital: Hospital) -> None:
    frames = np.zeros((3, 64, 64), np.uint8)
    frames[:, 10:40, 10:50] = 120
    clip = dicom(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.3.1",
        Modality="US",
        ImageLaterality=None,
        ViewPosition=None,
        PresentationIntentType=None,
        NumberOfFrames=3,
        FrameTime="200",
        PixelData=frames.tobytes(),
    )

    (image,) = post(hospital, {"clip.dcm": clip})

    assert (image["frames"], image["frame_time_ms"]) == (3, 200.0)


def test_an_exam_of_nothing_that_models_read_says_so(hospital: Hospital) -> None:
    post(hospital, {"qc.dcm": dicom(QualityControlImage="YES")})
    factories.model_version("mammography", "MG")
    request_analyses(Study.objects.get().pk)

    job = AnalysisJob.objects.get()
    assert (job.state, job.reason) == (
        "not_applicable",
        "not analysed: the study has no image that this model reads: Quality control image",
    )
