"""From which score on marks are shown, so that an exam has no more false ones than its readers bear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inference.evaluation.detection import Mark, froc
from inference.evaluation.figures import NotComputable
from inference.evaluation.records import Record

#: Expected false marks an exam that a site may choose from.
RATES = (0.25, 0.5, 1.0, 2.0, 4.0)
#: Films of a screening exam: two views of each breast.
IMAGES_PER_EXAM = 4


@dataclass(frozen=True)
class MarkLevel:
    """At `false_marks` an exam or fewer: the least score of marks that are shown, and the share of the lesions that
    they find."""

    false_marks: float
    score: float
    found: float


def mark_levels(records: Sequence[Record], images_per_exam: int = IMAGES_PER_EXAM) -> list[MarkLevel]:
    """One level for each of `RATES`, from records whose lesions are known.

    Raises
    ------
    NotComputable
        No record has a lesion.
    """
    judged = [record for record in records if record.lesions]
    if not judged:
        raise NotComputable(
            "levels of marks cannot be computed: no image on record has a lesion that is outlined"
        )
    marks = [
        Mark(number, score, frozenset({lesion} if lesion else ()))
        for number, record in enumerate(judged)
        for score, lesion in record.marks
    ]
    curve = froc(marks, sum(record.lesions for record in judged), len(judged))
    levels = []
    for rate in RATES:
        found, score = curve.at(rate / images_per_exam)
        levels.append(MarkLevel(rate, round(score, 6), round(found, 4)))
    return levels


def mark_thresholds(records: Sequence[Record], images_per_exam: int = IMAGES_PER_EXAM) -> dict[str, float]:
    """The levels as a manifest keeps them."""
    return {f"{level.false_marks:g}": level.score for level in mark_levels(records, images_per_exam)}
