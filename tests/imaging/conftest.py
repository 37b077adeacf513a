"""Phantoms made once for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from imaging.phantoms import histology, ultrasound
from imaging.phantoms.phantom import Phantom


@pytest.fixture(scope="session")
def scan() -> Phantom:
    return ultrasound.phantom(3, "malignant", rows=160, columns=200)


@pytest.fixture(scope="session")
def section() -> Phantom:
    """A small section on glass, 1400×1100 at 0.5 µm per pixel."""
    return histology.slide(5, shape=(1100, 1400))


@pytest.fixture(scope="session")
def section_file(section: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slides") / "section.tif"
    histology.write_slide(section, path)
    return path
