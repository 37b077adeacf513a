"""A platform with a model store of its own, for tests that put versions into it and take them away."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from inference.runtime.store import read_manifest, version_folder
from tests.e2e.administrator import STORE
from tests.live_platform import LivePlatform, running_platform


@pytest.fixture(scope="module")
def own_store() -> Iterator[Path]:
    """One ultrasound model, in the repository's version."""
    with tempfile.TemporaryDirectory(prefix="cad-store-") as folder:
        manifest = read_manifest("ultrasound", STORE)
        shutil.copytree(version_folder(manifest, STORE), Path(folder) / "ultrasound" / manifest.version)
        yield Path(folder)


@pytest.fixture(scope="module")
def own_platform(own_store: Path) -> Iterator[LivePlatform]:
    with running_platform(CAD_MODEL_STORE=str(own_store)) as platform:
        yield platform
