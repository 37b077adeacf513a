"""A patient's answer from her images', and what a reader's own category says of the same images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from inference.contract import ModelManifest
from inference.evaluation import metrics
from inference.evaluation.bootstrap import Floats, Statistic
from inference.evaluation.figures import Measure
from inference.evaluation.records import Record
from inference.runtime.fusion import FUSED, fused

Truth = Callable[[Record], bool]
Score = Callable[[Record], float]
#: BI-RADS from which a biopsy is advised: the reader's own operating point (ACR BI-RADS Atlas 2013).
BIOPSY = 4.0
#: Parts of category 4 lie between 4 and 5.
_CATEGORIES = {
    "1": 1.0, "2": 2.0, "3": 3.0, "4": 4.0, "4a": 4.0, "4b": 4.3, "4c": 4.6, "5": 5.0, "6": 6.0,
}  # fmt: skip


def birads(record: Record) -> float | None:
    """The highest category that a reader gave the image; None where he gave none, or 0 (incomplete) alone."""
    stated = record.facts.get("birads", "").lower().split("|")
    return max((_CATEGORIES[one.strip()] for one in stated if one.strip() in _CATEGORIES), default=None)


#: Of a patient's images the one record that speaks for her.
Rule = Callable[[Sequence[Record]], Record]


def rule_of(manifest: ModelManifest, score: Score) -> Rule:
    """As the platform makes a study's answer: her most suspicious image, or so many of them fused as the manifest
    says."""
    most = int(manifest.calibration.get(FUSED, 1))

    def speaks(own: Sequence[Record]) -> Record:
        worst = sorted(own, key=score, reverse=True)[:most]
        if len(worst) == 1:
            return worst[0]
        together = fused([record.probabilities for record in worst], manifest.positive_class)
        return replace(worst[0], probabilities=together)

    return speaks


def spoken_for(records: Sequence[Record], rule: Rule) -> list[Record]:
    """One record a patient, in the order in which they come first."""
    own: dict[str, list[Record]] = {}
    for record in records:
        own.setdefault(record.group, []).append(record)
    return [rule(each) for each in own.values()]


def by_patient(records: Sequence[Record], truth: Truth, score: Score, rule: Rule | None = None) -> Statistic:
    """AUC over patients: what her images say together, as the platform reads a study (her most suspicious image where
    no `rule` is said); positive where any image is. All images of a patient must be drawn together."""
    owners = list(dict.fromkeys(record.group for record in records))
    place = {owner: index for index, owner in enumerate(owners)}
    first, positive = np.full(len(owners), -1), np.zeros(len(owners), bool)
    for index, record in enumerate(records):
        own = place[record.group]
        first[own] = index if first[own] < 0 else first[own]
        positive[own] |= truth(record)
    speak = rule or (lambda images: max(images, key=score))
    scores = np.array([score(record) for record in spoken_for(records, speak)], np.float64)
    statistic = metrics.auc(positive, scores)

    def over_patients(counts: Floats) -> Floats:
        return statistic(counts[:, first])

    return over_patients


def by_breast(records: Sequence[Record], truth: Truth, score: Score) -> Statistic:
    """AUC over breasts: the mean of the scores of her views, as the platform reads a breast; positive where any view
    is. All images of a patient must be drawn together."""
    names = [(record.group, record.facts["side"]) for record in records]
    place = {name: index for index, name in enumerate(dict.fromkeys(names))}
    own = np.array([place[name] for name in names])
    views = np.bincount(own)
    mean = np.bincount(own, weights=[score(record) for record in records]) / views
    positive = np.bincount(own, weights=[truth(record) for record in records]) > 0
    first = np.array([int(np.flatnonzero(own == number)[0]) for number in range(len(place))])
    statistic = metrics.auc(positive, mean)

    def over_breasts(counts: Floats) -> Floats:
        return statistic(counts[:, first])

    return over_breasts


def together(records: Sequence[Record], truth: Truth, rule: Rule, *, positive: bool) -> list[Record]:
    """Of each patient that is positive, or is not, the record that speaks for her: positive where any of her images
    is."""
    ill = {record.group for record in records if truth(record)}
    return [record for record in spoken_for(records, rule) if (record.group in ill) is positive]


def reader_lines(counts: Truth, truth: Truth, meaning: str) -> list[Measure]:
    """What the reader's BI-RADS alone says: AUC an image and a patient, sensitivity and specificity of a biopsy."""

    def read(record: Record) -> bool:
        return counts(record) and birads(record) is not None

    def category(record: Record) -> float:
        return birads(record) or 0.0

    def auc(records: Sequence[Record]) -> Statistic:
        scores = np.array([category(record) for record in records], np.float64)
        return metrics.auc(np.array([truth(record) for record in records], bool), scores)

    def positive(record: Record) -> bool:
        return read(record) and truth(record)

    def negative(record: Record) -> bool:
        return read(record) and not truth(record)

    return [
        Measure("reader_auc_patient", f"reader's BI-RADS alone: AUC a patient, {meaning}", read,
             lambda records: by_patient(records, truth, category)),
        Measure("reader_auc", f"reader's BI-RADS alone: AUC an image, {meaning}", read, auc),
        Measure("reader_sensitivity", "reader's sensitivity, BI-RADS 4 or more", positive,
             hits=lambda record: category(record) >= BIOPSY),
        Measure("reader_specificity", "reader's specificity, BI-RADS 4 or more", negative,
             hits=lambda record: category(record) < BIOPSY),
    ]  # fmt: skip
