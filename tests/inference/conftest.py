"""Synthetic studies, the committed models in this process, and requests over them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from inference.contract import AnalysisRequest, AnalysisResult, ImageReference, ModelManifest
from inference.runtime.analyse import analyse
from inference.runtime.onnx_session import OnnxForward
from inference.runtime.store import read_manifest, verified_weights


@dataclass
class ServedModel:
    """A model of the store in this process, with what it saved."""

    manifest: ModelManifest
    forward: OnnxForward
    folder: Path
    saved: dict[str, Path] = field(default_factory=dict)

    def save(self, name: str, png: bytes) -> str:
        path = self.folder / name
        path.write_bytes(png)
        self.saved[name] = path
        return str(path)

    def request(self, *images: ImageReference) -> AnalysisRequest:
        return self.manifest.request("test", *images)

    def analyse(self, *images: ImageReference) -> AnalysisResult:
        return analyse(self.request(*images), self.manifest, self.forward, self.save)


@pytest.fixture(scope="session")
def forwards() -> Callable[[str], OnnxForward]:
    made: dict[str, OnnxForward] = {}

    def forward(model: str) -> OnnxForward:
        if model not in made:
            made[model] = OnnxForward(verified_weights(read_manifest(model)))
        return made[model]

    return forward


@pytest.fixture
def served(forwards: Callable[[str], OnnxForward], tmp_path: Path) -> Callable[[str], ServedModel]:
    """`served("ultrasound")`: the committed model, ready."""
    folder = tmp_path / "artefacts"
    folder.mkdir()
    return lambda model: ServedModel(read_manifest(model), forwards(model), folder)


def image(path: Path, **facts: object) -> ImageReference:
    """A reference to `path` under its own name."""
    return ImageReference.model_validate({"image_id": path.name, "path": str(path), **facts})
