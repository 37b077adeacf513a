"""The model store: versions side by side, in their own order, and no folder that says otherwise than it holds."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from inference.contract import ModelManifest
from inference.runtime.store import (
    DEFAULT_STORE,
    MANIFEST,
    StoreError,
    contents,
    manifests,
    model_names,
    next_version,
    read_manifest,
    verified_weights,
    version_folder,
    versions_of,
)

NAME = "ultrasound"


def put(store: Path, version: str, folder: str = "", **fields: object) -> Path:
    """A version without weights in the folder of its own version, or of another name."""
    described = read_manifest(NAME).model_dump(mode="json") | {"version": version} | fields
    path = store / NAME / (folder or version)
    path.mkdir(parents=True)
    (path / MANIFEST).write_text(json.dumps(described))
    return path


def test_versions_are_ordered_as_numbers(tmp_path: Path) -> None:
    for version in ("2.10.0", "2.9.0", "10.0.0", "2.9.1", "2.10.0rc1"):
        put(tmp_path, version)
    assert versions_of(NAME, tmp_path) == ("2.9.0", "2.9.1", "2.10.0rc1", "2.10.0", "10.0.0")
    assert read_manifest(NAME, tmp_path).version == "10.0.0"
    assert read_manifest(NAME, tmp_path, "2.9.1").version == "2.9.1"
    assert [manifest.version for manifest in manifests(tmp_path)] == list(versions_of(NAME, tmp_path))
    assert model_names(tmp_path) == (NAME,)


def test_what_is_not_there_is_told_with_what_is(tmp_path: Path) -> None:
    put(tmp_path, "2.2.0")
    with pytest.raises(StoreError, match=r"no ultrasound 2\.3\.0; it has 2\.2\.0"):
        read_manifest(NAME, tmp_path, "2.3.0")
    with pytest.raises(StoreError, match="no model mammography"):
        read_manifest("mammography", tmp_path)
    assert versions_of("mammography", tmp_path) == () and model_names(tmp_path / "absent") == ()


@pytest.mark.parametrize(
    ("folder", "sentence"),
    [
        ("2.3.0", r"ultrasound/2\.3\.0 holds the manifest of ultrasound 2\.2\.0"),
        ("v2.3", "no version number"),
    ],
)
def test_a_folder_of_another_name_is_refused_and_hides_no_other(
    tmp_path: Path, folder: str, sentence: str
) -> None:
    put(tmp_path, "2.1.0")
    put(tmp_path, "2.2.0", folder)
    found = contents(tmp_path)
    assert [manifest.version for manifest in found.manifests] == ["2.1.0"]
    (told,) = found.refused
    with pytest.raises(StoreError, match=sentence) as refused:
        manifests(tmp_path)
    assert str(refused.value) == told


def test_another_models_folder_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "2.2.0", name="mammography")
    with pytest.raises(StoreError, match=r"ultrasound/2\.2\.0 holds the manifest of mammography 2\.2\.0"):
        read_manifest(NAME, tmp_path)


@pytest.mark.parametrize("content", ["", "{}", '{"name": "ultra', "\x00"])
def test_a_broken_manifest_hides_no_other(tmp_path: Path, content: str) -> None:
    put(tmp_path, "2.2.0")
    (put(tmp_path, "2.3.0") / MANIFEST).write_text(content)
    assert [manifest.version for manifest in contents(tmp_path).manifests] == ["2.2.0"]
    with pytest.raises(StoreError, match=r"manifest of ultrasound/2\.3\.0 is invalid"):
        read_manifest(NAME, tmp_path)
    assert read_manifest(NAME, tmp_path, "2.2.0").version == "2.2.0"


def test_what_is_being_copied_under_a_hidden_name_is_not_looked_at(tmp_path: Path) -> None:
    put(tmp_path, "2.2.0")
    put(tmp_path, "2.3.0", ".2.3.0.part")
    (tmp_path / NAME / "2.4.0").mkdir()  # nothing in it yet
    assert versions_of(NAME, tmp_path) == ("2.2.0",) and not contents(tmp_path).refused


@pytest.fixture
def weighed(tmp_path: Path) -> ModelManifest:
    """The served ultrasound model in a store of its own."""
    manifest = read_manifest(NAME)
    version_folder(manifest, tmp_path).mkdir(parents=True)
    for name in (MANIFEST, manifest.weights.file):
        shutil.copy(version_folder(manifest) / name, version_folder(manifest, tmp_path))
    return manifest


def test_weights_are_those_of_the_manifest(tmp_path: Path, weighed: ModelManifest) -> None:
    path = verified_weights(weighed, tmp_path)
    assert path == tmp_path / NAME / weighed.version / "model.onnx"
    with path.open("ab") as file:
        file.write(b"\0")
    with pytest.raises(StoreError, match="are not those of its manifest"):
        verified_weights(weighed, tmp_path)
    path.unlink()
    with pytest.raises(StoreError, match="are missing"):
        verified_weights(weighed, tmp_path)


def test_the_next_version_is_a_patch_above_the_newest(tmp_path: Path) -> None:
    assert next_version(NAME, tmp_path) == "1.0.0"
    for version, following in (("2.9.0", "2.9.1"), ("2.10.3", "2.10.4"), ("3.0.0rc2", "3.0.0")):
        put(tmp_path, version)
        assert next_version(NAME, tmp_path) == following


def test_the_store_may_lie_elsewhere(tmp_path: Path) -> None:
    assert DEFAULT_STORE.name == "model_store"
    question = "from inference.runtime.store import DEFAULT_STORE; print(DEFAULT_STORE)"
    answered = subprocess.run(
        [sys.executable, "-c", question], env={"CAD_MODEL_STORE": str(tmp_path)}, capture_output=True,
        text=True, check=True, cwd=DEFAULT_STORE.parent,
    )  # fmt: skip
    assert answered.stdout.strip() == str(tmp_path)


def test_git_holds_one_file_of_weights_a_version() -> None:
    """`model.pt` is made of it; 2.2.0 is older than that."""
    for manifest in manifests():
        extra = {path.name for path in version_folder(manifest).glob("model.*")} - {manifest.weights.file}
        assert extra <= ({"model.pt"} if manifest.version == "2.2.0" else set())
