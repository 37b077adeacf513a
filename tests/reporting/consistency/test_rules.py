"""Which rules a case breaks: the contradictions of the review with siblings, and phrases that contradict nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from cad_platform.reporting.consistency.case import Arrival, Case, Mark, Picture, Place, Result, Text
from cad_platform.reporting.consistency.engine import contradictions, rules, unanswered

VIEWS = (Picture("r", "R CC", "R"), Picture("l", "L CC", "L"))
RIGHT_4C = {
    "right": "4C",
    "left": "1",
    "assessment": "4C",
    "recommendation": "tissue_diagnosis",
    "density": "b",
}
CALM = {"right": "2", "left": "1", "assessment": "2", "recommendation": "routine", "density": "b"}
INVASIVE = {
    "diagnosis": "invasive",
    "invasive_type": "nst",
    "laterality": "L",
    "tubules": 3,
    "nuclei": 3,
    "mitoses": 3,
    "er": "positive",
    "pr": "negative",
    "her2_ihc": "3+",
}


def imaging(codes: dict[str, Any], impression: str = "", **more: Any) -> Case:
    text = Text(Place("field", "impression"), impression, "conclusion")
    return Case("imaging", codes, (text,), pictures=VIEWS, **more)


def pathology(codes: dict[str, Any], words: str = "", **more: Any) -> Case:
    text = Text(Place("field", "diagnosis_text"), words, "conclusion")
    return Case("histopathology", codes, (text,), has_categories=False, **more)


def stops(case: Case) -> set[str]:
    found = contradictions(case)
    assert all(len(each.found.places) >= 2 for each in found), "each names two places"
    return {each.rule.id for each in found if each.stops}


def warnings(case: Case) -> set[str]:
    return {each.rule.id for each in contradictions(case) if not each.stops}


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


CONTRADICTS = [
    "Biopsy of the LEFT breast.",
    "Recommend core needle biopsy of the left breast.",
    "Suspicious mass in the left breast.",
    "Left: suspicious mass, biopsy advised.",
    "Lt breast: tissue sampling.",
    "L breast: spiculated mass.",
    "Bilateral biopsy recommended.",
    "Right mass; excision of the left lesion.",
    "No suspicious finding.",
    "No evidence of malignancy.",
    "Normal mammogram.",
    "Both breasts are unremarkable.",
    "The right breast is unremarkable.",
    "BI-RADS 2.",
    "BIRADS III",
    "Right breast: BI-RADS 2.",
    "No biopsy needed.",
    "Routine screening.",
    "Extremely dense breasts.",
    "Density: d.",
    "建议左乳活检。",
    "右乳肿块，建议左乳穿刺。",
    "左侧乳腺可疑肿块。",
    "左乳：可疑恶性。",
    "双乳穿刺活检。",
    "未见恶性征象。",
    "双乳未见异常。",
    "未见可疑病灶。",
    "右乳未见异常。",
    "BI-RADS 2类。",
    "BI-RADS分类：3类",
    "无需活检。",
    "常规筛查。",
    "极度致密。",
]
AGREES = [
    "Left breast: benign; right breast: biopsy.",
    "Suspicious mass of the right breast. Biopsy.",
    "Compared with the left breast, suspicious mass right.",
    "History of left mastectomy.",
    "Status post biopsy of the left breast in 2019.",
    "Previous biopsy of the left breast was benign. Right: suspicious mass.",
    "No suspicious finding in the left breast; suspicious mass right.",
    "Malignancy cannot be excluded in the right breast.",
    "No suspicious calcifications. Spiculated mass of the right breast.",
    "No suspicious axillary nodes.",
    "Biopsy of the left breast is not indicated; right breast biopsy.",
    "Mother had cancer of the left breast.",
    "BI-RADS 4C.",
    "Right BI-RADS 4C, left BI-RADS 1.",
    "BI-RADS 4.",
    "Prior report BI-RADS 2.",
    "According to BI-RADS 5th edition.",
    "Scattered fibroglandular densities, density b.",
    "Mass larger than that of the left breast.",
    "The clip was left in place. Biopsy of the right breast.",
    "左乳良性；右乳建议活检。",
    "右乳可疑肿块，建议穿刺活检。",
    "左乳术后。右乳可疑肿块。",
    "左乳未见恶性征象，右乳可疑恶性。",
    "与左乳相比，右乳可疑肿块。",
    "既往左乳活检良性。",
    "右乳肿块大小约2cm左右，可疑恶性。",
    "母亲左乳癌。",
    "BI-RADS 4C类。",
    "未见可疑钙化。右乳毛刺肿块。",
    "腋窝未见可疑淋巴结。",
    "左乳排除恶性。",
    "左乳囊肿不需要活检，右乳活检。",
    "右乳BI-RADS 4C，左乳BI-RADS 1。",
]


@pytest.mark.parametrize("words", CONTRADICTS)
def test_words_against_right_4c_left_1_stop(words: str) -> None:
    assert stops(imaging(RIGHT_4C, words)), words


@pytest.mark.parametrize("words", AGREES)
def test_words_that_agree_do_not_stop(words: str) -> None:
    assert stops(imaging(RIGHT_4C, words)) == set(), words


@pytest.mark.parametrize(
    "words", ["Suspicious mass, biopsy.", "Tissue diagnosis recommended.", "可疑肿块，建议活检。"]
)
def test_words_of_alarm_in_a_calm_exam_stop(words: str) -> None:
    assert "action_against_category" in stops(imaging(CALM, words))


@pytest.mark.parametrize(
    "words",
    ["Nothing suspicious.", "Benign cysts right.", "双乳未见恶性。", "The biopsy showed a fibroadenoma."],
)
def test_calm_words_in_a_calm_exam_do_not(words: str) -> None:
    assert stops(imaging(CALM, words)) == set()


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


@pytest.mark.parametrize(
    "words",
    [
        "Invasive carcinoma of no special type, grade 3, with adjacent fibroadenoma.",
        "Invasive ductal carcinoma with DCIS of high nuclear grade.",
        "Invasive carcinoma NST, 23 mm, margins clear, closest 2 mm. HER2 3+.",
        "左乳浸润性导管癌，3级，HER2 3+。",
        "Left breast: invasive carcinoma NST, no lymphovascular invasion.",
    ],
)
def test_histopathology_words_that_agree_do_not_stop(words: str) -> None:
    codes = INVASIVE | {"tumour_size_mm": 23, "margins": "negative", "closest_margin_mm": 2}
    assert stops(pathology(codes, words)) == set()


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
