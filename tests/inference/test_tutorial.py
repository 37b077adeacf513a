"""The tutorial works as it is written: its files are written, its commands run, in a copy of the laboratory."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from embedded.state import REPOSITORY
from tests.inference.tutorial_blocks import blocks_of

TUTORIAL = (REPOSITORY / "docs/tutorial.md").read_text()


@pytest.fixture
def laboratory(tmp_path: Path) -> Path:
    for package in ("imaging", "inference"):
        shutil.copytree(
            REPOSITORY / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    return tmp_path


def ran(laboratory: Path, *command: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, *command], cwd=laboratory, env=kept | {"OMP_NUM_THREADS": "1"}, capture_output=True,
        text=True, check=False, timeout=1500,
    )  # fmt: skip


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_every_block_runs_in_its_order(laboratory: Path) -> None:
    said: dict[str, str] = {}
    for block in blocks_of(TUTORIAL):
        if block.words == "not run here":
            continue
        if block.language == "sh":
            for line in block.text.splitlines():
                interpreter, *arguments = shlex.split(line, comments=True)
                assert interpreter == "python"
                done = ran(laboratory, *arguments)
                # A proof that fails is an answer too; the tutorial says so.
                allowed = (0, 1) if "prove" in arguments else (0,)
                assert done.returncode in allowed, f"{line}\n{done.stdout}{done.stderr}"
                assert "Traceback" not in done.stderr, done.stderr
                said[line] = done.stdout
        elif block.words == "check":
            done = ran(laboratory, "-c", block.text)
            assert done.returncode == 0, done.stderr
        else:
            place = laboratory / block.words
            assert place.parent.is_dir() and not place.exists(), "a new file in a folder that is there"
            place.write_text(block.text)
    assert "rings: {number: int = 4}" in said["python -m inference blocks features"]
    proof = laboratory / "inference/recipes/proofs/rings_tutorial.json"
    assert "rings_tutorial" in said["python -m inference prove rings_tutorial"] or proof.exists()


def test_the_tutorial_has_all_that_it_speaks_of() -> None:
    """Quick: a block that no test would run is a block that nobody has seen run."""
    blocks = blocks_of(TUTORIAL)
    assert [block.words for block in blocks if block.language in ("python", "yaml")] == [
        "inference/blocks/features/rings.py", "check", "inference/recipes/rings_tutorial.yaml",
    ]  # fmt: skip
    assert all(block.language in ("python", "yaml", "sh") for block in blocks)
    assert not (REPOSITORY / "inference/blocks/features/rings.py").exists()
