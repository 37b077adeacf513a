"""What a report may say and what a signature needs of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cad_platform.core.errors import Invalid
from cad_platform.reporting import content as contents
from cad_platform.reporting import vocabulary as words
from cad_platform.reporting.kinds.imaging import ImagingContent
from cad_platform.reporting.merging import merge

COMPLETE_MG: dict[str, Any] = {
    "kind": "imaging",
    "indication": "Screening.",
    "density": "b",
    "right": "2",
    "left": "4B",
    "assessment": "4B",
    "recommendation": "tissue_diagnosis",
    "impression": "Mass of the left breast.",
}
COMPLETE_SM: dict[str, Any] = {
    "kind": "histopathology",
    "specimen": "core_biopsy",
    "laterality": "L",
    "diagnosis": "invasive",
    "diagnosis_text": "Invasive carcinoma of no special type.",
    "invasive_type": "nst",
    "tubules": 3,
    "nuclei": 2,
    "mitoses": 1,
    "er": "positive",
    "er_percent": 95,
    "pr": "negative",
    "her2_ihc": "1+",
}


def fields_at_fault(stored: dict[str, Any], modality: str) -> list[str]:
    return [problem.field for problem in contents.problems(contents.parse(stored), modality)]


@pytest.mark.parametrize(("stored", "modality"), [(COMPLETE_MG, "MG"), (COMPLETE_SM, "SM")])
def test_a_complete_report_may_be_signed(stored: dict[str, Any], modality: str) -> None:
    assert fields_at_fault(stored, modality) == []


@pytest.mark.parametrize("modality", ["MG", "US", "SM"])
def test_an_empty_report_may_be_saved_but_not_signed(modality: str) -> None:
    blank = contents.empty(modality)
    assert contents.parse(contents.dump(blank)) == blank
    assert contents.problems(blank, modality)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"indication": "  "}, "indication"),
        ({"density": ""}, "density"),
        ({"assessment": ""}, "assessment"),
        ({"recommendation": ""}, "recommendation"),
        ({"recommendation": "other"}, "recommendation_text"),
        ({"impression": ""}, "impression"),
    ],
)
def test_what_is_missing_in_imaging_is_named(change: dict[str, Any], field: str) -> None:
    assert fields_at_fault(COMPLETE_MG | change, "MG") == [field]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"diagnosis_text": ""}, "diagnosis_text"),
        ({"mitoses": None}, "mitoses"),
        ({"her2_ihc": "2+"}, "her2_ish"),
        ({"specimen": "excision"}, "margins"),
    ],
)
def test_what_is_missing_in_histopathology_is_named(change: dict[str, Any], field: str) -> None:
    assert fields_at_fault(COMPLETE_SM | change, "SM") == [field]


def test_every_assessment_has_a_rank_and_a_recommendation() -> None:
    values = set(words.Assessment.values)
    assert set(words.SERIOUSNESS) == values == set(words.RECOMMENDATIONS_FOR)
    assert all(words.Recommendation.OTHER in fitting for fitting in words.RECOMMENDATIONS_FOR.values())


@pytest.mark.parametrize(
    ("scores", "grade"), [((1, 1, 1), 1), ((1, 2, 2), 1), ((2, 2, 2), 2), ((3, 3, 1), 2), ((3, 3, 2), 3)]
)
def test_nottingham_grade_follows_from_the_three_scores(scores: tuple[int, int, int], grade: int) -> None:
    assert words.nottingham_grade(words.nottingham_total(*scores)) == grade


def test_no_grade_while_a_score_is_missing() -> None:
    assert words.nottingham_grade(words.nottingham_total(3, None, 2)) is None


@pytest.mark.parametrize(
    ("stored", "field"),
    [
        ({"kind": "imaging", "assessment": "7"}, "assessment"),
        ({"kind": "imaging", "unknown": "x"}, "unknown"),
        ({"kind": "histopathology", "tubules": 4}, "tubules"),
        ({"kind": "histopathology", "er_percent": 101}, "er_percent"),
        ({"kind": "imaging", "findings": [{"text": "x" * 20_001}]}, "findings.0.text"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_its_field(stored: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        contents.parse(stored)
    assert [error.field for error in refusal.value.errors] == [field]


def test_control_characters_and_half_surrogates_are_dropped() -> None:
    kept = contents.parse({"kind": "addendum", "text": "a\x00b\ud800c\r\nd\te\x1b"})
    assert kept.text == "abc\nd\te"  # type: ignore[attr-defined]


@given(st.text(max_size=200))
def test_any_text_survives_a_round_trip(text: str) -> None:
    once = contents.dump(contents.parse({"kind": "addendum", "text": text}))
    assert contents.dump(contents.parse(once)) == once
    assert "\x00" not in once["text"]


def test_each_writers_own_fields_are_taken_over() -> None:
    base = contents.dump(contents.empty("MG"))
    joined = merge(ImagingContent, base, base | {"indication": "Lump."}, base | {"impression": "Cyst."})
    assert joined.content == base | {"indication": "Lump.", "impression": "Cyst."}
    assert joined.chosen_theirs == ()


def test_a_text_that_both_wrote_keeps_both() -> None:
    base = contents.dump(contents.empty("MG"))
    joined = merge(ImagingContent, base, base | {"impression": "Theirs."}, base | {"impression": "Mine."})
    assert joined.content["impression"] == "Theirs.\n\nMine."


def test_a_code_that_both_chose_keeps_the_saved_one_and_says_so() -> None:
    base = contents.dump(contents.empty("MG"))
    joined = merge(ImagingContent, base, base | {"assessment": "2"}, base | {"assessment": "3"})
    assert joined.content["assessment"] == "2"
    assert joined.chosen_theirs == ("assessment",)


def test_finding_lines_of_both_are_joined() -> None:
    def line(finding: str | None, text: str) -> dict[str, Any]:
        return {"finding": finding, "heading": "", "text": text}

    base = {"findings": [line("a", "old"), line("b", "")]}
    theirs = {"findings": [line("a", "old"), line("b", "theirs"), line(None, "free")]}
    mine = {"findings": [line("a", "new"), line("b", "mine"), line("c", "more"), line(None, "own")]}
    assert merge(ImagingContent, base, theirs, mine).content["findings"] == [
        line("a", "new"),
        line("b", "theirs\n\nmine"),
        line(None, "free"),
        line("c", "more"),
        line(None, "own"),
    ]
