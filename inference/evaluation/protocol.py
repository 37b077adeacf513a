"""What is measured on each data set: a table of questions, and the lines that every question gets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from inference.contract import OPERATING_POINTS, ModelManifest
from inference.datasets.catalogue import DATASETS
from inference.evaluation import metrics
from inference.evaluation.agreement import camelyon17_kappa
from inference.evaluation.bootstrap import Statistic
from inference.evaluation.calibration import Perfect, perfect_calibration
from inference.evaluation.figures import Figure, Measure, NotComputable, figure
from inference.evaluation.patients import by_patient, reader_lines
from inference.evaluation.records import Record
from inference.runtime.pipelines import WHOLE_IMAGE


@dataclass(frozen=True)
class BinaryQuestion:
    """A yes-or-no question: which labels are yes and no (`no` empty: all others), and which class's
    probability answers it, alone or against another class's. `by` reads a fact in place of the label."""

    name: str
    meaning: str
    yes: tuple[str, ...]
    no: tuple[str, ...]
    chance: tuple[str, ...]
    against: str | None = None
    by: str | None = None

    def counts(self, record: Record) -> bool:
        label = self._label(record)
        return bool(label) and (not self.no or label in self.yes or label in self.no)

    def truth(self, record: Record) -> bool:
        return self._label(record) in self.yes

    def score(self, record: Record) -> float:
        """Raises `NotComputable` where the model has no such class."""
        own = next((record.probabilities[n] for n in self.chance if n in record.probabilities), None)
        if own is None:
            raise NotComputable(f"the model has no class {self.chance[0]}")
        if self.against is None:
            return own
        return own / max(own + record.probabilities[self.against], 1e-9)

    def _label(self, record: Record) -> str:
        return record.label if self.by is None else record.facts.get(self.by, "")


@dataclass(frozen=True)
class DatasetProtocol:
    """What a data set is asked. The first question leads; `pointed` names the one that the operating points
    belong to, `calibrated` those whose answer is a probability, `by_patient` those that are asked of patients too,
    `reader` the one that a reader's BI-RADS of the same images answers."""

    title: str
    asked: tuple[BinaryQuestion, ...]
    pointed: str | None = None
    calibrated: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    outlined: bool = False
    marked: str | None = None
    by_patient: tuple[str, ...] = ()
    reader: str | None = None
    more: tuple[Measure, ...] = ()
    headline: tuple[str, ...] = field(default=())


def _patient(record: Record) -> str:
    return record.facts.get("patient", record.group)


def _argmax(record: Record, classes: Sequence[str]) -> str:
    return max(classes, key=lambda name: record.probabilities.get(name, -1.0))


_MALIGNANT_BREAKHIS = BinaryQuestion(
    "malignant", "malignant against benign", ("yes",), ("no",), ("malignant", "idc"), by="positive"
)


def _breakhis_right(record: Record) -> bool:
    return (_MALIGNANT_BREAKHIS.score(record) >= 0.5) == _MALIGNANT_BREAKHIS.truth(record)


def _recognised_patients(records: Sequence[Record]) -> Statistic:
    hits = np.array([_breakhis_right(record) for record in records], bool)
    return metrics.mean_of_groups(hits, [record.facts.get("slide", record.group) for record in records])


_SLIDE_LABELS = ("negative", "itc", "micro", "macro")


def _pn_kappa(records: Sequence[Record]) -> Statistic:
    predicted = [_argmax(record, _SLIDE_LABELS) for record in records]
    return camelyon17_kappa([_patient(record) for record in records], [r.label for r in records], predicted)


_MALIGNANT_FRAMES = (
    BinaryQuestion("malignant_benign", "malignant against benign", ("malignant",), ("benign",), ("malignant",),
        against="benign"),
    BinaryQuestion("malignant_rest", "malignant against all", ("malignant",), (), ("malignant",)),
)  # fmt: skip
_MALIGNANT_FILMS = BinaryQuestion(
    "malignancy", "malignant against benign", ("malignant",), ("benign",), ("malignancy",)
)

