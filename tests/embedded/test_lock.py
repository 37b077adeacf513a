"""The lock files pin everything that the requirements lead to, and name no index."""

from __future__ import annotations

import re

import pytest

from embedded.lock import closure
from embedded.state import REPOSITORY


def _pins(name: str) -> set[str]:
    lines = (REPOSITORY / name).read_text().splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def test_the_runtime_lock_is_what_the_requirements_lead_to() -> None:
    assert _pins("requirements.lock") == set(closure(REPOSITORY / "requirements.in").values())


def test_the_development_lock_adds_the_rest() -> None:
    runtime, development = _pins("requirements.lock"), _pins("requirements-dev.lock")
    assert set(closure(REPOSITORY / "requirements-dev.in").values()) <= runtime | development
    assert not runtime & development


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_holds_exact_versions_and_nothing_else(name: str) -> None:
    assert [pin for pin in _pins(name) if not re.fullmatch(r"[a-z0-9-]+==[0-9][A-Za-z0-9.]*", pin)] == []


@pytest.mark.parametrize("folder", ["frontend", "tests/e2e"])
def test_an_npm_lock_names_no_registry(folder: str) -> None:
    assert '"resolved"' not in (REPOSITORY / folder / "package-lock.json").read_text()
