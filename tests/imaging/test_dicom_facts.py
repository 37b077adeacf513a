"""What a header says of side, view, orientation and kind of image, wherever its maker keeps it."""

from __future__ import annotations

from typing import Any

import pytest

from imaging.dicom_facts import facts_of
from tests.imaging.dicom_headers import CC, IMPLANT_DISPLACED, MAGNIFICATION, ML, MLO, code, header, view_code


@pytest.mark.parametrize(
    ("tags", "view", "modifiers"),
    [
        ({"ViewCodeSequence": [view_code(CC)]}, "CC", ()),
        ({"ViewCodeSequence": [view_code(("R-10226", "SRT", "medio-lateral oblique"))]}, "MLO", ()),
        ({"ViewCodeSequence": [view_code(CC, IMPLANT_DISPLACED)], "ViewPosition": "CC"}, "CC", ("ID",)),
        (
            {"ViewCodeSequence": [view_code(MLO, MAGNIFICATION, ("R-102D7", "SRT", "Spot"))]},
            "MLO",
            ("S", "M"),
        ),
        ({"ViewCodeSequence": [view_code(("Y-X1770", "SRT", "XCCL"))]}, "XCCL", ()),
        ({"ViewCodeSequence": [view_code(("X-1", "99PRIVATE", "medio-lateral oblique"))]}, "MLO", ()),
        # codes where long ones are kept, and as addresses (PS3.3 table 8.8-1)
        ({"ViewCodeSequence": [header(LongCodeValue="399368009", CodeMeaning="-")]}, "MLO", ()),
        (
            {"ViewCodeSequence": [header(URNCodeValue="http://snomed.info/id/399162004", CodeMeaning="-")]},
            "CC",
            (),
        ),
        ({"ViewPosition": "RMLO MAG"}, "MLO", ("M",)),
        ({"ViewPosition": "CLEAVAGE"}, None, ("CV",)),
        ({"ViewPosition": "Nipple-ish"}, "NIPPLE-ISH", ()),
        ({"ViewCodeSequence": [view_code(CC)], "ViewPosition": "WHATEVER"}, "CC", ()),
        ({"SharedFunctionalGroupsSequence": [header(ViewCodeSequence=[view_code(ML)])]}, "ML", ()),
        ({}, None, ()),
    ],
)
def test_the_view_and_its_modifiers(
    tags: dict[str, Any], view: str | None, modifiers: tuple[str, ...]
) -> None:
    said = facts_of(header(**tags))

    assert (said.view, said.facts.view_modifiers) == (view, modifiers)


LEFT_BREAST = code(
    "76752008", "SCT", "Breast", AnatomicRegionModifierSequence=[code("7771000", "SCT", "Left")]
)


@pytest.mark.parametrize(
    ("tags", "claims"),
    [
        ({"ImageLaterality": "L"}, [("ImageLaterality", "L")]),
        ({"FrameLaterality": "R"}, [("FrameLaterality", "R")]),
        (
            {
                "SharedFunctionalGroupsSequence": [
                    header(
                        FrameAnatomySequence=[
                            header(FrameLaterality="R", AnatomicRegionSequence=[LEFT_BREAST])
                        ]
                    )
                ]
            },
            [("FrameLaterality", "R"), ("AnatomicRegionSequence", "L")],
        ),
        ({"Laterality": "R", "ImageLaterality": "L"}, [("ImageLaterality", "L"), ("Laterality", "R")]),
        ({"AnatomicRegionSequence": [LEFT_BREAST]}, [("AnatomicRegionSequence", "L")]),
        (
            {"AnatomicRegionSequence": [code("T-04020", "SRT", "Right breast")]},
            [("AnatomicRegionSequence", "R")],
        ),
        # of a code that nobody here knows, by its meaning
        (
            {
                "AnatomicRegionSequence": [
                    code(
                        "B1",
                        "99ACME",
                        "Breast",
                        AnatomicRegionModifierSequence=[code("S1", "99ACME", "Right")],
                    )
                ]
            },
            [("AnatomicRegionSequence", "R")],
        ),
        (
            {"AnatomicRegionSequence": [code("B2", "99ACME", "Left breast")]},
            [("AnatomicRegionSequence", "L")],
        ),
        # a frame that says otherwise than the first
        (
            {
                "PerFrameFunctionalGroupsSequence": [
                    header(FrameAnatomySequence=[header(FrameLaterality=side)]) for side in "RRL"
                ]
            },
            [("FrameLaterality", "R"), ("FrameLaterality", "L")],
        ),
        ({"ViewPosition": "RCC"}, [("ViewPosition", "R")]),
        ({"ViewPosition": "RCC", "Laterality": "L"}, [("Laterality", "L"), ("ViewPosition", "R")]),
        ({"ViewPosition": "MLO", "PatientOrientation": ["A", "FR"]}, [("PatientOrientation", "L")]),
        ({"ViewPosition": "MLO", "PatientOrientation": ["P", "FL"]}, [("PatientOrientation", "R")]),
        ({"ViewPosition": "MLO", "PatientOrientation": ["P", "HL"]}, [("PatientOrientation", "L")]),
        ({"ViewPosition": "SIO", "PatientOrientation": ["A", "FL"]}, [("PatientOrientation", "L")]),
        ({"ViewPosition": "CC", "PatientOrientation": ["A", "R"]}, [("PatientOrientation", "L")]),
        ({"ViewPosition": "CC", "PatientOrientation": ["A", "L"]}, [("PatientOrientation", "R")]),
        ({"ViewPosition": "ML", "PatientOrientation": ["P", "F"]}, [("PatientOrientation", "R")]),
        ({"ViewPosition": "FB", "PatientOrientation": ["A", "L"]}, []),
        ({"PatientOrientation": ["A", "R"]}, []),
        ({"ViewPosition": "CC", "PatientOrientation": ["A", "A"]}, []),
        ({"ImageLaterality": "U"}, []),
        ({"ImageLaterality": "B"}, [("ImageLaterality", "B")]),
        ({}, []),
    ],
)
def test_every_attribute_that_names_a_side_is_kept_the_most_trusted_first(
    tags: dict[str, Any], claims: list[tuple[str, str]]
) -> None:
    said = facts_of(header(**tags))

    assert [(claim.source, claim.side) for claim in said.facts.side_claims] == claims
    assert said.laterality == (claims[0][1] if claims else None)