PROTOCOLS = {
    "busi": DatasetProtocol(
        title="BUSI",
        asked=_MALIGNANT_FRAMES,
        pointed="malignant_rest", calibrated=("malignant_rest",), classes=("benign", "malignant", "normal"),
        outlined=True, marked="lesions_found", headline=("auc_malignant_benign", "dice"),
    ),
    "busbra": DatasetProtocol(
        title="BUS-BRA",
        asked=_MALIGNANT_FRAMES,
        pointed="malignant_rest", calibrated=("malignant_rest",), by_patient=("malignant_benign",),
        reader="malignant_benign", outlined=True, marked="lesions_found",
        headline=("auc_malignant_benign", "auc_patient_malignant_benign", "sensitivity_high_sensitivity",
            "specificity_high_sensitivity", "dice"),
    ),
    "mini_mias": DatasetProtocol(
        title="mini-MIAS films",
        asked=(
            BinaryQuestion("abnormal", "abnormal against normal", ("benign", "malignant"), ("normal",), ("abnormal",)),
            _MALIGNANT_FILMS,
        ),
        pointed="abnormal", calibrated=("abnormal",), headline=("auc_abnormal", "auc_malignancy"),
    ),
    "cbis_mass_256": DatasetProtocol(
        title="CBIS-DDSM mass films",
        asked=(_MALIGNANT_FILMS,),
        calibrated=("malignancy",), reader="malignancy", outlined=True, marked="masses_found",
        headline=("masses_found", "auc_malignancy"),
    ),
    "idc": DatasetProtocol(
        title="IDC patches",
        asked=(BinaryQuestion("idc", "IDC against not IDC", ("idc",), ("not_idc",), ("idc",)),),
        pointed="idc", calibrated=("idc",), headline=("auc_idc",),
    ),
    "idc_mosaic": DatasetProtocol(
        title="Slide 14082 read whole, by labelled fields (one patient; intervals over rows of fields)",
        asked=(BinaryQuestion("mosaic", "IDC against not IDC", ("idc",), ("not_idc",), ("idc",)),),
        headline=("auc_mosaic",),
    ),
    "breakhis": DatasetProtocol(
        title="BreakHis",
        asked=(_MALIGNANT_BREAKHIS,),
        calibrated=("malignant",),
        more=(
            Measure("image_recognition_rate", "image recognition rate", _MALIGNANT_BREAKHIS.counts,
                 hits=_breakhis_right),
            Measure("patient_recognition_rate", "patient recognition rate", _MALIGNANT_BREAKHIS.counts,
                 _recognised_patients),
        ),
        headline=("patient_recognition_rate", "image_recognition_rate"),
    ),
    "camelyon17": DatasetProtocol(
        title="CAMELYON17",
        asked=(),
        classes=_SLIDE_LABELS,
        more=(
            Measure("kappa", "quadratic kappa of the patients' pN stages (official metric)",
                 lambda record: record.label in _SLIDE_LABELS, _pn_kappa, unit=_patient),
        ),
        headline=("kappa",),
    ),
}  # fmt: skip


def protocol_of(dataset: str, manifest: ModelManifest | None = None) -> DatasetProtocol:
    """The data set's own sheet; for a set without one, its positive class against the rest, an image and a
    patient, at the shipped points. A recipe's network is asked what its recipe asked, of every set that an importer
    labels; of a hospital's own cases it is known whether they are positive."""
    if manifest is not None and manifest.served_by == WHOLE_IMAGE and dataset in DATASETS:
        return _of_a_recipe(dataset, manifest)
    known = PROTOCOLS.get(dataset)
    if known is not None:
        return known
    chance = manifest.positive_class if manifest is not None else "malignant"
    words = f"positive against negative, by P({chance})"
    asked = [BinaryQuestion(chance, words, ("yes",), ("no",), (chance,), by="positive")]
    if manifest is not None and "malignancy" in manifest.classes:
        words = "malignant against benign"
        asked.append(BinaryQuestion("malignancy", words, ("malignant",), ("benign",), ("malignancy",)))
    return DatasetProtocol(
        dataset, tuple(asked), pointed=chance, calibrated=(chance,), by_patient=(chance,), reader=chance,
        headline=(f"auc_{chance}", f"auc_patient_{chance}"),
    )  # fmt: skip


