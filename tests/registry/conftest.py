"""A model store that the test may change, served in this very process: what lies there is served, what is taken away
is not."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as configured

from cad_platform.modelserver.configured import get_model_server
from inference.runtime import custody
from inference.runtime.store import manifest_in, read_manifest, version_folder

ORIGINAL = configured.MODEL_STORE


@dataclass(frozen=True)
class Store:
    """`path` holds one ultrasound model at first, in its repository's version."""

    path: Path

    @property
    def version(self) -> str:
        return read_manifest("ultrasound", ORIGINAL).version

    def folder(self, version: str = "") -> Path:
        return self.path / "ultrasound" / (version or self.version)

    def add(self, version: str, weights: bytes | None = None) -> Path:
        """Another version: the same network, or other bytes."""
        shutil.copytree(self.folder(), self.folder(version))
        self._rewrite(version, weights)
        return self.folder(version)

    def exchange(self, weights: bytes) -> None:
        """Other weights under the same version."""
        self._rewrite(self.version, weights)

    def remove(self, version: str = "") -> None:
        """From now on nobody serves it."""
        shutil.rmtree(self.folder(version))

    def _rewrite(self, version: str, weights: bytes | None) -> None:
        """Make the manifest that of the folder and the weights."""
        path = self.folder(version) / "manifest.json"
        manifest = json.loads(path.read_text()) | {"version": version}
        if weights is not None:
            (path.parent / manifest["weights"]["file"]).write_bytes(weights)
            manifest["weights"]["sha256"] = hashlib.sha256(weights).hexdigest()
        path.write_text(json.dumps(manifest))
        self.seal(version)

    def seal(self, version: str = "") -> None:
        """What lies there now is what is meant to be there."""
        folder = self.folder(version)
        metrics = folder / "metrics.json"
        measured = json.loads(metrics.read_text()) | {"weights_sha256": manifest_in(folder).weights.sha256}
        metrics.write_text(json.dumps(measured))
        custody.write(folder, sealed="afterwards", code=custody.NOT_RECORDED)


@pytest.fixture
def store(tmp_path: Path, settings: Any) -> Iterator[Store]:
    manifest = read_manifest("ultrasound", ORIGINAL)
    shutil.copytree(version_folder(manifest, ORIGINAL), tmp_path / "ultrasound" / manifest.version)
    settings.MODEL_STORE = tmp_path
    get_model_server.cache_clear()
    yield Store(tmp_path)
    get_model_server.cache_clear()
