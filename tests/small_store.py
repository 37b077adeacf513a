"""A model store with networks small enough to train nothing: for tests of how versions are kept and served."""

from __future__ import annotations

import json
from pathlib import Path

from torch import nn

from imaging.digest import sha256_of
from inference.contract import ModelManifest
from inference.runtime.answer import write_answer
from inference.runtime.store import MANIFEST, manifest_in, read_manifest
from inference.training.export import export_onnx
from tests.inference.tiny_network import OUTPUTS, example, tiny_network

NAME = "histopathology"


def put_version(
    store: Path, version: str, name: str = NAME, seed: int = 3, network: nn.Module | None = None
) -> ModelManifest:
    """A whole version: `model.onnx` of a tiny network that takes what histopathology's does, its recorded answer, and a
    manifest. It appears at once, as a careful copy does."""
    folder = store / name / f".{version}"
    folder.mkdir(parents=True)
    answer = export_onnx(network or tiny_network(seed), (example(),), OUTPUTS, folder / "model.onnx")
    write_answer(folder, answer)
    described = json.loads(read_manifest(NAME).model_dump_json())
    described |= {"name": name, "version": version, "pipeline": NAME}
    described["weights"]["sha256"] = sha256_of(folder / "model.onnx")
    (folder / MANIFEST).write_text(json.dumps(described))
    folder.rename(store / name / version)
    return manifest_in(store / name / version)
