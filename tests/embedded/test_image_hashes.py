"""The images install what the locks list, each file by its hash."""

from __future__ import annotations

import re

import pytest

from embedded.lock import HASHED, HASHES
from embedded.state import REPOSITORY

_PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*==[^\s\\;]+)", re.MULTILINE)


@pytest.mark.parametrize("name", HASHED)
def test_every_package_of_the_lock_has_a_hash(name: str) -> None:
    wanted = set(_PIN.findall((REPOSITORY / f"{name}.lock").read_text()))
    torch = (HASHES / "torch.txt").read_text().strip()
    hashed = (HASHES / f"{name}.txt").read_text()
    assert set(_PIN.findall(hashed)) == wanted - {torch}, "run python -m embedded.lock --hashes"
    for package in re.split(r"\n(?=\S)", hashed.strip()):
        assert "--hash=sha256:" in package


def test_torch_alone_has_none() -> None:
    assert re.fullmatch(r"torch==[\d.]+\n", (HASHES / "torch.txt").read_text())
