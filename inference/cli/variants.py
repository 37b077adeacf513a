"""`python -m inference variants`: the TorchScript file of a version, judged on its own held-out images."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from inference.champions.registry import as_asked, sets_of
from inference.contract import ModelManifest
from inference.datasets.sample import evenly
from inference.evaluation import measuring, metrics
from inference.evaluation.bootstrap import of_all
from inference.evaluation.protocol import questions
from inference.runtime import custody
from inference.runtime.forward import Forward
from inference.runtime.store import read_manifest, version_folder
from inference.runtime.variants import MAX_AUC_DROP, VariantList, try_torch


def run(model: str, store: Path, data: Path, images: int | None, version: str | None = None) -> int:
    """Judge, and print what came of it; 0 where the file is as good as `model.onnx`, else 1."""
    manifest = read_manifest(model, store, version)
    folder = version_folder(manifest, store)
    custody.refuse_unsealed_figures(folder)
    held_out = measuring.held_out(sets_of(manifest, folder), data)
    judged = evenly(as_asked(manifest, folder, held_out), images)

    def judge(forward: Forward) -> Mapping[str, float]:
        records = measuring.predict(manifest, forward, judged)
        return {
            f"{question.dataset} {question.name}": of_all(
                metrics.auc(question.truth, question.scores), len(question.records)
            )
            for question in questions(records, manifest)
        }

    with custody.rewriting(folder):
        found = try_torch(manifest, store, judge)
    sys.stdout.write(as_text(manifest, found))
    return 0 if all(variant.kept for variant in found.variants) else 1


def as_text(manifest: ModelManifest, found: VariantList) -> str:
    """A line for each file."""
    lines = [f"{manifest.name} {manifest.version}: model.onnx, {found.size_bytes / 1e6:.1f} MB, {found.auc}"]
    for variant in found.variants:
        verdict = "kept" if variant.kept else f"refused: drop above {MAX_AUC_DROP}"
        lines.append(
            f"  {variant.file}: {variant.size_bytes / 1e6:.1f} MB, "
            f"largest drop of an AUC {variant.auc_drop:+.4f} ({verdict})"
        )
    return "\n".join(lines) + "\n"
