"""Which rules a case breaks: the contradictions of the review with siblings, and phrases that contradict nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from cad_platform.reporting.consistency.case import Arrival, Mark, Place, Result
from cad_platform.reporting.consistency.engine import contradictions, rules, unanswered
from tests.reporting.consistency.cases import CALM, INVASIVE, RIGHT_4C, imaging, pathology, stops, warnings


def test_the_reviews_first_report_is_stopped_in_three_ways() -> None:
    """C1: two masses accepted in L, left 1, right 4C, "mass right breast … biopsy of the LEFT breast"."""
    marks = tuple(Mark(str(number), number, "mass", "accepted", "L") for number in (1, 2))
    found = stops(imaging(RIGHT_4C, "Mass right breast. Biopsy of the LEFT breast.", marks=marks))
    assert {"mark_in_negative_breast", "action_against_category_of_breast"} <= found


def test_the_reviews_second_report_is_stopped() -> None:
    """C2: invasive, grade 3, HER2 3+, margins clear at 0 mm, "Benign fibroadenoma, no malignancy"."""
    codes = INVASIVE | {"margins": "negative", "closest_margin_mm": 0}
    assert {"malignant_code_benign_words", "margins_against_distance"} <= stops(
        pathology(codes, "Benign fibroadenoma, no malignancy.")
    )


def test_an_imaged_breast_needs_its_category() -> None:
    """C5."""
    assert stops(imaging({"right": "4C", "assessment": "4C"})) == {"breast_without_category"}


@pytest.mark.parametrize(
    ("change", "words", "rule"),
    [
        (
            {"diagnosis": "benign", "invasive_type": ""},
            "Invasive ductal carcinoma.",
            "benign_code_malignant_words",
        ),
        ({}, "Grade 1 invasive carcinoma of no special type.", "written_grade_differs"),
        ({}, "浸润性导管癌，2级。", "written_grade_differs"),
        ({}, "Invasive lobular carcinoma.", "written_type_differs"),
        ({}, "浸润性小叶癌。", "written_type_differs"),
        ({}, "Invasive carcinoma NST, HER2 negative.", "written_receptor_differs"),
        ({}, "浸润性导管癌，HER2 阴性。", "written_receptor_differs"),
        ({}, "Ductal carcinoma in situ.", "invasive_code_in_situ_words"),
        ({}, "良性纤维腺瘤，未见恶性。", "malignant_code_benign_words"),
        ({"margins": "positive", "closest_margin_mm": 3}, "", "margins_against_distance"),
        ({"margins": "negative"}, "Invasive carcinoma NST, margins involved.", "written_margins_differ"),
        ({"tumour_size_mm": 12}, "Invasive carcinoma NST, 23 mm.", "written_size_differs"),
        ({"tumour_size_mm": 2.3}, "浸润性导管癌，大小2.3cm。", "written_size_differs"),
        ({}, "Right breast: invasive carcinoma NST.", "specimen_names_other_breast"),
        ({"er_percent": 0}, "", "percentage_against_receptor"),
    ],
)
def test_histopathology_stops(change: dict[str, Any], words: str, rule: str) -> None:
    assert rule in stops(pathology(INVASIVE | change, words))


def test_what_is_not_settled_is_told_and_what_came_later_stops() -> None:
    mark = Mark("m", 3, "mass", "", "L")
    result = Result("j", "Model", "failed")
    arrival = Arrival("image", Place("image", "l"), "L CC")
    case = imaging(CALM, marks=(mark,), results=(result,), arrivals=(arrival,))
    assert warnings(case) == {"marks_undecided", "analysis_failed"}
    assert stops(case) == {"images_arrived"}


def test_a_reason_answers_a_stop_unless_the_form_has_a_way_out() -> None:
    found = contradictions(imaging(RIGHT_4C, "Biopsy of the left breast."))
    [stop] = [each for each in found if each.stops]
    assert unanswered(found, {}) == [stop] == unanswered(found, {stop.key: "  "})
    assert unanswered(found, {stop.key: "Both are biopsied."}) == []
    misfit = contradictions(imaging(CALM | {"recommendation": "tissue_diagnosis"}))
    assert unanswered(misfit, {each.key: "because" for each in misfit})


def test_every_rule_has_a_sentence_of_its_own() -> None:
    assert len({str(rule.sentence) for rule in rules()}) == len(rules())


def test_clinicians_read_of_every_rule() -> None:
    """The table in docs/clinicians.md is that of the rules."""
    told = Path("docs/clinicians.md").read_text()
    for rule in rules():
        effect = (
            "note" if rule.severity == "warning" else "stop" if rule.may_be_overridden else "must be mended"
        )
        sentence = re.sub(r"%\(\w+\)s", "…", str(rule.sentence)).replace("%%", "%")
        assert f"| {sentence} | {effect} |" in told, rule.id
