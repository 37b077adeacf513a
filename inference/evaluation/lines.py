"""The lines of a card: what every question that a data set is asked gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from inference.contract import OPERATING_POINTS, ModelManifest
from inference.evaluation import metrics
from inference.evaluation.asked import BinaryQuestion, DatasetProtocol, most_probable
from inference.evaluation.bootstrap import Statistic
from inference.evaluation.calibration import Perfect, perfect_calibration
from inference.evaluation.figures import Measure
from inference.evaluation.patients import by_breast, by_patient, reader_lines, rule_of, together
from inference.evaluation.records import Record
from inference.runtime.fusion import FUSED


def lines_of(sheet: DatasetProtocol, manifest: ModelManifest) -> list[Measure]:
    """Every line of a data set, most important first."""
    lines = [line for ask in sheet.asked for line in _ranking(ask)]
    lines += [_of_patients(ask, manifest) for ask in sheet.asked if ask.name in sheet.by_patient]
    lines += [_of_breasts(ask) for ask in sheet.asked if ask.name in sheet.by_breast]
    lines += sheet.more
    if sheet.outlined:
        lines += [
            Measure("dice", "mean Dice of the outline", _has_outline, _mean_dice),
            Measure("iou", "mean intersection over union of the outline", _has_outline, _mean_iou),
        ]
    if sheet.marked:
        words = sheet.marked.replace("_", " ")
        lines += [
            Measure(sheet.marked, f"{words} at one false mark an image", _any, partial(_found, (1.0,))),
            Measure("froc", f"{words}, mean over ¼, ½, 1, 2, 4 and 8 false marks an image", _any,
                 partial(_found, metrics.FROC_POINTS)),
        ]  # fmt: skip
    for ask in sheet.asked:
        if ask.name == sheet.pointed:
            lines += [
                line
                for point in OPERATING_POINTS
                for line in _at_point(ask, point, manifest.thresholds[point])
            ]
            if sheet.by_patient:
                lines += [line for point in OPERATING_POINTS for line in _patients_at(ask, point, manifest)]
    if sheet.classes:
        lines += _several_classes(sheet.classes)
    for ask in sheet.asked:
        if ask.name in sheet.calibrated:
            lines += [
                Measure(f"ece_{ask.name}", f"expected calibration error, {ask.meaning}", ask.counts,
                     partial(_of_scores, metrics.calibration_error, ask), perfect=partial(_perfect, ask)),
                Measure(f"brier_{ask.name}", f"Brier score, {ask.meaning}", ask.counts,
                     partial(_of_scores, metrics.brier, ask)),
            ]  # fmt: skip
    for ask in sheet.asked:
        if ask.name == sheet.reader:
            lines += reader_lines(ask.counts, ask.truth, ask.meaning)
    order = {name: place for place, name in enumerate(sheet.headline)}
    return sorted(lines, key=lambda line: order.get(line.name, len(order)))


def _any(record: Record) -> bool:
    return True


def _has_outline(record: Record) -> bool:
    return record.dice is not None


def _mean_dice(records: Sequence[Record]) -> Statistic:
    return metrics.mean(np.array([record.dice for record in records], np.float64))


def _mean_iou(records: Sequence[Record]) -> Statistic:
    dice = np.array([record.dice for record in records], np.float64)
    return metrics.mean(dice / (2 - dice))


def _found(false_marks: Sequence[float], records: Sequence[Record]) -> Statistic:
    return metrics.found_at([r.marks for r in records], [r.lesions for r in records], false_marks)


_Metric = Callable[[NDArray[np.bool_], NDArray[np.float64]], Statistic]
_RANKED: tuple[tuple[str, str, _Metric], ...] = (
    ("auc", "AUC", metrics.auc),
    ("pr_auc", "area under precision-recall", metrics.average_precision),
    ("sensitivity_at_90_specificity", "sensitivity at 90 % specificity",
     partial(metrics.sensitivity_at_specificity, specificity=0.9)),
    ("specificity_at_90_sensitivity", "specificity at 90 % sensitivity",
     partial(metrics.specificity_at_sensitivity, sensitivity=0.9)),
)  # fmt: skip


def _of_scores(metric: _Metric, ask: BinaryQuestion, records: Sequence[Record]) -> Statistic:
    truth = np.array([ask.truth(record) for record in records], bool)
    return metric(truth, np.array([ask.score(record) for record in records], np.float64))


def _perfect(ask: BinaryQuestion, records: Sequence[Record]) -> Perfect:
    truth = np.array([ask.truth(record) for record in records], bool)
    return perfect_calibration(truth, np.array([ask.score(record) for record in records], np.float64))


def _ranking(ask: BinaryQuestion) -> list[Measure]:
    return [
        Measure(f"{name}_{ask.name}", f"{words}, {ask.meaning}", ask.counts, partial(_of_scores, metric, ask))
        for name, words, metric in _RANKED
    ]


def _of_patients(ask: BinaryQuestion, manifest: ModelManifest) -> Measure:
    images = int(manifest.calibration.get(FUSED, 1))
    words = "her most suspicious image" if images == 1 else f"her {images} most suspicious images together"
    return Measure(
        f"auc_patient_{ask.name}", f"AUC a patient ({words}), {ask.meaning}", ask.counts,
        lambda records: by_patient(records, ask.truth, ask.score, rule_of(manifest, ask.score)),
    )  # fmt: skip


def _of_breasts(ask: BinaryQuestion) -> Measure:
    return Measure(
        f"auc_breast_{ask.name}", f"AUC a breast (the mean of her views), {ask.meaning}",
        lambda record: ask.counts(record) and "side" in record.facts,
        lambda records: by_breast(records, ask.truth, ask.score),
    )  # fmt: skip


def _at_point(ask: BinaryQuestion, point: str, level: float) -> list[Measure]:
    words = point.replace("_", "-")

    def positive(record: Record) -> bool:
        return ask.counts(record) and ask.truth(record)

    def negative(record: Record) -> bool:
        return ask.counts(record) and not ask.truth(record)

    def predicted_yes(record: Record) -> bool:
        # an out-of-fold image is judged at the point that was fitted without its fold
        return ask.score(record) >= float(record.facts.get(point, level))

    def balanced(records: Sequence[Record]) -> Statistic:
        truth = ["yes" if ask.truth(record) else "no" for record in records]
        predicted = ["yes" if predicted_yes(record) else "no" for record in records]
        return metrics.balanced_accuracy(truth, predicted, ("no", "yes"))

    return [
        Measure(f"sensitivity_{point}", f"sensitivity at the {words} operating point", positive, hits=predicted_yes),
        Measure(f"specificity_{point}", f"specificity at the {words} operating point", negative,
             hits=lambda record: not predicted_yes(record)),
        Measure(f"balanced_accuracy_{point}", f"balanced accuracy at the {words} operating point", ask.counts,
             balanced),
    ]  # fmt: skip


def _patients_at(ask: BinaryQuestion, point: str, manifest: ModelManifest) -> list[Measure]:
    """As `_at_point`, of patients: called positive where what speaks for her is, as the platform reads a study."""
    words, level, rule = point.replace("_", "-"), manifest.thresholds[point], rule_of(manifest, ask.score)

    def called(record: Record) -> bool:
        return ask.score(record) >= float(record.facts.get(point, level))

    def patients(records: Sequence[Record], *, positive: bool) -> Sequence[Record]:
        return together(records, ask.truth, rule, positive=positive)

    return [
        Measure(f"sensitivity_patient_{point}", f"sensitivity a patient at the {words} operating point", ask.counts,
             hits=called, narrow=partial(patients, positive=True)),
        Measure(f"specificity_patient_{point}", f"specificity a patient at the {words} operating point", ask.counts,
             hits=lambda record: not called(record), narrow=partial(patients, positive=False)),
    ]  # fmt: skip


def _several_classes(classes: tuple[str, ...]) -> list[Measure]:
    def known(record: Record) -> bool:
        return record.label in classes

    def of_classes(
        metric: Callable[[Sequence[str], Sequence[str], Sequence[str]], Statistic], records: Sequence[Record]
    ) -> Statistic:
        predicted = [most_probable(record, classes) for record in records]
        return metric([record.label for record in records], predicted, classes)

    number = len(classes)
    return [
        Measure("accuracy", f"share of images in the right one of {number} classes", known,
             hits=lambda record: most_probable(record, classes) == record.label),
        Measure("balanced_accuracy", f"mean recall of {number} classes", known,
             partial(of_classes, metrics.balanced_accuracy)),
        Measure("macro_f1", f"mean F1 of {number} classes", known, partial(of_classes, metrics.macro_f1)),
    ]  # fmt: skip
