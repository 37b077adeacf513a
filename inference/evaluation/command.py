"""`python -m inference evaluate`: the card's figures again, from the predictions of record or the weights."""

from __future__ import annotations

import json
from pathlib import Path

from inference.contract import Flag, ModelManifest
from inference.evaluation.card import write_card
from inference.evaluation.figures import Figure
from inference.evaluation.protocol import (
    MOSAIC,
    held_out,
    measure,
    mosaic_records,
    predict,
    refuse_training_groups,
)
from inference.evaluation.records import PREDICTIONS, Record, read_records, write_records
from inference.serving.onnx_session import OnnxForward
from inference.serving.store import read_manifest, verified_weights


def rerun(model: str, store: Path, data: Path) -> list[Record]:
    """Predict the held-out images again with the committed weights.

    Raises:
        LeakError: a held-out group was trained on.
    """
    manifest = read_manifest(model, store)
    samples = held_out(model, data)
    refuse_training_groups(samples, store / model)
    forward = OnnxForward(verified_weights(manifest, store))
    records = predict(manifest, forward, samples)
    if model == "histopathology":
        records += mosaic_records(manifest, forward, data)
    return records


def evaluate(model: str, store: Path, data: Path, *, again: bool, record: bool) -> list[Figure]:
    """The figures; with `record` the predictions, metrics and card in the store are written anew."""
    manifest = read_manifest(model, store)
    if again or record:
        records = rerun(model, store, data)
    else:
        records = read_records(store / model / PREDICTIONS)
    figures = measure(manifest, records)
    if record:
        write_records(store / model / PREDICTIONS, records)
        write_card(store / model, manifest, figures, _flagged(records))
    return figures


def as_text(manifest: ModelManifest, figures: list[Figure]) -> str:
    """A table for people."""
    lines = [f"{manifest.name} {manifest.version} ({manifest.weights.sha256[:16]}…)"]
    for figure in figures:
        lines.append(
            f"  {figure.value:6.3f}  [{figure.low:.3f}, {figure.high:.3f}]  {figure.meaning}  "
            f"({figure.images} images, {figure.groups} groups)"
        )
    return "\n".join(lines)


def as_json(manifest: ModelManifest, figures: list[Figure]) -> str:
    """For programs."""
    return json.dumps(
        {
            "model": manifest.name,
            "version": manifest.version,
            "weights_sha256": manifest.weights.sha256,
            "figures": [figure.as_json() for figure in figures],
        },
        ensure_ascii=False,
    )


def _flagged(records: list[Record]) -> float:
    images = [record for record in records if record.dataset != MOSAIC]
    held_back = [record for record in images if Flag.OUT_OF_DISTRIBUTION.value in record.flags]
    return len(held_back) / max(len(images), 1)
