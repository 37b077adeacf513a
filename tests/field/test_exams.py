"""Which images of an exam hang, are scored or are kept aside, on which side, and how large things are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pydicom.uid import generate_uid

from tests.field.files import (
    MG_PROCESSING,
    SECONDARY_CAPTURE,
    breast,
    code,
    dicom_file,
    four_views,
    item,
    patient,
    region,
    speckle,
    ultrasound,
    view,
)
from tests.posted_files import Hospital

pytestmark = pytest.mark.django_db


def posted(files: dict[str, bytes], study: dict[str, Any] | None = None) -> dict[str, Any]:
    """The composed answer about the study that these files make."""
    hospital = Hospital()
    answer = hospital.post(study, files)
    assert answer.status_code == 201, answer.content
    found: dict[str, Any] = hospital.client.get(answer.json()["url"]).json()
    return found


def image(data: bytes, study: dict[str, Any] | None = None) -> dict[str, Any]:
    (found,) = posted({"a.dcm": data}, study)["images"]
    return found


# --- raw beside processed ---------------------------------------------------------------------------------


def raw(side: str, name: str, **tags: Any) -> bytes:
    values = np.rint(16383 * np.exp(-breast(side) / 1000)).astype(int)
    return view(
        side, name, values=values, stored=14, SOPClassUID=MG_PROCESSING,
        **{"PresentationIntentType": "FOR PROCESSING", "PhotometricInterpretation": "MONOCHROME1", **tags},
    )  # fmt: skip


@pytest.mark.parametrize("intent", ["FOR PROCESSING", None])
@pytest.mark.parametrize("number", [0, 9])
def test_raw_images_beside_processed_ones_are_kept_aside(intent: str | None, number: int) -> None:
    same = {"StudyInstanceUID": generate_uid(), "PatientID": patient()}
    files = {
        f"{side}{name}-raw.dcm": raw(side, name, PresentationIntentType=intent, SeriesNumber=number, **same)
        for side in "RL"
        for name in ("CC", "MLO")
    }
    files |= four_views(**same)
    images = posted(files)["images"]
    kept = [each for each in images if "raw" in each["file"]]
    assert len(kept) == 4
    assert all(each["roles"] == ["kept_aside"] and each["kept_aside_reason"] for each in kept)
    assert all(set(each["roles"]) == {"hung", "scored"} for each in images if each not in kept)


def test_raw_images_alone_are_seen_and_not_scored() -> None:
    same = {"StudyInstanceUID": generate_uid(), "PatientID": patient()}
    files = {f"{side}CC.dcm": raw(side, "CC", **same) for side in "RL"}
    for each in posted(files)["images"]:
        assert "scored" not in each["roles"]


# --- views ------------------------------------------------------------------------------------------------

IMPLANT = ("399209000", "SCT", "Implant Displaced")


@pytest.mark.parametrize("modifier", [IMPLANT, ("R-102D5", "SRT", "Implant Displaced")])
def test_an_implant_set_has_eight_views_and_the_displaced_ones_are_named_apart(
    modifier: tuple[str, str, str],
) -> None:
    same = {"StudyInstanceUID": generate_uid(), "PatientID": patient(), "BreastImplantPresent": "YES"}
    files = four_views(**same)
    files |= {
        f"{side}{name}ID.dcm": view(side, name, code(*modifier), **same)
        for side in "RL"
        for name in ("CC", "MLO")
    }
    images = posted(files)["images"]
    assert len(images) == 8
    for each in images:
        assert each["view"] in {"CC", "MLO"}
        assert each["view_modifiers"] == (["ID"] if "ID" in each["file"] else [])
        assert "hung" in each["roles"]


@pytest.mark.parametrize(
    ("spelt", "side", "name", "modifiers"),
    [
        ("RCC", "R", "CC", []),
        ("LMLO", "L", "MLO", []),
        ("L MLO", "L", "MLO", []),
        ("MLO-R", "R", "MLO", []),
        ("R-CC", "R", "CC", []),
        ("CC_L", "L", "CC", []),
        ("cc", "L", "CC", []),
        ("LEFT CC", "L", "CC", []),
        ("RIGHT MLO", "R", "MLO", []),
        ("ML", "L", "ML", []),
        ("RLM", "R", "LM", []),
        ("LXCCL", "L", "XCCL", []),
        ("XCCM", "L", "XCCM", []),
        ("FB", "L", "FB", []),
        ("SIO", "L", "SIO", []),
        ("LMO", "L", "LMO", []),
        ("LCCID", "L", "CC", ["ID"]),
        ("RMLO ID", "R", "MLO", ["ID"]),
    ],
)
def test_a_view_is_understood_however_it_is_spelt(
    spelt: str, side: str, name: str, modifiers: list[str]
) -> None:
    data = view(
        side, spelt, values=breast(side), ImageLaterality=side, PatientOrientation=None, ViewCodeSequence=None
    )
    found = image(data)
    assert (found["laterality"], found["view"], found["view_modifiers"]) == (side, name, modifiers)


@pytest.mark.parametrize("spelt", ["RCC", "R MLO", "MLO-R"])
def test_a_side_that_only_the_view_names_counts(spelt: str) -> None:
    data = view("R", spelt, values=breast("R"), ImageLaterality=None, PatientOrientation=None)
    assert image(data)["laterality"] == "R"


@pytest.mark.parametrize(
    ("tags", "scored"),
    [
        ({}, True),
        ({"QualityControlImage": "YES"}, False),
        (
            {
                "AnatomicRegionSequence": [code("127457009", "SCT", "Tissue specimen from breast")],
                "ImageLaterality": None,
                "PatientOrientation": None,
            },
            False,
        ),
        ({"PartialView": "YES"}, True),
    ],
)
def test_what_is_no_breast_on_the_detector_is_not_scored(tags: dict[str, Any], scored: bool) -> None:
    files = four_views(PatientID=patient())
    same = {"StudyInstanceUID": _study_of(files), "PatientID": _patient_of(files)}
    files["special.dcm"] = view("L", "CC", **same, **tags)
    (special,) = (each for each in posted(files)["images"] if each["file"] == "special.dcm")
    assert ("scored" in special["roles"]) == scored


def _study_of(files: dict[str, bytes]) -> str:
    import io

    import pydicom

    return str(pydicom.dcmread(io.BytesIO(next(iter(files.values())))).StudyInstanceUID)


def _patient_of(files: dict[str, bytes]) -> str:
    import io

    import pydicom

    return str(pydicom.dcmread(io.BytesIO(next(iter(files.values())))).PatientID)


def test_six_images_all_hang_in_their_order() -> None:
    files = four_views()
    same = {"StudyInstanceUID": _study_of(files), "PatientID": _patient_of(files)}
    for number in (2, 3):
        files[f"LCC{number}.dcm"] = view(
            "L", "CC", values=breast("L", seed=number), InstanceNumber=number, **same
        )
    images = posted(files)["images"]
    assert len(images) == 6
    assert all("hung" in each["roles"] for each in images)
    repeated = [each["file"] for each in images if (each["laterality"], each["view"]) == ("L", "CC")]
    assert repeated == ["LCC.dcm", "LCC2.dcm", "LCC3.dcm"]


# --- sizes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tags", "micrometres"),
    [
        ({}, 100),
        ({"EstimatedRadiographicMagnificationFactor": 1.8}, 55.556),
        ({"PixelSpacing": [0.1, 0.1], "EstimatedRadiographicMagnificationFactor": 1.8}, 55.556),
        (
            {
                "PixelSpacing": [0.05556, 0.05556],
                "PixelSpacingCalibrationType": "GEOMETRY",
                "EstimatedRadiographicMagnificationFactor": 1.8,
            },
            55.56,
        ),
        ({"DistanceSourceToDetector": 660, "DistanceSourceToPatient": 366.667}, 55.556),
        ({"ImagerPixelSpacing": None}, None),
        ({"ImagerPixelSpacing": [0.1, 0.2]}, None),
        ({"ImagerPixelSpacing": None, "PixelAspectRatio": [2, 1]}, None),
    ],
)
def test_one_spacing_where_one_can_be_true(tags: dict[str, Any], micrometres: float | None) -> None:
    found = image(view("L", "CC", **tags))
    if micrometres is None:
        assert found["pixel_spacing_um"] is None
    else:
        assert found["pixel_spacing_um"] == pytest.approx(micrometres, rel=2e-3)


def test_rows_and_columns_keep_their_own_spacing() -> None:
    found = image(view("L", "CC", ImagerPixelSpacing=[0.2, 0.1]))
    assert found["pixel_spacing_row_um"] == pytest.approx(200)
    assert found["pixel_spacing_column_um"] == pytest.approx(100)
    assert found["pixel_spacing_um"] is None


def test_two_regions_have_each_their_own_spacing() -> None:
    parts = [region((0, 0, 79, 119), 0.01, 0.01), region((80, 0, 159, 119), 0.02, 0.02)]
    found = image(ultrasound(speckle(), SequenceOfUltrasoundRegions=parts))
    assert found["pixel_spacing_um"] is None
    assert len(found["regions"]) == 2


def test_a_trace_beside_the_picture_is_no_picture() -> None:
    parts = [
        region((0, 60, 159, 119), 0.02, 20, RegionSpatialFormat=3, RegionDataType=3,
               PhysicalUnitsXDirection=4, PhysicalUnitsYDirection=7),
        region((0, 0, 159, 59), 0.008, 0.008),
    ]  # fmt: skip
    found = image(ultrasound(speckle(), SequenceOfUltrasoundRegions=parts))
    assert len(found["regions"]) == 2


def test_a_sender_that_states_a_spacing_is_believed_and_the_difference_is_listed() -> None:
    study = {"images": [{"file": "a.dcm", "pixel_spacing_um": 50}]}
    answer = posted({"a.dcm": view("L", "CC")}, study)
    assert answer["images"][0]["pixel_spacing_um"] == pytest.approx(50)
    assert any(each["field"] == "pixel_spacing_um" for each in answer["header_differences"])


# --- sides ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tags", "side"),
    [
        ({"ImageLaterality": "R", "Laterality": "L", "PatientOrientation": None}, "R"),
        ({"ImageLaterality": None, "Laterality": "R", "PatientOrientation": None}, "R"),
        (
            {
                "ImageLaterality": None,
                "PatientOrientation": None,
                "AnatomicRegionSequence": [
                    item(
                        CodeValue="76752008",
                        CodingSchemeDesignator="SCT",
                        CodeMeaning="Breast",
                        AnatomicRegionModifierSequence=[code("24028007", "SCT", "Right")],
                    )
                ],
            },
            "R",
        ),
        ({"ImageLaterality": None, "PatientOrientation": ["P", "L"]}, "R"),
    ],
)
def test_the_side_is_taken_in_the_standards_order(tags: dict[str, Any], side: str) -> None:
    assert image(view(side, "CC", **tags))["laterality"] == side


def test_what_the_sender_says_against_the_header_is_listed() -> None:
    answer = posted({"a.dcm": view("L", "CC")}, {"images": [{"file": "a.dcm", "laterality": "R"}]})
    assert answer["images"][0]["laterality"] == "R"
    found = [each for each in answer["header_differences"] if each["field"] == "laterality"]
    assert [(each["header"], each["used"]) for each in found] == [("L", "R")]


def test_a_contradiction_within_a_header_is_listed_with_both_values() -> None:
    answer = posted(
        {"a.dcm": view("L", "CC", ImageLaterality="L", ViewPosition="RCC", ViewCodeSequence=None)}
    )
    assert any("laterality" in each["field"] for each in answer["header_differences"])


# --- objects of other kinds -------------------------------------------------------------------------------


def test_a_screen_capture_beside_mammograms_is_kept_and_not_scored() -> None:
    files = four_views()
    same = {"StudyInstanceUID": _study_of(files), "PatientID": _patient_of(files)}
    files["screen.dcm"] = dicom_file(
        breast(top=255), allocated=8, stored=8, SOPClassUID=SECONDARY_CAPTURE, Modality="OT", **same
    )
    answer = posted(files)
    names = [each["file"] for each in answer["images"] if "scored" in each["roles"]]
    assert "screen.dcm" not in names and len(names) == 4
