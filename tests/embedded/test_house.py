"""Counting floors, upward imports and knots, on a small house with everything wrong."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from embedded.house import circles, main, survey

RULES = """
[tool.importlinter]
root_packages = ["attic", "villa"]

[[tool.importlinter.contracts]]
name = "villa"
type = "layers"
containers = ["villa"]
layers = ["roof", "hall : stairs", "bath | kitchen", "ground.pump"]
ignore_imports = ["villa.kitchen -> villa.roof"]
"""
MODULES = {
    "villa/__init__.py": "",
    "villa/roof.py": "from villa import hall",
    "villa/hall.py": "import villa.stairs, villa.bath",
    "villa/stairs.py": "def climb():\n    import villa.roof",
    "villa/bath.py": "import villa.kitchen",
    "villa/kitchen.py": "from villa import roof",
    "villa/ground/__init__.py": "",
    "villa/ground/pump.py": "",
    "attic/__init__.py": "",
    "attic/old.py": "import attic.older.box\nimport attic.older.chest",
    "attic/older/__init__.py": "",
    "attic/older/box.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import attic.old",
    "attic/older/chest.py": "def open():\n    from attic import old",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text(textwrap.dedent(RULES))
    for name, text in MODULES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    return tmp_path


def test_what_goes_upward_or_round_is_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _whole, attic, villa = survey(folder)
    assert (villa.rooms, villa.floors) == (6, 4)
    # Sideways between free neighbours is allowed, between those that are apart it is not; the excused one is no fault.
    assert villa.upward == [("villa.bath", "villa.kitchen"), ("villa.stairs", "villa.roof")]
    assert villa.knots == [["villa.bath", "villa.hall", "villa.kitchen", "villa.roof", "villa.stairs"]]
    # Without rules: the fewest imports that must go. One leads back, two forth.
    assert attic.upward == [("attic.older.chest", "attic.old")]
    assert attic.circles == [["attic.old", "attic.older.chest"]]
    assert main([str(folder)]) == 1
    assert "villa.stairs → villa.roof (line 2, in a function)" in capsys.readouterr().out


def test_circles_are_the_parts_that_need_one_another() -> None:
    assert circles([("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("e", "a")]) == [["a", "b", "c"]]
    assert circles([("a", "b"), ("b", "c")]) == []
