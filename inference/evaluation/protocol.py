"""What is measured of each model, on which images: `val` of the published splits, unseen by training."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.contract import AnalysisRequest, ImageReference, ImageResult, ModelManifest
from inference.datasets import busi, cbis_mass_256, idc, mini_mias
from inference.datasets.sample import LeakError, Sample
from inference.evaluation import figures
from inference.evaluation.detection import components, mark_of
from inference.evaluation.figures import Figure, figure
from inference.evaluation.records import Record
from inference.preprocessing.histopathology import FIELD_PX, UM_PER_PX
from inference.preprocessing.pixels import read_gray, read_joined_masks
from inference.serving.forward import Forward
from inference.serving.pipeline import analyse

#: Beside the weights: every group that training, calibration or thresholds have seen.
TRAINING_GROUPS = "training_groups.json"
MOSAIC = "idc_mosaic"


def held_out(model: str, data: Path) -> list[Sample]:
    """The samples that the model's figures are measured on."""
    if model == "ultrasound":
        return list(busi.read(data / "busi").part("val"))
    if model == "mammography":
        films = mini_mias.read(data / "mini_mias").part("val")
        return [*films, *cbis_mass_256.read(data / "cbis_mass_256").part("val")]
    return list(idc.read(data / "idc").part("val"))


def refuse_training_groups(samples: Sequence[Sample], folder: Path) -> None:
    """
    Raises:
        LeakError: a sample's group stands in the model's own training.
    """
    seen = {
        (dataset, group)
        for dataset, groups in json.loads((folder / TRAINING_GROUPS).read_text(encoding="utf-8")).items()
        for group in groups
    }
    for sample in samples:
        if (sample.dataset, sample.group_id) in seen:
            raise LeakError(f"group {sample.group_id} of {sample.dataset} was trained on")


def predict(manifest: ModelManifest, forward: Forward, samples: Sequence[Sample]) -> list[Record]:
    """One record a sample, each image analysed as a study of its own by the serving pipeline."""
    with tempfile.TemporaryDirectory(prefix="cad-evaluate-") as folder:
        return [_record(manifest, forward, sample, Path(folder)) for sample in samples]


def _record(manifest: ModelManifest, forward: Forward, sample: Sample, folder: Path) -> Record:
    result = _analyse(manifest, forward, sample.path, sample.spacing_um, folder)
    dice: float | None = None
    lesions = 0
    marks: tuple[tuple[float, int], ...] = ()
    if sample.masks and sample.label != "normal":
        truth = _truth(sample)
        if result.mask is not None:
            ours = read_gray(Path(result.mask)) > 127
            total = int(ours.sum()) + int(truth.sum())
            dice = 2 * int((ours & truth).sum()) / total if total else 1.0
        labels = components(truth)
        lesions = int(labels.max())
        found = [mark_of(0, finding.score, finding.box, labels) for finding in result.findings]
        marks = tuple((mark.score, max(mark.hits, default=0)) for mark in found)
    return Record(
        dataset=sample.dataset,
        image=sample.id,
        group=sample.group_id,
        label=sample.label,
        probabilities=dict(result.probabilities),
        dice=dice,
        lesions=lesions,
        marks=marks,
        flags=tuple(flag.value for flag in result.flags),
    )


def _analyse(
    manifest: ModelManifest, forward: Forward, path: Path, spacing_um: float | None, folder: Path
) -> ImageResult:
    def save(name: str, png: bytes) -> str:
        (folder / name).write_bytes(png)
        return str(folder / name)

    image = ImageReference(
        image_id=path.name, path=str(path), laterality=None, view=None, pixel_spacing_um=spacing_um
    )
    request = AnalysisRequest(
        request_id="evaluate",
        model=manifest.name,
        model_version=manifest.version,
        modality=manifest.input.modality,
        images=(image,),
    )
    return analyse(request, manifest, forward, save).images[0]


def _truth(sample: Sample) -> NDArray[np.bool_]:
    height, width = read_gray(sample.path).shape
    return read_joined_masks(sample.masks, height, width) > 127


