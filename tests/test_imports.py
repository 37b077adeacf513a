"""A name is imported from the module that defines it: none passes on what it has imported itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from embedded.state import REPOSITORY

PACKAGES = ("bench", "cad_platform", "edge", "embedded", "imaging", "inference")


def passed_on(path: Path) -> Iterator[str]:
    """Each use in this file of a name that the module it is asked of has from elsewhere."""
    tree = tree_of(path)
    modules: dict[str, Path] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or (node.module or "").split(".")[0] not in PACKAGES:
            continue
        for alias in node.names:
            if part := file_of(f"{node.module}.{alias.name}"):
                modules[alias.asname or alias.name] = part
            elif (asked := file_of(str(node.module))) and alias.name in imported_by(asked):
                yield f"{path}:{node.lineno}: {node.module}.{alias.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            asked = modules.get(node.value.id)
            if asked and node.attr in imported_by(asked):
                yield f"{path}:{node.lineno}: {node.value.id}.{node.attr}"


def file_of(module: str) -> Path | None:
    path = REPOSITORY.joinpath(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


@cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


@cache
def imported_by(file: Path) -> frozenset[str]:
    nodes = [node for node in tree_of(file).body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.asname or alias.name for node in nodes for alias in node.names}
    # The settings of a place are those of another, and more.
    return frozenset(names - {"*"})


@pytest.mark.parametrize("package", PACKAGES)
def test_a_name_is_imported_from_where_it_stands(package: str) -> None:
    files = [path for path in (REPOSITORY / package).rglob("*.py") if "migrations" not in path.parts]
    assert [use for path in sorted(files) for use in passed_on(path)] == []


def test_a_name_that_is_passed_on_is_found(tmp_path: Path) -> None:
    planted = tmp_path / "planted.py"
    planted.write_text(
        "from cad_platform.audit import services\n"
        "from cad_platform.audit.services import AuditEvent, record\n"
        "services.AuditEvent, services.record\n"
    )
    assert [use.rpartition(" ")[2] for use in passed_on(planted)] == [
        "cad_platform.audit.services.AuditEvent",
        "services.AuditEvent",
    ]
