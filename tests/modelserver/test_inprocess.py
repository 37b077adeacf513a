"""The networks in this process: the same pipeline, real weights."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings

from cad_platform.modelserver.configured import get_model_server
from cad_platform.modelserver.inprocess import InProcessModelServer
from cad_platform.modelserver.port import Abandoned, Deadline
from imaging.phantoms import ultrasound
from inference.contract import (
    AnalysisRequest,
    ImageReference,
    Modality,
    ModelManifest,
    ModelServerUnavailable,
)
from inference.serving.store import model_names, read_manifest


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

    request = AnalysisRequest(
        request_id="test",
        model=manifest.name,
        model_version=manifest.version,
        modality=Modality.ULTRASOUND,
        images=(ImageReference(image_id="2.25.1", path=str(path)),),
    )
    result = server.analyse(request, manifest, save, Deadline(60))
    assert set(result.probabilities) == set(manifest.classes)
    assert result.model == manifest.identity
    assert result.images[0].heatmap == "kept/image-0.heatmap.png"
    assert all(png.startswith(b"\x89PNG") for png in saved.values())
    assert result.timings.model_ms > 0


def test_weights_of_another_hash_are_not_served(tmp_path: Path, manifest: ModelManifest) -> None:
    (tmp_path / "ultrasound").mkdir()
    (tmp_path / "ultrasound" / manifest.weights.file).write_bytes(b"other bytes")
    with pytest.raises(ModelServerUnavailable, match="not those of its manifest"):
        InProcessModelServer(tmp_path).prove(manifest, Deadline(5))


def test_abandoned_work_does_not_begin(server: InProcessModelServer, manifest: ModelManifest) -> None:
    deadline = Deadline(5)
    deadline.abandon("withdrawn")
    with pytest.raises(Abandoned, match="withdrawn"):
        server.prove(manifest, deadline)


def test_the_settings_choose_the_adapter() -> None:
    assert isinstance(get_model_server(), InProcessModelServer)
