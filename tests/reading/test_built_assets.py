"""The built front end, as the pages load it."""

from __future__ import annotations

import re

import pytest

from embedded.state import REPOSITORY

ASSETS = REPOSITORY / "frontend" / "dist" / "assets"
ENTRIES = ("app", "viewer", "report")


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_entry_is_built(entry: str) -> None:
    assert (ASSETS / f"{entry}.js").stat().st_size > 0


def test_no_module_imports_an_entry() -> None:
    """Pages load entries under hashed names; an entry imported under its plain name would run twice."""
    imports = re.compile(rf"""(?:from|import)\s*\(?\s*["'`]\./({"|".join(ENTRIES)})\.js""")
    for module in ASSETS.glob("*.js"):
        assert not imports.search(module.read_text(encoding="utf-8")), module.name


def test_nothing_is_loaded_from_elsewhere() -> None:
    """A reading room may have no way out: styles name no other host."""
    for sheet in ASSETS.glob("*.css"):
        assert not re.search(r"url\(\s*[\"']?https?:", sheet.read_text(encoding="utf-8")), sheet.name
