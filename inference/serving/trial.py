"""`python -m inference variants`: int8 and TorchScript files, judged on the model's own held-out images."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from inference.contract import ModelManifest
from inference.datasets.catalogue import DATASETS
from inference.datasets.sample import Sample
from inference.evaluation import measuring, metrics
from inference.evaluation.bootstrap import of_all
from inference.evaluation.protocol import questions
from inference.serving.forward import Forward
from inference.serving.onnx_session import OnnxForward
from inference.serving.store import read_manifest, verified_weights
from inference.serving.variants import MAX_AUC_DROP, Recording, VariantList, try_variants

#: Training images from which int8 takes the ranges of its activations.
CALIBRATION_IMAGES = 32

_Item = TypeVar("_Item")


def run(model: str, store: Path, data: Path, images: int | None, version: str | None = None) -> int:
    """Try every variant, write `variants.json` and print what came of it; 0."""
    manifest = read_manifest(model, store, version)
    held_out = measuring.held_out(model, data)
    judged = held_out if images is None else evenly(held_out, images)

    def judge(forward: Forward) -> Mapping[str, float]:
        records = measuring.predict(manifest, forward, judged)
        return {
            f"{question.dataset} {question.name}": of_all(
                metrics.auc(question.truth, question.scores), len(question.records)
            )
            for question in questions(records, manifest)
        }

    sys.stdout.write(as_text(manifest, try_variants(manifest, store, _inputs(manifest, store, data), judge)))
    return 0


def evenly(items: Sequence[_Item], count: int) -> list[_Item]:
    """`count` of `items` (all where there are fewer), evenly drawn from first to last."""
    count = min(count, len(items))
    return [items[index * len(items) // count] for index in range(count)]


def as_text(manifest: ModelManifest, found: VariantList) -> str:
    """A line for each file."""
    lines = [f"{manifest.name} {manifest.version}: model.onnx, {found.size_bytes / 1e6:.1f} MB, {found.auc}"]
    for variant in found.variants:
        speed = "" if variant.relative_speed is None else f", {variant.relative_speed:.2f} times the speed"
        verdict = "kept" if variant.kept else f"removed: drop above {MAX_AUC_DROP}"
        lines.append(
            f"  {variant.file}: {variant.size_bytes / 1e6:.1f} MB{speed}, "
            f"largest drop of an AUC {variant.auc_drop:+.4f} ({verdict})"
        )
    return "\n".join(lines) + "\n"


def _inputs(manifest: ModelManifest, store: Path, data: Path) -> list[NDArray[np.uint8]]:
    training: list[Sample] = [
        sample
        for name in measuring.OWN_DATASETS[manifest.name]
        for sample in DATASETS[name].read(data / name).part("train")
    ]
    recording = Recording(OnnxForward(verified_weights(manifest, store)), most=2 * CALIBRATION_IMAGES)
    measuring.predict(manifest, recording, evenly(training, CALIBRATION_IMAGES))
    return recording.tensors