def test_only_an_oblique_orientation_names_a_side_for_certain() -> None:
    oblique = facts_of(header(ViewPosition="MLO", PatientOrientation=["A", "FR"])).facts.side_claims
    from_above = facts_of(header(ViewPosition="CC", PatientOrientation=["A", "R"])).facts.side_claims

    assert not oblique[0].by_convention
    assert from_above[0].by_convention


@pytest.mark.parametrize(
    ("view", "orientation", "remark"),
    [
        ("CC", ["A", "F"], "PatientOrientation says A\\F, which no CC view has."),
        ("XCCL", ["P", "FL"], "PatientOrientation says P\\FL, which no XCCL view has."),
        ("MLO", ["A", "R"], "PatientOrientation says A\\R, which no MLO view has."),
        ("ML", ["P", "L"], "PatientOrientation says P\\L, which no ML view has."),
        ("CC", ["L", "F"], "PatientOrientation says L\\F, which no CC view has."),
    ],
)
def test_an_orientation_that_the_view_cannot_have_is_remarked(
    view: str, orientation: list[str], remark: str
) -> None:
    assert facts_of(header(ViewPosition=view, PatientOrientation=orientation)).remarks == (remark,)


def test_contradictions_within_a_header_are_remarked() -> None:
    said = facts_of(
        header(
            ImageLaterality="L",
            ViewPosition="RMLO",
            ViewCodeSequence=[view_code(CC)],
            PatientOrientation=["P", "L"],
        )
    )

    assert said.remarks == (
        "ViewPosition says MLO, ViewCodeSequence CC.",
        "ViewPosition says R, ImageLaterality L.",
        "PatientOrientation says R, ImageLaterality L.",
    )


@pytest.mark.parametrize(
    "tags",
    [
        {"ViewCodeSequence": [view_code(("127457009", "SCT", "tissue specimen from breast"))]},
        {"ViewPosition": "SPECIMEN"},
        {"BodyPartExamined": "SPECIMEN"},
        {"ImageType": ["ORIGINAL", "PRIMARY", "SPECIMEN"]},
        {"SpecimenDescriptionSequence": [header(SpecimenIdentifier="S1")]},
        {"SeriesDescription": "Specimen left breast"},
        {"SeriesDescription": "Specimen-Radiograph"},
        {"SeriesDescription": "Specimens"},
        {"SeriesDescription": "左乳标本摄影"},
        {"ProtocolName": "Präparatradiographie"},
    ],
)
def test_a_specimen_is_told(tags: dict[str, Any]) -> None:
    assert facts_of(header(Modality="MG", **tags)).facts.specimen


@pytest.mark.parametrize(
    "tags",
    [
        {"QualityControlImage": "YES"},
        {"QualityControlSubject": "YES"},
        {"CalibrationImage": "YES"},
        {"BodyPartExamined": "PHANTOM"},
    ],
)
def test_a_quality_control_image_is_told(tags: dict[str, Any]) -> None:
    assert facts_of(header(**tags)).facts.quality_control


def test_a_partial_view_says_its_sections() -> None:
    facts = facts_of(
        header(PartialView="YES", PartialViewCodeSequence=[code("264217000", "SCT", "Superior")])
    ).facts

    assert (facts.partial_view, facts.partial_view_sections) == (True, ("Superior",))


@pytest.mark.parametrize(
    ("tags", "milliseconds"),
    [
        ({"FrameTime": "200"}, 200.0),
        ({"FrameTimeVector": ["0", "100", "300"]}, 200.0),
        ({"CineRate": "25"}, 40.0),
        ({"RecommendedDisplayFrameRate": "5", "FrameTime": "33"}, 200.0),
        ({"FrameTime": "0", "CineRate": "20"}, 50.0),
        (
            {
                "NumberOfFrames": 3,
                "PerFrameFunctionalGroupsSequence": [
                    header(
                        FrameContentSequence=[header(FrameAcquisitionDateTime=f"20260102100000.{tenth}00000")]
                    )
                    for tenth in (0, 1, 2)
                ],
            },
            pytest.approx(100.0),
        ),
        ({"FrameTime": "-4"}, None),
        ({}, None),
    ],
)
def test_how_long_a_frame_is_shown(tags: dict[str, Any], milliseconds: float | None) -> None:
    assert facts_of(header(**tags)).facts.frame_time_ms == milliseconds
