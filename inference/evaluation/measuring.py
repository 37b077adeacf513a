"""Records from weights: the serving pipeline over samples, one image at a time, compared with the truth."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inference.contract import (
    OPERATING_POINTS,
    AnalysisError,
    Flag,
    ImageReference,
    ImageResult,
    ImageUnreadable,
    ModelManifest,
)
from inference.datasets import idc
from inference.datasets.catalogue import DATASETS, recognise
from inference.datasets.pixels import is_avif, read_gray, read_joined_masks, why_no_avif
from inference.datasets.sample import DatasetError, Sample
from inference.evaluation.detection import components, mark_of
from inference.evaluation.records import LEFT_OUT, Part, Record
from inference.evaluation.shift import features_of
from inference.progress import CountProgress
from inference.runtime.analyse import analyse
from inference.runtime.forward import Forward
from inference.runtime.histopathology.preprocessing import FIELD_PX, UM_PER_PX

MOSAIC = "idc_mosaic"
MOSAIC_PATIENT = "14082"
#: The sets that the models' own figures are measured on.
_FACTS = ("patient_id", "density", "view", "birads", "magnification", "centre")
_EXTRA_FACTS = ("subtlety", "kinds", "slide", "device", "histology", "side")


@dataclass
class Measured:
    """What came of a run over samples; `features` are what a shift test compares, one set a record; `failed` has a
    sentence for every image that gave no result."""

    records: list[Record] = field(default_factory=list)
    features: list[dict[str, float]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def trees(
    datasets: Sequence[str], discipline: str, data: Path, dataset: str | None = None
) -> dict[str, tuple[Sample, ...]]:
    """All samples below `data` that the model may be asked about, by data set: `data` holds the sets' own
    folders (`data/busi` …), or is one tree whose grammar an importer knows.

    Raises
    ------
    DatasetError
        Nothing of the kind is there.
    """
    wanted = (dataset,) if dataset else datasets
    found = {
        name: DATASETS[name].read(data / name).samples
        for name in wanted
        if name in DATASETS and (data / name).is_dir()
    }
    if not found and data.is_dir():
        found = {
            name: manifest.samples
            for name, manifest in recognise(data)
            if manifest.samples and manifest.samples[0].discipline == discipline and dataset in (None, name)
        }
    if not found:
        raise DatasetError(f"{data} holds no {dataset or discipline} data that an importer reads")
    return found


def held_out(datasets: Sequence[str], data: Path) -> list[Sample]:
    """`val` of the published splits of the model's own sets.

    Raises
    ------
    LeakError
        A group has samples in more than one published split.
    """
    return [s for name in datasets for s in DATASETS[name].read(data / name).part("val")]


def predict(
    manifest: ModelManifest, forward: Forward, samples: Sequence[Sample], *,
    split: Part = "val", fold: int | None = None, progress: CountProgress | None = None,
) -> list[Record]:  # fmt: skip
    """One record a sample, each image analysed as a study of its own by the serving pipeline.

    Raises
    ------
    AnalysisError
        The first image that gives no result.
    """
    measured = measure_samples(manifest, forward, samples, split=split, fold=fold, progress=progress)
    if measured.failed:
        raise AnalysisError(measured.failed[0])
    return measured.records


def measure_samples(
    manifest: ModelManifest, forward: Forward, samples: Iterable[Sample], *,
    split: Part = "val", fold: int | None = None, progress: CountProgress | None = None,
) -> Measured:  # fmt: skip
    """As `predict`, but an image without a result is named and the others go on. Out-of-fold records, and those of
    networks that left something out, keep the operating points of `manifest`, the network's own, as facts: sensitivity
    is measured at those. Masks and heat maps are overwritten by the next image: memory and disk do not grow with the
    number of images."""
    chosen = list(samples)
    measured = Measured()
    points = {name: f"{manifest.thresholds[name]:.6f}" for name in OPERATING_POINTS}
    with tempfile.TemporaryDirectory(prefix="cad-evaluate-") as folder:
        for done, sample in enumerate(chosen, 1):
            try:
                result = analyse_alone(
                    manifest, forward, sample.path, sample.spacing_um, Path(folder), sample.parts
                )
                record = record_of(sample, result, split=split, fold=fold, network=network_of(forward))
                if split == "oof" or split in LEFT_OUT:
                    record.facts.update(points)
                measured.records.append(record)
                measured.features.append(features_of(result, manifest))
            except AnalysisError as error:
                measured.failed.append(f"{sample.dataset} {sample.id}: {error}")
            except MemoryError:  # of this image; what it took is free again for the next
                measured.failed.append(
                    f"{sample.dataset} {sample.id}: it needs more memory than the measurement may use"
                )
            if progress is not None:
                progress(done, len(chosen))
    return measured


def network_of(forward: Forward) -> str:
    """The digest of the weights behind `forward`, where it has a file of its own."""
    return str(getattr(forward, "sha256", ""))


def record_of(
    sample: Sample, result: ImageResult, *, split: Part = "val", fold: int | None = None, network: str = ""
) -> Record:
    """The pipeline's result for one image against the sample's truth. Marks of an image without a lesion
    (`normal`) are false marks; the Dice is that of all marked places together."""
    dice: float | None = None
    lesions = 0
    marks: tuple[tuple[float, int], ...] = ()
    facts = facts_of(sample)
    facts["gate"] = "held back" if Flag.OUT_OF_DISTRIBUTION in result.flags else "let through"
    if sample.masks:
        truth = _truth(sample)
        if truth.any():
            facts["lesion_share"] = f"{truth.mean():.5f}"
            if result.mask is not None:
                ours = read_gray(Path(result.mask)) > 127
                dice = 2 * int((ours & truth).sum()) / (int(ours.sum()) + int(truth.sum()))
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
        split=split,
        fold=fold,
        facts=facts,
        network=network,
    )


def facts_of(sample: Sample) -> dict[str, str]:
    """What the set says of the image and subgroups ask for; `part` is its published split, `positive` whether
    it is of the positive class of the set's own task."""
    known = {name.removesuffix("_id"): getattr(sample, name) for name in _FACTS}
    known |= {name: sample.extra.get(name) for name in _EXTRA_FACTS}
    known |= {"part": sample.split, "side": known["side"] or sample.laterality}
    if sample.label_binary is not None:
        known["positive"] = "yes" if sample.label_binary else "no"
    return {name: str(value) for name, value in known.items() if value}


