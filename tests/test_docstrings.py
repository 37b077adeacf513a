"""Docstrings have one dialect: NumPy's sections, underlined."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from embedded.state import REPOSITORY

ROOTS = ("bench", "cad_platform", "edge", "embedded", "imaging", "inference")
SECTION = re.compile(r"^\s*(Args|Arguments|Parameters|Returns|Yields|Raises):?\s*$", re.MULTILINE)
UNDERLINED = re.compile(r"^( *)(Parameters|Returns|Yields|Raises)\n\1(-+)$", re.MULTILINE)


def other_sections(source: str) -> Iterator[str]:
    """The name and the section of every docstring that has one without its underline."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node) or ""
            proper = {match[2] for match in UNDERLINED.finditer(text) if len(match[2]) == len(match[3])}
            for match in SECTION.finditer(text):
                if match[1] not in proper:
                    yield f"{getattr(node, 'name', 'module')}: {match[0].strip()}"


@pytest.mark.parametrize("root", ROOTS)
def test_sections_are_underlined(root: str) -> None:
    found = [
        f"{path.relative_to(REPOSITORY)}: {each}"
        for path in sorted((REPOSITORY / root).rglob("*.py"))
        for each in other_sections(path.read_text())
    ]
    assert found == []


@pytest.mark.parametrize(
    ("docstring", "faults"),
    [
        ("One line.", 0),
        ("More.\n\n    Raises\n    ------\n    ValueError\n        Why.\n    ", 0),
        ("More.\n\n    Raises:\n        ValueError: why.\n    ", 1),
        ("More.\n\n    Raises\n    ---\n    ValueError\n    ", 1),
        ("More.\n\n    Args:\n        x: what.\n    ", 1),
    ],
)
def test_the_rule_sees_other_dialects(docstring: str, faults: int) -> None:
    assert len(list(other_sections(f'def f(x):\n    """{docstring}"""\n'))) == faults
