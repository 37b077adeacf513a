"""A case with a server that may fail and a reader at it, for drills; and a platform with a model store of its own, for
tests that put versions into it and take them away."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser

from inference.runtime.store import read_manifest, version_folder
from tests.e2e.administrator import STORE
from tests.live_platform import LivePlatform, running_platform

if TYPE_CHECKING:
    from tests.e2e.lost_and_found import Reader, Reading


@pytest.fixture
def reading(transactional_db: None, tmp_path: Path) -> Iterator[Reading]:
    """A study of three marks, two who read it, and their server."""
    # Models cannot be imported before Django is set up, which is after this file is read.
    from tests.e2e.lost_and_found import Reading

    made = Reading(tmp_path)
    yield made
    made.close()


@pytest.fixture
def anna(chromium: Browser, reading: Reading) -> Iterator[Reader]:
    """The study's reader with the case open."""
    from tests.e2e.lost_and_found import Reader

    reader = Reader(chromium, reading, reading.reader)
    reader.sign_in()
    reader.open_case()
    yield reader
    reader.close()


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