def mosaic_records(manifest: ModelManifest, forward: Forward, data: Path) -> list[Record]:
    """The slide of patient 14082 (in `val`), read whole: one record a labelled 0.2 mm field, its probability
    taken from the heat map that a reader would see."""
    image, truth = data / MOSAIC / "14082.png", data / MOSAIC / "14082_labels.png"
    if not image.is_file():
        return []
    with tempfile.TemporaryDirectory(prefix="cad-evaluate-") as folder:
        result = _analyse(manifest, forward, image, UM_PER_PX, Path(folder))
        heat = read_gray(Path(str(result.heatmap)))
    labels = read_gray(truth)
    cells = FIELD_PX // 10
    padded = np.zeros((labels.shape[0] * cells, labels.shape[1] * cells), np.float32)
    padded[: heat.shape[0], : heat.shape[1]] = heat[: padded.shape[0], : padded.shape[1]]
    fields = cv2.resize(padded, (labels.shape[1], labels.shape[0]), interpolation=cv2.INTER_AREA) / 255
    return [
        Record(
            dataset=MOSAIC,
            image=f"14082 row {row} column {column}",
            group=f"row {row}",
            label=idc.LABELS[int(labels[row, column] == 200)],
            probabilities={
                "not_idc": round(1 - float(fields[row, column]), 4),
                "idc": round(float(fields[row, column]), 4),
            },
        )
        for row, column in np.argwhere(labels > 0)
    ]


def measure(manifest: ModelManifest, records: Sequence[Record]) -> list[Figure]:
    """The model's figures, most important first."""
    measured = {
        "ultrasound": _ultrasound,
        "mammography": _mammography,
        "histopathology": _histopathology,
    }[manifest.name]
    return measured(manifest, records)


def _ultrasound(manifest: ModelManifest, records: Sequence[Record]) -> list[Figure]:
    lesions = [record for record in records if record.label != "normal"]

    def malignant(record: Record) -> bool:
        return record.label == "malignant"

    def odds(record: Record) -> float:
        chances = record.probabilities
        return chances["malignant"] / max(chances["malignant"] + chances["benign"], 1e-9)

    def chance(record: Record) -> float:
        return record.probabilities["malignant"]

    balanced = manifest.thresholds["balanced"]
    sensitive = manifest.thresholds["high_sensitivity"]
    return [
        figure(
            "auc_malignant_benign", "AUC, malignant against benign", lesions, figures.auc(malignant, odds)
        ),
        figure("dice", "mean Dice of the outline, frames with a lesion", lesions, figures.mean_dice),
        figure("auc_malignant_rest", "AUC, malignant against all", records, figures.auc(malignant, chance)),
        figure(
            "pr_auc",
            "area under precision-recall, malignant against all",
            records,
            figures.average_precision(malignant, chance),
        ),
        figure(
            "sensitivity_balanced",
            "sensitivity at the balanced operating point",
            records,
            figures.sensitivity(malignant, chance, balanced),
        ),
        figure(
            "specificity_balanced",
            "specificity at the balanced operating point",
            records,
            figures.specificity(malignant, chance, balanced),
        ),
        figure(
            "sensitivity_high",
            "sensitivity at the high-sensitivity operating point",
            records,
            figures.sensitivity(malignant, chance, sensitive),
        ),
        figure(
            "specificity_high",
            "specificity at the high-sensitivity operating point",
            records,
            figures.specificity(malignant, chance, sensitive),
        ),
        figure("accuracy", "share of frames in the right one of three classes", records, figures.accuracy),
        figure(
            "ece",
            "expected calibration error of P(malignant)",
            records,
            figures.calibration_error(malignant, chance),
        ),
        figure("brier", "Brier score of P(malignant)", records, figures.brier(malignant, chance)),
    ]


