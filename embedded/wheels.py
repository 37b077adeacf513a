"""Where the programs inside the installed wheels are."""

from __future__ import annotations

import importlib.util
from pathlib import Path


def folder_of(package: str) -> Path:
    """The folder of an installed package, found without importing it, which some answer by writing files."""
    found = importlib.util.find_spec(package)
    assert found and found.origin, f"{package} is in requirements.lock"
    return Path(found.origin).parent
