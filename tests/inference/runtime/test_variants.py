"""The TorchScript file of a version: kept where it costs at most 0.01 of AUC, and served only as listed."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from inference.cli.variants import as_text
from inference.contract import ModelManifest
from inference.datasets.sample import evenly
from inference.runtime.archive import build_archives
from inference.runtime.forward import Forward
from inference.runtime.onnx_session import OnnxForward
from inference.runtime.onnx_to_torch.convert import convert
from inference.runtime.store import StoreError, version_folder
from inference.runtime.torch_forward import FILE
from inference.runtime.variants import LIST, Judge, VariantList, read_variants, try_torch, verified_variant
from tests.inference.tiny_network import fields
from tests.small_store import put_version

BRIGHT = fields(24, seed=5)


@pytest.fixture
def manifest(tmp_path: Path) -> ModelManifest:
    """A version with a `model.pt` beside its weights."""
    made = put_version(tmp_path, "1.0.0")
    folder = version_folder(made, tmp_path)
    convert(folder / "model.onnx", folder / FILE)
    return made


def judge_of(store: Path, manifest: ModelManifest, drop: float) -> Judge:
    """An AUC of 1.0 for the model itself, `drop` less for anything else."""
    own = OnnxForward(version_folder(manifest, store) / manifest.weights.file)(BRIGHT).outputs["logit"]

    def judge(forward: Forward) -> dict[str, float]:
        same = np.array_equal(forward(BRIGHT).outputs["logit"], own)
        return {"tiny": 1.0 if same else 1.0 - drop}

    return judge


def tried(store: Path, manifest: ModelManifest, drop: float) -> VariantList:
    return try_torch(manifest, store, judge_of(store, manifest, drop))


def test_a_file_within_the_limit_is_kept_and_listed(tmp_path: Path, manifest: ModelManifest) -> None:
    assert verified_variant(manifest, tmp_path) is None  # nobody has judged it yet
    found = tried(tmp_path, manifest, 0.01)
    assert read_variants(manifest, tmp_path) == found
    assert found.variants[0].kept and found.variants[0].auc_drop == pytest.approx(0.01)
    assert verified_variant(manifest, tmp_path) == version_folder(manifest, tmp_path) / FILE
    assert "(kept)" in as_text(manifest, found)


def test_a_file_that_costs_more_is_removed_and_stays_on_the_list(
    tmp_path: Path, manifest: ModelManifest
) -> None:
    tried(tmp_path, manifest, 0.02)
    assert not (version_folder(manifest, tmp_path) / FILE).exists()
    assert verified_variant(manifest, tmp_path) is None
    listed = read_variants(manifest, tmp_path)
    assert listed is not None
    assert [variant.kept for variant in listed.variants] == [False]


def test_without_a_file_what_would_be_made_is_judged_and_nothing_is_written(tmp_path: Path) -> None:
    made = put_version(tmp_path, "2.0.0")
    before = sorted(version_folder(made, tmp_path).iterdir())
    assert tried(tmp_path, made, 0.0).variants[0].kept
    assert not tried(tmp_path, made, 0.02).variants[0].kept
    assert sorted(version_folder(made, tmp_path).iterdir()) == before


def test_a_list_of_other_weights_says_nothing(tmp_path: Path, manifest: ModelManifest) -> None:
    tried(tmp_path, manifest, 0.0)
    weights = manifest.weights.model_copy(update={"sha256": "0" * 64})
    other = manifest.model_copy(update={"weights": weights})
    assert read_variants(other, tmp_path) is None and verified_variant(other, tmp_path) is None


def test_changed_bytes_are_refused(tmp_path: Path, manifest: ModelManifest) -> None:
    tried(tmp_path, manifest, 0.0)
    folder = version_folder(manifest, tmp_path)
    with (folder / FILE).open("ab") as file:
        file.write(b"\0")
    with pytest.raises(StoreError, match="is not what"):
        verified_variant(manifest, tmp_path)
    (folder / LIST).write_text("{}")
    with pytest.raises(StoreError, match="invalid"):
        read_variants(manifest, tmp_path)


def test_an_archive_carries_the_versions_own_file_once_it_was_judged(
    tmp_path: Path, manifest: ModelManifest
) -> None:
    own = (version_folder(manifest, tmp_path) / FILE).read_bytes()
    tried(tmp_path, manifest, 0.0)
    (first,) = build_archives(tmp_path / "out", tmp_path).archives
    assert zipfile.ZipFile(first).read(FILE) == own
    (again,) = build_archives(tmp_path / "elsewhere", tmp_path).archives
    assert again.read_bytes() == first.read_bytes()


def test_images_are_drawn_evenly() -> None:
    assert evenly(range(10), 4) == [0, 2, 5, 7]
    assert evenly(range(3), 9) == [0, 1, 2]