def _of_a_recipe(dataset: str, manifest: ModelManifest) -> DatasetProtocol:
    """The recipe's positive class against the rest, by the labels that the recipe gives, and its classes."""
    positive = manifest.positive_class
    ask = BinaryQuestion(positive, f"{positive} against the rest", (positive,), (), (positive,))
    return DatasetProtocol(
        PROTOCOLS[dataset].title if dataset in PROTOCOLS else dataset, (ask,), pointed=positive,
        calibrated=(positive,), classes=manifest.classes, by_patient=(positive,),
        headline=(f"auc_{positive}",),
    )  # fmt: skip


def parts(records: Sequence[Record]) -> list[tuple[str, str, list[Record]]]:
    """Records by data set and split, in their order: figures never pool two of them."""
    found: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        found.setdefault((record.dataset, record.split), []).append(record)
    return [(dataset, split, own) for (dataset, split), own in found.items()]


def lines_of(sheet: DatasetProtocol, manifest: ModelManifest) -> list[Measure]:
    """Every line of a data set, most important first."""
    lines = [line for ask in sheet.asked for line in _ranking(ask)]
    lines += [_of_patients(ask) for ask in sheet.asked if ask.name in sheet.by_patient]
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


def measure(manifest: ModelManifest, records: Sequence[Record]) -> list[Figure]:
    """The figures of every data set and split on record. Lines that a set cannot answer (one class only,
    no outlines) are left out.

    Raises
    ------
    NotComputable
        Not one of them.
    """
    found = []
    for dataset, _, own in parts(records):
        for line in lines_of(protocol_of(dataset, manifest), manifest):
            try:
                found.append(figure(line, own))
            except NotComputable:
                continue
    if not found:
        raise NotComputable("no figure can be computed from these records")
    return found


@dataclass(frozen=True)
class Question:
    """An `Ask` with the records that it was put to."""

    name: str
    meaning: str
    dataset: str
    split: str
    records: tuple[Record, ...]
    truth: NDArray[np.bool_]
    scores: NDArray[np.float64]
    score: Callable[[Record], float]


def questions(records: Sequence[Record], manifest: ModelManifest | None = None) -> list[Question]:
    """Every question that the records answer with both truths."""
    found = []
    for dataset, split, own in parts(records):
        sheet = protocol_of(dataset, manifest)
        for ask in sheet.asked:
            asked = tuple(record for record in own if ask.counts(record))
            truth = np.array([ask.truth(record) for record in asked], bool)
            try:
                scores = np.array([ask.score(record) for record in asked], np.float64)
            except NotComputable:
                continue
            if truth.any() and not truth.all():
                found.append(
                    Question(f"auc_{ask.name}", f"{sheet.title}: AUC, {ask.meaning}", dataset, split, asked,
                             truth, scores, ask.score)
                )  # fmt: skip
    return found


# --- lines -----------------------------------------------------------------------------------------------


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


def _of_patients(ask: BinaryQuestion) -> Measure:
    return Measure(
        f"auc_patient_{ask.name}", f"AUC a patient (her most suspicious image), {ask.meaning}", ask.counts,
        lambda records: by_patient(records, ask.truth, ask.score),
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


def _several_classes(classes: tuple[str, ...]) -> list[Measure]:
    def known(record: Record) -> bool:
        return record.label in classes

    def of_classes(
        metric: Callable[[Sequence[str], Sequence[str], Sequence[str]], Statistic], records: Sequence[Record]
    ) -> Statistic:
        predicted = [_argmax(record, classes) for record in records]
        return metric([record.label for record in records], predicted, classes)

    number = len(classes)
    return [
        Measure("accuracy", f"share of images in the right one of {number} classes", known,
             hits=lambda record: _argmax(record, classes) == record.label),
        Measure("balanced_accuracy", f"mean recall of {number} classes", known,
             partial(of_classes, metrics.balanced_accuracy)),
        Measure("macro_f1", f"mean F1 of {number} classes", known, partial(of_classes, metrics.macro_f1)),
    ]  # fmt: skip
