"""Two models on the same images: DeLong's test of their AUCs, and the paired difference over groups."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from inference.evaluation import bootstrap, metrics
from inference.evaluation.delong import delong
from inference.evaluation.figures import NotComputable
from inference.evaluation.protocol import questions
from inference.evaluation.records import Record, RecordsError


@dataclass(frozen=True)
class Difference:
    """First minus second AUC, with the 95 % interval over groups that both models share the draws of.
    `p_delong` takes images for independent, which images of one group are not: the interval decides."""

    name: str
    meaning: str
    dataset: str
    split: str
    first: float
    second: float
    difference: float
    low: float
    high: float
    z_delong: float | None
    p_delong: float
    images: int
    groups: int

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def common(first: Sequence[Record], second: Sequence[Record]) -> tuple[list[Record], list[Record]]:
    """The records of the same images, in the first one's order.

    Raises
    ------
    RecordsError
        No image in common, or two truths of one image.
    """
    others = {(record.dataset, record.image): record for record in second}
    pairs = [(r, others[r.dataset, r.image]) for r in first if (r.dataset, r.image) in others]
    if not pairs:
        raise RecordsError("the two models have no image in common")
    for ours, theirs in pairs:
        if ours.label != theirs.label:
            raise RecordsError(f"{ours.dataset} {ours.image} is {ours.label} here, {theirs.label} there")
    return [ours for ours, _ in pairs], [theirs for _, theirs in pairs]


def compare(first: Sequence[Record], second: Sequence[Record]) -> list[Difference]:
    """Every AUC that both models' records can be asked for, on the images that they share.

    Raises
    ------
    RecordsError
        See `common`.
    """
    ours, theirs = common(first, second)
    theirs_by_image = {(record.dataset, record.image): record for record in theirs}
    found = []
    for question in questions(ours):
        asked = question.records
        answers = [theirs_by_image[record.dataset, record.image] for record in asked]
        truth = question.truth
        try:
            scores = (question.scores, np.array([question.score(record) for record in answers]))
        except NotComputable:
            continue  # the other model does not answer this question
        if truth.all() or not truth.any():
            continue
        counts = bootstrap.draw_counts(
            [f"{record.dataset} {record.group}" for record in asked], [record.label for record in asked]
        )
        a, b = (bootstrap.evaluate(metrics.auc(truth, score), counts) for score in scores)
        low, high = bootstrap.interval(a - b)
        test = delong(truth, *scores)
        found.append(
            Difference(
                name=question.name,
                meaning=question.meaning,
                dataset=question.dataset,
                split=question.split,
                first=round(test.first, 4),
                second=round(test.second, 4),
                difference=round(test.first - test.second, 4),
                low=round(low, 4),
                high=round(high, 4),
                z_delong=round(test.z, 4) if math.isfinite(test.z) else None,
                p_delong=round(test.p, 6),
                images=len(asked),
                groups=len({record.group for record in asked}),
            )
        )
    return found