def analyse_alone(
    manifest: ModelManifest, forward: Forward, path: Path, spacing_um: float | None, folder: Path,
    parts: Sequence[Path] = (),
) -> ImageResult:  # fmt: skip
    """One image as a study of its own, of a slide of several files with the others; its mask and heat map go to
    `folder`, and what `readable` makes of it.

    Raises
    ------
    AnalysisError
        It cannot be read, or is not what the model reads.
    """

    def save(name: str, png: bytes) -> str:
        (folder / name).write_bytes(png)
        return str(folder / name)

    image = ImageReference(
        image_id=path.name,
        path=str(readable(path, folder)),
        parts=tuple(map(str, parts)),
        spacing_um=None if spacing_um is None else (spacing_um, spacing_um),
    )
    request = manifest.request("evaluate", image)
    return analyse(request, manifest, forward, save).images[0]


def readable(path: Path, folder: Path) -> Path:
    """`path` as the platform reads it: itself, or a PNG in `folder` of what only a data set has.

    Raises
    ------
    ImageUnreadable
        It is AVIF, and damaged or not decoded here.
    """
    if not is_avif(path):
        return path
    if missing := why_no_avif():
        raise ImageUnreadable(f"AVIF cannot be read: {missing}")
    unpacked = folder / "unpacked.png"
    try:
        with Image.open(path) as picture:
            picture.save(unpacked, compress_level=1)
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageUnreadable(f"The AVIF file is damaged ({error}).") from error
    return unpacked


def _truth(sample: Sample) -> NDArray[np.bool_]:
    height, width = read_gray(sample.path).shape
    return read_joined_masks(sample.masks, height, width) > 127


def mosaic_records(manifest: ModelManifest, forward: Forward, data: Path) -> list[Record]:
    """The slide of patient 14082 (in `val`), read whole: one record a labelled 0.2 mm field, its probability
    taken from the heat map that a reader would see. Empty where `data` has no mosaic."""
    image, truth = data / MOSAIC / "14082.png", data / MOSAIC / "14082_labels.png"
    if not image.is_file() or not truth.is_file():
        return []
    with tempfile.TemporaryDirectory(prefix="cad-evaluate-") as folder:
        result = analyse_alone(manifest, forward, image, UM_PER_PX, Path(folder))
        heat = read_gray(Path(str(result.heatmap)))
    labels = read_gray(truth)
    cells = FIELD_PX // 10
    padded = np.zeros((labels.shape[0] * cells, labels.shape[1] * cells), np.float32)
    padded[: heat.shape[0], : heat.shape[1]] = heat[: padded.shape[0], : padded.shape[1]]
    fields = cv2.resize(padded, (labels.shape[1], labels.shape[0]), interpolation=cv2.INTER_AREA) / 255
    return [
        Record(
            dataset=MOSAIC,
            image=f"{MOSAIC_PATIENT} row {row} column {column}",
            group=f"row {row}",
            label=idc.LABELS[int(labels[row, column] == 200)],
            probabilities={
                "not_idc": round(1 - float(fields[row, column]), 4),
                "idc": round(float(fields[row, column]), 4),
            },
            network=network_of(forward),
        )
        for row, column in np.argwhere(labels > 0)
    ]
