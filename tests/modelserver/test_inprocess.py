"""The networks in this process: the same pipeline, real weights."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from django.conf import settings

from cad_platform.modelserver.configured import get_model_server
from cad_platform.modelserver.inprocess import InProcessModelServer
from cad_platform.modelserver.port import Abandoned, Deadline, VersionNotServed
from imaging.digest import sha256_of
from imaging.phantoms import ultrasound
from inference.contract import AnalysisError, GaveWay, ImageReference, ModelManifest
from inference.runtime.histopathology.pipeline import FIELDS_PER_CALL
from inference.runtime.store import model_names, read_manifest, version_folder
from tests.inference.runtime.test_tiling_resumes import InMemory, write_section


@pytest.fixture(scope="module")
def server() -> InProcessModelServer:
    return InProcessModelServer(settings.MODEL_STORE)


@pytest.fixture(scope="module")
def manifest() -> ModelManifest:
    return read_manifest("ultrasound", settings.MODEL_STORE)


@pytest.mark.parametrize("name", model_names(settings.MODEL_STORE))
def test_every_model_of_the_store_predicts(server: InProcessModelServer, name: str) -> None:
    server.prove(read_manifest(name, settings.MODEL_STORE), Deadline(60))


def test_an_image_is_analysed(server: InProcessModelServer, manifest: ModelManifest, tmp_path: Path) -> None:
    path = tmp_path / "phantom.png"
    ultrasound.write_png(ultrasound.phantom(7, "malignant"), path)
    saved: dict[str, bytes] = {}

    def save(name: str, png: bytes, /) -> str:
        saved[name] = png
        return f"kept/{name}"

    request = manifest.request("test", ImageReference(image_id="2.25.1", path=str(path)))
    result = server.analyse(request, manifest, save, Deadline(60))
    assert set(result.probabilities) == set(manifest.classes)
    assert result.model == manifest.identity
    assert result.images[0].heatmap == "kept/image-0.heatmap.png"
    assert all(png.startswith(b"\x89PNG") for png in saved.values())
    assert result.timings.model_ms > 0


@pytest.fixture
def store(tmp_path: Path, manifest: ModelManifest) -> Path:
    """A store that the test may change."""
    shutil.copytree(version_folder(manifest, settings.MODEL_STORE), version_folder(manifest, tmp_path))
    return tmp_path


def test_weights_of_another_hash_are_not_served(store: Path, manifest: ModelManifest) -> None:
    (version_folder(manifest, store) / manifest.weights.file).write_bytes(b"other bytes")
    with pytest.raises(VersionNotServed, match="not those of its manifest") as caught:
        InProcessModelServer(store).prove(manifest, Deadline(5))
    assert not caught.value.retryable


def test_each_version_is_served_by_itself(store: Path, manifest: ModelManifest) -> None:
    """Equal weights make no version stand for another."""
    server = InProcessModelServer(store)
    server.prove(manifest, Deadline(30))
    other = manifest.model_copy(update={"version": "99.0.0"})
    with pytest.raises(
        VersionNotServed, match=r"not served here: the weights of ultrasound 99\.0\.0 are missing"
    ):
        server.prove(other, Deadline(30))
    shutil.copytree(version_folder(manifest, store), version_folder(other, store))
    server.prove(other, Deadline(30))


def test_a_version_that_left_the_store_is_served_no_longer(store: Path, manifest: ModelManifest) -> None:
    server = InProcessModelServer(store)
    server.prove(manifest, Deadline(30))
    shutil.rmtree(version_folder(manifest, store))
    with pytest.raises(VersionNotServed):
        server.prove(manifest, Deadline(30))


def test_weights_that_are_no_network_are_an_error(store: Path, manifest: ModelManifest) -> None:
    path = version_folder(manifest, store) / manifest.weights.file
    path.write_bytes(b"no network")
    weights = manifest.weights.model_copy(update={"sha256": sha256_of(path)})
    with pytest.raises(AnalysisError, match="cannot be loaded"):
        InProcessModelServer(store).prove(manifest.model_copy(update={"weights": weights}), Deadline(5))


def test_abandoned_work_does_not_begin(server: InProcessModelServer, manifest: ModelManifest) -> None:
    deadline = Deadline(5)
    deadline.abandon("withdrawn")
    with pytest.raises(Abandoned, match="withdrawn"):
        server.prove(manifest, deadline)


def test_the_settings_choose_the_adapter() -> None:
    assert isinstance(get_model_server(), InProcessModelServer)


def test_the_next_attempt_at_a_slide_goes_on_where_one_gave_way(tmp_path: Path) -> None:
    slide = tmp_path / "slide.tif"
    write_section(slide)
    manifest = read_manifest("histopathology", settings.MODEL_STORE)
    request = manifest.request("test", ImageReference(image_id="2.25.1", path=str(slide), sha256="a" * 64))
    server = InProcessModelServer(settings.MODEL_STORE)
    keeping = InMemory(2, 3)

    def save(name: str, png: bytes, /) -> str:
        return name

    whole = server.analyse(request, manifest, save, Deadline(60))
    for _ in range(2):
        with pytest.raises(GaveWay):
            server.analyse(request, manifest, save, Deadline(60), keeping)
    assert keeping.writes == 1, "the second time there was nothing new to keep"
    result = server.analyse(request, manifest, save, Deadline(60), keeping)
    assert result.images == whole.images and result.probabilities == whole.probabilities
    assert result.images[0].descriptors["fields"] > 2 * FIELDS_PER_CALL
