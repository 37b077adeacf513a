"""The lock files pin everything that the requirements lead to, and name no index."""

from __future__ import annotations

import re

import pytest

from embedded.lock import SETS, closure
from embedded.state import REPOSITORY


def _pins(name: str) -> set[str]:
    lines = (REPOSITORY / name).read_text().splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def test_each_lock_is_what_its_requirements_lead_to_beyond_the_earlier_ones() -> None:
    known: set[str] = set()
    for name in SETS:
        wanted = set(closure(REPOSITORY / f"{name}.in").values())
        assert _pins(f"{name}.lock") == wanted - known, name
        known |= wanted


@pytest.mark.parametrize("name", [f"{name}.lock" for name in SETS])
def test_a_lock_holds_exact_versions_and_nothing_else(name: str) -> None:
    assert [pin for pin in _pins(name) if not re.fullmatch(r"[a-z0-9-]+==[0-9][A-Za-z0-9.]*", pin)] == []


@pytest.mark.parametrize("folder", ["frontend", "tests/e2e"])
def test_an_npm_lock_names_no_registry(folder: str) -> None:
    assert '"resolved"' not in (REPOSITORY / folder / "package-lock.json").read_text()
