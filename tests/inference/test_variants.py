"""Variants of a model's weights: kept where they cost at most 0.01 of AUC, and served only as listed."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from inference.contract import ModelManifest
from inference.serving.archive import build_archives
from inference.serving.forward import Forward
from inference.serving.onnx_session import OnnxForward
from inference.serving.store import StoreError, file_sha256, read_manifest
from inference.serving.torch_forward import FILE, export_torch
from inference.serving.trial import evenly
from inference.serving.variants import FILES, LIST, Recording, read_variants, try_variants, verified_variant
from tests.inference.tiny_network import OUTPUTS, example, fields, tiny_network, write_onnx

NAME = "histopathology"
BRIGHT = fields(24, seed=5)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / "store" / NAME
    folder.mkdir(parents=True)
    weights = write_onnx(folder / "model.onnx")
    described = json.loads(read_manifest(NAME).model_dump_json())
    described["weights"]["sha256"] = file_sha256(weights)
    (folder / "manifest.json").write_text(json.dumps(described))
    return folder.parent


@pytest.fixture
def manifest(store: Path) -> ModelManifest:
    return read_manifest(NAME, store)


def judge_of(store: Path, manifest: ModelManifest, drop: float) -> object:
    """An AUC of 1.0 for the model itself, `drop` less for anything else."""
    own = OnnxForward(store / NAME / manifest.weights.file)(BRIGHT).outputs["logit"]

    def judge(forward: Forward) -> dict[str, float]:
        same = np.array_equal(forward(BRIGHT).outputs["logit"], own)
        return {"tiny": 1.0 if same else 1.0 - drop}

    return judge


def tried(store: Path, manifest: ModelManifest, drop: float) -> object:
    return try_variants(
        manifest,
        store,
        [fields(1, seed) for seed in range(6)],
        judge_of(store, manifest, drop),  # type: ignore[arg-type]
    )


def test_int8_is_smaller_close_and_kept_within_the_limit(store: Path, manifest: ModelManifest) -> None:
    found = tried(store, manifest, 0.01)
    listed = read_variants(manifest, store)
    assert listed == found and listed is not None
    static = next(variant for variant in listed.variants if variant.kind == "int8")
    assert static.kept and static.auc_drop == pytest.approx(0.01) and static.relative_speed is not None
    path = verified_variant("int8", manifest, store)
    assert path == store / NAME / FILES["int8"]
    exact = OnnxForward(store / NAME / "model.onnx")(BRIGHT).outputs["logit"]
    close = OnnxForward(path)(BRIGHT).outputs["logit"]
    assert np.corrcoef(exact, close)[0, 1] > 0.95


def test_a_variant_that_costs_more_is_removed_and_stays_on_the_list(
    store: Path, manifest: ModelManifest
) -> None:
    tried(store, manifest, 0.02)
    assert not (store / NAME / FILES["int8"]).exists()
    assert verified_variant("int8", manifest, store) is None
    listed = read_variants(manifest, store)
    assert listed is not None
    assert [variant.kept for variant in listed.variants] == [False]


def test_a_list_of_other_weights_says_nothing(store: Path, manifest: ModelManifest) -> None:
    tried(store, manifest, 0.0)
    weights = manifest.weights.model_copy(update={"sha256": "0" * 64})
    other = manifest.model_copy(update={"weights": weights})
    assert read_variants(other, store) is None and verified_variant("int8", other, store) is None


def test_changed_bytes_are_refused(store: Path, manifest: ModelManifest) -> None:
    tried(store, manifest, 0.0)
    with (store / NAME / FILES["int8"]).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(StoreError, match="is not what"):
        verified_variant("int8", manifest, store)
    (store / NAME / LIST).write_text("{}")
    with pytest.raises(StoreError, match="invalid"):
        read_variants(manifest, store)


def test_an_archive_carries_the_file_for_gpus_once_it_was_judged(
    store: Path, manifest: ModelManifest, tmp_path: Path
) -> None:
    export_torch(tiny_network(), (example(),), OUTPUTS, store / NAME / FILE)
    (first,) = build_archives(tmp_path / "out", store)
    assert FILE not in zipfile.ZipFile(first).namelist()
    tried(store, manifest, 0.0)
    (second,) = build_archives(tmp_path / "out", store)
    assert zipfile.ZipFile(second).read(FILE) == (store / NAME / FILE).read_bytes()
    (again,) = build_archives(tmp_path / "elsewhere", store)
    assert again.read_bytes() == second.read_bytes()


def test_what_int8_is_fitted_to_is_what_the_pipeline_sends() -> None:
    def forward(tensor: np.ndarray, /) -> object:
        return tensor

    recording = Recording(forward, most=2)  # type: ignore[arg-type]
    for seed in range(3):
        recording(fields(4, seed))
    assert [tensor.shape[0] for tensor in recording.tensors] == [1, 1]
    np.testing.assert_array_equal(recording.tensors[1], fields(4, 1)[:1])


def test_images_are_drawn_evenly() -> None:
    assert evenly(range(10), 4) == [0, 2, 5, 7]
    assert evenly(range(3), 9) == [0, 1, 2]
