"""How results are said: by the operating points of the weights, and never more than was found."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import translation

from cad_platform.reading import wording
from cad_platform.reading.wording import Band
from cad_platform.registry.manifest_words import manifest_words
from cad_platform.reporting.ai_summary import heading
from cad_platform.reporting.statements import job_statement
from cad_platform.studies.models import Instance, Series
from cad_platform.studies.sorting import sort_images
from inference.runtime.store import model_names, read_manifest

POINTS = {"high_sensitivity": 0.2, "balanced": 0.5, "high_specificity": 0.8}


@pytest.mark.parametrize(
    ("value", "band"),
    [
        (0.0, Band.BELOW),
        (0.1999, Band.BELOW),
        (0.2, Band.LOW),
        (0.4999, Band.LOW),
        (0.5, Band.MIDDLE),
        (0.8, Band.HIGH),
        (1.0, Band.HIGH),
    ],
)
def test_a_score_at_an_operating_point_reaches_it(value: float, band: Band) -> None:
    assert wording.band_of(value, POINTS) is band


def test_without_operating_points_no_judgement_is_made() -> None:
    score = wording.score(0.99, {}, "MG")
    assert score.band is Band.UNKNOWN
    assert score.words == "Analysed"


def test_a_single_operating_point_is_enough() -> None:
    assert wording.band_of(0.6, {"balanced": 0.5}) is Band.MIDDLE
    assert wording.band_of(0.4, {"balanced": 0.5}) is Band.BELOW


@pytest.mark.parametrize("value", [0.1, 0.3, 0.6, 0.9])
def test_what_a_score_means_is_said_in_a_clinicians_words(value: float) -> None:
    said = wording.score(value, POINTS, "US", of="malignant")
    assert said.of == "probability of malignancy"
    assert "cases with" in said.meaning or "cases without" in said.meaning
    for word in ("operating point", "threshold", "conformal", "sensitivity"):
        assert word not in said.meaning


def test_a_probability_is_always_named() -> None:
    assert wording.probability_of("mass") == "probability of a mass"
    assert wording.probability_of("spiculated_mass") == "probability of: Spiculated mass"
    assert wording.descriptor("malignancy", 0.2734) == "if it is a mass, 27 % malignant"


def test_histopathology_below_every_point_is_not_idc_and_never_benign() -> None:
    below = wording.score(0.01, POINTS, "SM")
    assert below.words == "Not IDC"
    for name in ("not_idc", "non_idc"):
        assert wording.class_words(name) == "Not IDC"
    said = [wording.score(value / 100, POINTS, "SM").words for value in range(101)]
    assert not any("benign" in words.lower() for words in said)


def test_an_unknown_class_is_shown_as_it_is() -> None:
    assert wording.class_words("spiculated_mass") == "Spiculated mass"


@pytest.mark.parametrize("code", ["out_of_distribution", "uncertain", "low_quality"])
def test_every_flag_of_the_contract_is_explained(code: str) -> None:
    flag = wording.flag(code)
    assert flag.name != code
    assert flag.explanation.endswith(".")


def test_descriptors_have_units() -> None:
    assert wording.descriptor("area_mm2", 95.87) == "area 95.9 mm²"
    assert not wording.is_shown("margin_irregularity")


def test_a_box_is_measured_where_the_spacing_is_known() -> None:
    assert wording.box_size((10, 10, 130, 100), (100, 100)) == "12.0 × 9.0 mm"
    assert wording.box_size((10, 10, 130, 100), (100, 50)) == "12.0 × 4.5 mm"
    assert wording.box_size((10, 10, 130, 100), None) == "120 × 90 px"


def test_an_image_is_called_by_its_view_else_by_its_place() -> None:
    images = [
        _image(laterality="R", view_position="CC"),
        _image(laterality="R", view_position="CC", facts={"view_modifiers": ["ID"]}),
        _image(laterality="L"),
        _image(),
    ]
    assert list(wording.image_names(sort_images(["MG"], images)).values()) == [
        "R CC",
        "R CC ID",
        "L",
        "Image 4",
    ]


def _image(**fields: Any) -> Instance:
    return Instance(series=Series(modality="MG"), **fields)


def test_the_record_is_written_in_one_language() -> None:
    finding = {
        "number": 2,
        "label": "mass",
        "decision": None,
        "box": [0, 0, 120, 90],
        "image": {"name": "Image 3", "pixel_spacing_um": 100},
    }
    with translation.override("zh-hans"):
        assert wording.image_names(sort_images(["MG"], [_image()])).popitem()[1] == "图像 1"
        assert heading(finding) == "2 · Image 3 · mass · 12.0 × 9.0 mm"


def test_a_report_says_flags_as_the_worklist_does() -> None:
    job = dict.fromkeys(
        ("title", "version", "model", "weights_sha256", "preprocessing_sha256", "finished_at"), ""
    )
    said = job_statement(
        job
        | {
            "state": "succeeded",
            "probabilities": {"malignant": 0.9},
            "breasts": {},
            "positive_class": "malignant",
            "modality": "US",
            "has_verdict": True,
            "is_partial": True,
            "thresholds": POINTS,
            "flags": ["uncertain", "low_quality"],
            "images_read": [
                {"name": "L CC", "frames": 1, "frames_read": [0], "is_judged": True},
                {"name": "Image 2", "frames": 120, "frames_read": list(range(60)), "is_judged": False},
            ],
        }
    )["statement"]
    names = [wording.flag(code).name for code in ("partial", "uncertain", "low_quality")]
    assert said.split("\n") == [
        f"Highly suspicious: probability of malignancy 90 % ({'; '.join(names)})",
        "Images read: L CC, Image 2 (frames 1–60 of 120; no verdict)",
    ]


@pytest.mark.parametrize(
    ("read", "frames", "words"),
    [
        ([0], 1, ""),
        ([0], 120, "frame 1 of 120 only"),
        (range(120), 120, "all 120 frames"),
        (range(60), 120, "frames 1–60 of 120"),
        (range(0, 120, 17), 120, "8 of 120 frames, between 1 and 120"),
    ],
)
def test_the_frames_that_were_read_are_said_and_no_more(read: Any, frames: int, words: str) -> None:
    assert wording.frames_words(list(read), frames) == words


def test_titles_of_the_platforms_models_can_be_translated() -> None:
    titles = [read_manifest(name).title for name in model_names()]
    with translation.override("zh-hans"):
        assert titles and not any(manifest_words(title) == title for title in titles)


def test_what_is_measured_of_an_outline_is_said_to_be_measured_by_models_that_describe_lesions() -> None:
    measured = {"aspect_ratio": 0.6, "roundness": 0.8, "margin_irregularity": 0.02}
    assert wording.outline_words({**measured, "birads": 3.0}) == [
        "measured from the outline: oval, parallel, circumscribed"
    ]
    assert wording.descriptor("birads", 3.0) == "the model expects BI-RADS 3 of a reader"
    with translation.override("zh-hans"):
        assert wording.outline_words({**measured, "birads": 3.0}) == ["由轮廓测得：椭圆形，平行，边缘清楚"]
    # an earlier version tells no category, and is not made to speak the lexicon afterwards
    assert wording.outline_words(measured) == [] == wording.outline_words({"birads": 3.0})
