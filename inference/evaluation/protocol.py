"""What is measured on each data set: a table of questions; what every question gives stands in `evaluation.lines`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from inference.contract import ModelManifest
from inference.datasets.catalogue import DATASETS
from inference.evaluation import metrics
from inference.evaluation.agreement import camelyon17_kappa
from inference.evaluation.asked import BinaryQuestion, DatasetProtocol, most_probable
from inference.evaluation.bootstrap import Statistic
from inference.evaluation.figures import Figure, Measure, NotComputable, figure
from inference.evaluation.lines import lines_of
from inference.evaluation.records import Record
from inference.runtime.pipelines import WHOLE_IMAGE
from inference.runtime.whole_image.pipeline import only_outlines


def _patient(record: Record) -> str:
    return record.facts.get("patient", record.group)


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
    predicted = [most_probable(record, _SLIDE_LABELS) for record in records]
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
            "specificity_high_sensitivity", "sensitivity_patient_high_sensitivity",
            "specificity_patient_high_sensitivity", "dice"),
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
        calibrated=("malignancy",), by_breast=("malignancy",), reader="malignancy", outlined=True,
        marked="masses_found", headline=("masses_found", "auc_malignancy", "auc_breast_malignancy"),
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
    """The recipe's positive class against the rest, by the labels that the recipe gives, and its classes; of a network
    that outlines, how well."""
    title = PROTOCOLS[dataset].title if dataset in PROTOCOLS else dataset
    if only_outlines(manifest):
        return DatasetProtocol(title, (), outlined=True, marked="lesions_found", headline=("dice",))
    positive = manifest.positive_class
    ask = BinaryQuestion(positive, f"{positive} against the rest", (positive,), (), (positive,))
    return DatasetProtocol(
        title, (ask,), pointed=positive,
        calibrated=(positive,), classes=manifest.classes, by_patient=(positive,),
        headline=(f"auc_{positive}",),
    )  # fmt: skip


def parts(records: Sequence[Record]) -> list[tuple[str, str, list[Record]]]:
    """Records by data set and split, in their order: figures never pool two of them."""
    found: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        found.setdefault((record.dataset, record.split), []).append(record)
    return [(dataset, split, own) for (dataset, split), own in found.items()]


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
