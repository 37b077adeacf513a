"""Cases as tests of the rules make them, and what the rules say of them."""

from __future__ import annotations

from typing import Any

from cad_platform.reporting.consistency.case import Case, Picture, Place, Text
from cad_platform.reporting.consistency.engine import contradictions

VIEWS = (Picture("r", "R CC", "R"), Picture("l", "L CC", "L"))
RIGHT_4C = {
    "right": "4C",
    "left": "1",
    "assessment": "4C",
    "recommendation": "tissue_diagnosis",
    "density": "b",
}
CALM = {"right": "2", "left": "1", "assessment": "2", "recommendation": "routine", "density": "b"}
BENIGN = {"diagnosis": "benign", "laterality": "L"}
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
