"""The notebooks run from first cell to last, as Jupyter would run them, cell by cell in one namespace; a
kernel is a dependency that nothing else needs."""

from __future__ import annotations

import ast
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from embedded.state import REPOSITORY

NOTEBOOKS = sorted((REPOSITORY / "docs/notebooks").glob("*.ipynb"))


def cells(notebook: Path, kind: str) -> list[str]:
    told = json.loads(notebook.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in told["cells"] if cell["cell_type"] == kind]


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_runs(notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    names: dict[str, Any] = {"__name__": "__main__"}
    with contextlib.chdir(tmp_path):
        for number, cell in enumerate(cells(notebook, "code"), 1):
            exec(compile(cell, f"{notebook.name}, cell {number}", "exec"), names)


def test_notebooks_are_there_without_what_somebodys_run_left() -> None:
    assert [notebook.stem for notebook in NOTEBOOKS] == ["challenges", "figures"]
    for notebook in NOTEBOOKS:
        told = json.loads(notebook.read_text(encoding="utf-8"))
        assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in told["cells"])
        for cell in cells(notebook, "code"):
            ast.parse(cell)
