"""From data to a folder of the model store, one function a model.

Each fits the recipe on all but one grouped fold of `train`, fits calibration, gates and operating points on
that fold, then (unless told not to) fits again on all of `train` and exports. `val` is not read here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from inference.contract import InputContract, Modality, ModelManifest
from inference.datasets import busi, cbis_mass_256, idc, mini_mias
from inference.datasets.sample import Sample, grouped_folds
from inference.evaluation.calibration import (
    conformal_level,
    fit_platt,
    fit_temperature,
    operating_points,
    softmax,
)
from inference.evaluation.detection import level_for_false_marks
from inference.evaluation.protocol import TRAINING_GROUPS
from inference.models.lesion import LesionOutput
from inference.models.mammogram import FilmOutput
from inference.models.tissue import FieldOutput
from inference.preprocessing import histopathology as tissue_preprocessing
from inference.preprocessing import mammography as film_preprocessing
from inference.preprocessing import ultrasound as frame_preprocessing
from inference.preprocessing.pixels import read_gray
from inference.serving.quality import colourfulness, fit_ranges, look
from inference.training import histopathology, lesion, mammography, ultrasound
from inference.training.export import WEIGHTS, export_onnx, parameter_count, write_manifest

#: The novelty gate lets this share of held-out training images through.
_NOVELTY_QUANTILE = 0.99
#: … and this much more, because the held-out fold is small and other hospitals' machines differ a little.
_NOVELTY_ROOM = 1.15
_GREY_COLOUR_LIMIT = 0.06
_INTENDED_USE = "Research only. Not a medical device; a clinician decides."


@dataclass(frozen=True)
class Plan:
    """What a build may spend, and where it keeps its checkpoints."""

    data: Path
    run: Path
    store: Path
    version: str
    epochs: int | None = None
    refit: bool = True
    seed: int = 0


def _inner(
    samples: Sequence[Sample], folds: int, seed: int, fold: int = 0
) -> tuple[list[Sample], list[Sample]]:
    inside, outside = grouped_folds(samples, folds, seed)[fold]
    return [samples[i] for i in inside], [samples[i] for i in outside]


def _novelty_limit(distances: NDArray[np.float64]) -> float:
    return float(np.quantile(distances, _NOVELTY_QUANTILE)) * _NOVELTY_ROOM


def build_ultrasound(plan: Plan) -> ModelManifest:
    """BUSI → `ultrasound`."""
    samples = ultrasound.read(plan.data).part("train")
    epochs = plan.epochs or ultrasound.EPOCHS
    held: list[Sample] = []
    scored = []
    networks = []
    for fold in range(ultrasound.CALIBRATION_FOLDS):
        inside, outside = _inner(samples, ultrasound.INNER_FOLDS, plan.seed, fold)
        length = epochs if fold == 0 else min(epochs, ultrasound.CALIBRATION_EPOCHS)
        networks.append(ultrasound.train(inside, plan.run / f"inner-{fold}", length, plan.seed))
        scored.append(lesion.score(networks[-1], ultrasound.load(outside)[0], mirror=True))
        held += outside
    network = networks[0]
    canvases, masks = ultrasound.load(held)
    logits, distances, outlines = (np.concatenate(parts) for parts in zip(*scored, strict=True))
    labels = np.array([busi.CLASSES.index(sample.label) for sample in held])
    # a hundred held-out frames are no reason for more confidence than the network itself shows
    temperature = max(1.0, fit_temperature(logits, labels))
    shares = softmax(logits / temperature)
    calibration = {
        "temperature": temperature,
        "outline_level": _best_outline_level(outlines, masks[:, 2::4, 2::4] > 127),
        "conformal_level": conformal_level(shares, labels),
        "novelty_limit": _novelty_limit(distances),
        "colour_high": _GREY_COLOUR_LIMIT,
        **fit_ranges([look(canvas) for canvas in canvases]),
    }
    lesions = labels != busi.CLASSES.index("normal")
    points = operating_points(shares[lesions, 1], labels[lesions] == 1)
    if plan.refit:
        network = ultrasound.train(samples, plan.run / "final", epochs, plan.seed)
    folder = _folder(plan, "ultrasound", samples)
    example = torch.zeros((2, 1, frame_preprocessing.SIDE, frame_preprocessing.SIDE), dtype=torch.uint8)
    export_onnx(network, example, LesionOutput._fields, folder / WEIGHTS)
    return write_manifest(
        folder, name="ultrasound", version=plan.version, title="Breast ultrasound: lesion and malignancy",
        classes=busi.CLASSES, positive_class="malignant",
        contract=InputContract(
            modality=Modality.ULTRASOUND, kinds=("image",), max_images=64, working_um_per_px=None
        ),
        preprocessing=frame_preprocessing.PREPROCESSING, thresholds=points, calibration=calibration,
        parameters=parameter_count(network), licence=f"Learned from BUSI: {busi.LICENCE}",
        intended_use=_INTENDED_USE,
    )  # fmt: skip


def _best_outline_level(outlines: NDArray[np.float32], truths: NDArray[np.bool_]) -> float:
    """The level with the best mean Dice over frames that show a lesion."""
    shown = truths.any(axis=(1, 2))
    levels = np.arange(0.2, 0.75, 0.05)
    means = [lesion.dice(list(outlines[shown] >= level), list(truths[shown])).mean() for level in levels]
    return round(float(levels[int(np.argmax(means))]), 2)


def build_mammography(plan: Plan) -> ModelManifest:
    """CBIS-DDSM masses and mini-MIAS films → `mammography`."""
    masses = mammography.read_masses(plan.data).part("train")
    films = mammography.read_films(plan.data).part("train")
    inside, held = _inner(masses, mammography.INNER_FOLDS, plan.seed)
    epochs = plan.epochs or mammography.EPOCHS
    network = mammography.train_masses(inside, plan.run / "inner", epochs, plan.seed)
    mass_canvases, _ = mammography.load(inside)
    film_canvases, _ = mammography.load(films)
    assembled = mammography.assemble(network, mass_canvases, film_canvases)
    held_canvases, held_masks = mammography.load(held)
    logits, distances, outlines = lesion.score(network, mammography.halved(held_canvases), mirror=False)
    malignant = np.array([bool(sample.label_binary) for sample in held])
    malignancy = fit_platt(logits[:, 0], malignant)
    level = level_for_false_marks(outlines, held_masks[:, 4::8, 4::8] > 127, marks_per_image=1.0)
    if plan.refit:
        network = mammography.train_masses(masses, plan.run / "final", epochs, plan.seed)
        mass_canvases, _ = mammography.load(masses)
        assembled = mammography.assemble(network, mass_canvases, film_canvases)
    abnormal = np.array([bool(sample.label_binary) for sample in films])
    film_logits = mammography.fit_abnormality(assembled, films, film_canvases, plan.seed)
    abnormality = fit_platt(film_logits, abnormal)
    chances = np.array([abnormality(float(logit)) for logit in film_logits])
    both = np.stack([1 - chances, chances], axis=1)
    shares = [float((canvas_mask(sample) > 0).mean()) for sample in (*held, *films)]
    calibration = {
        "abnormal_slope": abnormality.slope,
        "abnormal_offset": abnormality.offset,
        "malignancy_slope": malignancy.slope,
        "malignancy_offset": malignancy.offset,
        "outline_level": level,
        "conformal_level": conformal_level(both, abnormal.astype(np.int64)),
        "novelty_limit": _novelty_limit(distances),
        "colour_high": _GREY_COLOUR_LIMIT,
        "breast_share_low": float(np.quantile(shares, 0.002)) * 0.7,
        "breast_share_high": min(0.97, float(np.quantile(shares, 0.998)) * 1.15),
        **fit_ranges([look(canvas) for canvas in np.concatenate([held_canvases, film_canvases])]),
    }
    folder = _folder(plan, "mammography", (*masses, *films))
    size = (2, 1, film_preprocessing.HEIGHT, film_preprocessing.WIDTH)
    export_onnx(assembled, torch.zeros(size, dtype=torch.uint8), FilmOutput._fields, folder / WEIGHTS)
    return write_manifest(
        folder, name="mammography", version=plan.version,
        title="Mammography: abnormality of a view, masses and their malignancy",
        classes=("normal", "abnormal", "malignancy"), positive_class="abnormal",
        contract=InputContract(
            modality=Modality.MAMMOGRAPHY, kinds=("image",), max_images=16, working_um_per_px=None
        ),
        preprocessing=film_preprocessing.PREPROCESSING, thresholds=operating_points(chances, abnormal),
        calibration=calibration, parameters=parameter_count(assembled),
        licence=f"Learned from mini-MIAS: {mini_mias.LICENCE}; and from CBIS-DDSM: {cbis_mass_256.LICENCE}",
        intended_use=_INTENDED_USE,
    )  # fmt: skip


def canvas_mask(sample: Sample) -> NDArray[np.uint8]:
    """The breast mask of a film."""
    return film_preprocessing.breast_mask(read_gray(sample.path))


def build_histopathology(plan: Plan) -> ModelManifest:
    """IDC patches → `histopathology`."""
    samples = histopathology.read(plan.data).part("train")
    inside, held = _inner(samples, histopathology.INNER_FOLDS, plan.seed)
    epochs = plan.epochs or histopathology.EPOCHS
    network = histopathology.train(inside, plan.run / "inner", epochs, plan.seed)
    logits, distances = histopathology.score(network, held)
    positive = np.array([bool(sample.label_binary) for sample in held])
    platt = fit_platt(logits, positive)
    chances = np.array([platt(float(logit)) for logit in logits])
    colours = [colourfulness(field) for field in histopathology.load(inside[::7])]
    calibration = {
        "slope": platt.slope,
        "offset": platt.offset,
        "conformal_level": conformal_level(
            np.stack([1 - chances, chances], axis=1), positive.astype(np.int64)
        ),
        "novelty_limit": _novelty_limit(distances),
        "colour_low": float(np.quantile(colours, 0.005)) * 0.7,
    }
    if plan.refit:
        network = histopathology.train(samples, plan.run / "final", epochs, plan.seed)
    folder = _folder(plan, "histopathology", samples)
    size = (2, idc.PATCH_PX, idc.PATCH_PX, 3)
    export_onnx(network, torch.zeros(size, dtype=torch.uint8), FieldOutput._fields, folder / WEIGHTS)
    return write_manifest(
        folder, name="histopathology", version=plan.version,
        title="Histopathology: invasive ductal carcinoma in H&E",
        classes=idc.LABELS, positive_class="idc",
        contract=InputContract(
            modality=Modality.SLIDE_MICROSCOPY, kinds=("image", "slide"), max_images=16,
            needs_pixel_spacing=True, working_um_per_px=tissue_preprocessing.UM_PER_PX,
        ),
        preprocessing=tissue_preprocessing.PREPROCESSING, thresholds=operating_points(chances, positive),
        calibration=calibration, parameters=parameter_count(network),
        licence=f"Learned from IDC patches: {idc.LICENCE}", intended_use=_INTENDED_USE,
    )  # fmt: skip


def _folder(plan: Plan, name: str, seen: Sequence[Sample]) -> Path:
    """The model's folder, with the groups that it has seen written down."""
    folder = plan.store / name
    folder.mkdir(parents=True, exist_ok=True)
    groups: dict[str, set[str]] = {}
    for sample in seen:
        groups.setdefault(sample.dataset, set()).add(sample.group_id)
    listed = {dataset: sorted(names) for dataset, names in sorted(groups.items())}
    (folder / TRAINING_GROUPS).write_text(json.dumps(listed) + "\n", encoding="utf-8")
    return folder


BUILDERS = {
    "ultrasound": build_ultrasound,
    "mammography": build_mammography,
    "histopathology": build_histopathology,
}