def _mammography(manifest: ModelManifest, records: Sequence[Record]) -> list[Figure]:
    films = [record for record in records if record.dataset == mini_mias.NAME]
    masses = [record for record in records if record.dataset == cbis_mass_256.NAME]

    def abnormal(record: Record) -> bool:
        return record.label != "normal"

    def malignant(record: Record) -> bool:
        return record.label == "malignant"

    def abnormality(record: Record) -> float:
        return record.probabilities["abnormal"]

    def malignancy(record: Record) -> float:
        return record.probabilities["malignancy"]

    balanced = manifest.thresholds["balanced"]
    sensitive = manifest.thresholds["high_sensitivity"]
    return [
        figure(
            "auc_abnormal",
            "mini-MIAS films: AUC, abnormal against normal",
            films,
            figures.auc(abnormal, abnormality),
        ),
        figure(
            "auc_malignancy",
            "CBIS-DDSM mass films: AUC, malignant against benign",
            masses,
            figures.auc(malignant, malignancy),
        ),
        figure(
            "masses_found",
            "CBIS-DDSM: masses found at one false mark an image",
            masses,
            figures.found_at(1.0),
        ),
        figure("dice", "CBIS-DDSM: mean Dice of all marks against the mask", masses, figures.mean_dice),
        figure(
            "sensitivity_balanced",
            "mini-MIAS: sensitivity at the balanced operating point",
            films,
            figures.sensitivity(abnormal, abnormality, balanced),
        ),
        figure(
            "specificity_balanced",
            "mini-MIAS: specificity at the balanced operating point",
            films,
            figures.specificity(abnormal, abnormality, balanced),
        ),
        figure(
            "sensitivity_high",
            "mini-MIAS: sensitivity at the high-sensitivity operating point",
            films,
            figures.sensitivity(abnormal, abnormality, sensitive),
        ),
        figure(
            "specificity_high",
            "mini-MIAS: specificity at the high-sensitivity operating point",
            films,
            figures.specificity(abnormal, abnormality, sensitive),
        ),
        figure(
            "ece_abnormal",
            "mini-MIAS: expected calibration error of P(abnormal)",
            films,
            figures.calibration_error(abnormal, abnormality),
        ),
        figure(
            "ece_malignancy",
            "CBIS-DDSM: expected calibration error of the malignancy",
            masses,
            figures.calibration_error(malignant, malignancy),
        ),
    ]


def _histopathology(manifest: ModelManifest, records: Sequence[Record]) -> list[Figure]:
    patches = [record for record in records if record.dataset == idc.NAME]
    mosaic = [record for record in records if record.dataset == MOSAIC]

    def positive(record: Record) -> bool:
        return record.label == "idc"

    def chance(record: Record) -> float:
        return record.probabilities["idc"]

    balanced = manifest.thresholds["balanced"]
    sensitive = manifest.thresholds["high_sensitivity"]
    measured = [
        figure("auc_idc", "IDC patches: AUC, IDC against not IDC", patches, figures.auc(positive, chance)),
        figure(
            "pr_auc",
            "IDC patches: area under precision-recall",
            patches,
            figures.average_precision(positive, chance),
        ),
        figure(
            "sensitivity_balanced",
            "IDC patches: sensitivity at the balanced operating point",
            patches,
            figures.sensitivity(positive, chance, balanced),
        ),
        figure(
            "specificity_balanced",
            "IDC patches: specificity at the balanced operating point",
            patches,
            figures.specificity(positive, chance, balanced),
        ),
        figure(
            "sensitivity_high",
            "IDC patches: sensitivity at the high-sensitivity operating point",
            patches,
            figures.sensitivity(positive, chance, sensitive),
        ),
        figure(
            "specificity_high",
            "IDC patches: specificity at the high-sensitivity operating point",
            patches,
            figures.specificity(positive, chance, sensitive),
        ),
        figure(
            "ece",
            "IDC patches: expected calibration error",
            patches,
            figures.calibration_error(positive, chance),
        ),
        figure("brier", "IDC patches: Brier score", patches, figures.brier(positive, chance)),
    ]
    if mosaic:
        measured.append(
            figure(
                "auc_mosaic",
                "slide 14082 read whole: AUC over its labelled fields "
                "(one patient; the interval is over rows of fields)",
                mosaic,
                figures.auc(positive, chance),
            )
        )
    return measured
