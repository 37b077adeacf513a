"""Figures, records and the cards of the committed models."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from inference.evaluation import figures
from inference.evaluation.card import CARD, METRICS, card_text
from inference.evaluation.detection import components, froc, mark_of
from inference.evaluation.figures import figure
from inference.evaluation.protocol import held_out, measure, predict
from inference.evaluation.records import PREDICTIONS, Record, read_records, write_records
from inference.serving.onnx_session import OnnxForward
from inference.serving.store import DEFAULT_STORE, model_names, read_manifest, verified_weights
from inference.training.export import MAX_WEIGHTS_BYTES, preprocessing_sha256


def record(number: int, label: str, chance: float, **more: object) -> Record:
    return Record("made up", str(number), f"g{number}", label, {"malignant": chance}, **more)  # type: ignore[arg-type]


def malignant(entry: Record) -> bool:
    return entry.label == "malignant"


def chance(entry: Record) -> float:
    return entry.probabilities["malignant"]


def test_shuffled_labels_give_an_interval_around_a_half() -> None:
    generator = np.random.default_rng(3)
    records = [
        record(number, "malignant" if generator.random() < 0.4 else "benign", float(generator.random()))
        for number in range(300)
    ]
    found = figure("auc", "…", records, figures.auc(malignant, chance))
    assert found.low < 0.5 < found.high and found.groups == 300


def test_the_interval_is_over_groups_not_images() -> None:
    one_a_group = [record(n, "malignant" if n % 2 else "benign", (n % 7) / 7) for n in range(60)]
    copies = [
        Record("made up", f"{n}", f"g{n // 10}", entry.label, entry.probabilities)
        for n, entry in enumerate(entry for entry in one_a_group for _ in range(10))
    ]
    few = figure("auc", "…", copies, figures.auc(malignant, chance))
    many = figure("auc", "…", one_a_group, figures.auc(malignant, chance))
    assert few.value == pytest.approx(many.value)
    assert few.groups == 60 and (few.high - few.low) == pytest.approx(many.high - many.low, abs=0.08)


def test_a_figure_of_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match="class is missing"):
        figure("auc", "…", [record(1, "benign", 0.1)], figures.auc(malignant, chance))


def test_sensitivity_and_specificity_count_at_or_above() -> None:
    records = [record(1, "malignant", 0.5), record(2, "malignant", 0.4), record(3, "benign", 0.5)]
    assert figures.sensitivity(malignant, chance, 0.5)(records) == 0.5
    assert figures.specificity(malignant, chance, 0.5)(records) == 0.0
    assert figures.specificity(malignant, chance, 0.51)(records) == 1.0


def test_a_hit_is_a_mark_whose_centre_lies_in_the_mask() -> None:
    lesions = components(np.pad(np.ones((10, 10), bool), 10))
    assert mark_of(0, 0.9, (8, 8, 22, 22), lesions).hits == {1}
    assert not mark_of(0, 0.9, (0, 0, 11, 11), lesions).hits
    curve = froc(
        [mark_of(0, 0.9, (8, 8, 22, 22), lesions), mark_of(0, 0.8, (0, 0, 4, 4), lesions),
         mark_of(1, 0.7, (8, 8, 22, 22), lesions)],
        lesions=2, images=2,
    )  # fmt: skip
    assert curve.at(0.0) == (0.5, 0.9) and curve.at(0.5) == (1.0, 0.7)


def test_records_survive_the_file(tmp_path: Path) -> None:
    written = [
        record(
            1, "malignant", 0.123456, dice=0.5, lesions=2, marks=((0.7, 1), (0.2, 0)), flags=("uncertain",)
        ),
        record(2, "benign", 0.9),
    ]
    write_records(tmp_path / PREDICTIONS, written)
    assert read_records(tmp_path / PREDICTIONS) == written


@pytest.mark.parametrize("model", model_names())
def test_the_card_says_what_the_predictions_of_record_say(model: str) -> None:
    folder, manifest = DEFAULT_STORE / model, read_manifest(model)
    found = measure(manifest, read_records(folder / PREDICTIONS))
    metrics = json.loads((folder / METRICS).read_text())
    assert metrics["weights_sha256"] == manifest.weights.sha256
    assert metrics["figures"] == [entry.as_json() for entry in found]
    flagged = metrics["held_out_of_distribution"]
    assert (folder / CARD).read_text() == card_text(manifest, found, flagged)


@pytest.mark.parametrize("model", model_names())
def test_the_manifest_describes_the_weights(model: str) -> None:
    manifest = read_manifest(model)
    assert verified_weights(manifest).stat().st_size <= MAX_WEIGHTS_BYTES
    assert manifest.parameters <= 10_000_000
    assert manifest.preprocessing_sha256 == preprocessing_sha256(manifest.preprocessing)
    assert manifest.thresholds == json.loads((DEFAULT_STORE / model / "thresholds.json").read_text())


@pytest.mark.parametrize("model", model_names())
def test_the_weights_still_give_the_predictions_of_record(model: str, shared_data: Path) -> None:
    manifest = read_manifest(model)
    of_record = {(r.dataset, r.image): r for r in read_records(DEFAULT_STORE / model / PREDICTIONS)}
    samples = held_out(model, shared_data)[:: 40 if model == "histopathology" else 20]
    for again in predict(manifest, OnnxForward(verified_weights(manifest)), samples):
        before = of_record[again.dataset, again.image]
        assert again.probabilities == pytest.approx(before.probabilities, abs=1e-3)
        assert (again.group, again.label, again.lesions) == (before.group, before.label, before.lesions)
