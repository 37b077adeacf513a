"""Whether two records of one image say the same."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from inference.evaluation.records import Record, apart

ONE = Record(
    "cbis_mass_256", "film", "woman", "malignant", {"malignancy": 0.7, "abnormal": 0.9}, lesions=2,
    marks=((0.8, 1), (0.5, 0), (0.3, 2), (0.1, 0)),
)  # fmt: skip


def test_the_greatest_difference_of_probabilities_and_marks_counts() -> None:
    assert apart(ONE, ONE) == 0
    other = replace(ONE, probabilities={"malignancy": 0.69, "abnormal": 0.9})
    assert apart(ONE, other) == apart(other, ONE) == pytest.approx(0.01)
    moved = replace(ONE, marks=((0.8, 1), (0.5, 0), (0.35, 2), (0.1, 0)))
    assert apart(moved, other) == pytest.approx(0.05)


def test_marks_that_are_nearly_alike_may_come_in_either_order() -> None:
    one = replace(ONE, marks=((0.5000, 1), (0.4999, 0)))
    other = replace(ONE, marks=((0.5001, 0), (0.4998, 1)))
    assert apart(one, other) == pytest.approx(2e-4)


@pytest.mark.parametrize(
    "changed",
    [
        {"marks": ONE.marks[:-1]},
        {"marks": ((0.8, 0), (0.5, 0), (0.3, 2), (0.1, 0))},
        {"marks": ()},
        {"probabilities": {"malignancy": 0.7}},
        {"probabilities": {"malignancy": 0.7, "normal": 0.9}},
        {"label": "benign"},
        {"lesions": 1},
    ],
    ids=["a mark is dropped", "it is wrong now", "no mark", "no class", "another class", "label", "lesions"],
)
def test_a_mark_a_class_or_a_truth_of_one_alone_is_no_matter_of_how_much(changed: dict[str, object]) -> None:
    other = replace(ONE, **changed)  # type: ignore[arg-type]
    assert apart(ONE, other) == apart(other, ONE) == math.inf
