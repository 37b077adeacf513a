"""The sentences that `imaging` and `inference` give as reasons, read from their code: `%(name)s` for what differs."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

from embedded.state import REPOSITORY

IMAGING_ERRORS = frozenset(
    {
        "ImagingError",
        "NotAnImage",
        "DamagedFile",
        "UnsupportedEncoding",
        "TooLarge",
        "NoSuchFrame",
        "DecoderUnavailable",
    }
)
ANALYSIS_ERRORS = frozenset(
    {
        "AnalysisError",
        "NotApplicable",
        "ImageUnreadable",
        "DecodingUnavailable",
        "ModelServerUnavailable",
        "VersionNotServed",
    }
)


def raised(folder: str, errors: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Each sentence that is given to one of these errors in a package, and the file that it stands in."""
    for path in _sources(folder):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_one = isinstance(node, ast.Call) and _name(node.func) in errors and node.args
            if is_one and (sentence := _template(node.args[0], path)):
                yield sentence, str(path.relative_to(REPOSITORY))


def given(path: str, function: str, keyword: str = "") -> Iterator[str]:
    """Each sentence that is an argument of a function in a file: the last, or the one of a keyword."""
    file = REPOSITORY / path
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and _name(node.func) == function:
            arguments = (
                [each.value for each in node.keywords if each.arg == keyword] if keyword else node.args
            )
            if arguments and (sentence := _template(arguments[-1], file)):
                yield sentence


def not_analysed(folder: str) -> Iterator[tuple[str, str]]:
    """Each sentence that begins with what a refusal begins with."""
    for path in _sources(folder):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant | ast.JoinedStr):
                sentence = _template(node, path)
                if sentence.startswith("not analysed: ") and len(sentence) > len("not analysed: "):
                    yield sentence, str(path.relative_to(REPOSITORY))


def _sources(folder: str) -> list[Path]:
    found = sorted((REPOSITORY / folder).rglob("*.py"))
    return [path for path in found if "phantoms" not in path.parts]


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _template(node: ast.expr, path: Path) -> str:
    """The literal, with a placeholder for each value; a module's own constant is put in. Empty for no literal."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if not isinstance(node, ast.JoinedStr):
        return ""
    parts = []
    for number, value in enumerate(node.values):
        if isinstance(value, ast.Constant):
            parts.append(str(value.value))
            continue
        assert isinstance(value, ast.FormattedValue)
        said = value.value.id if isinstance(value.value, ast.Name) else ""
        constant = _constant(path, said) if said.isupper() else None
        parts.append(constant if isinstance(constant, str) else f"%({said or 'value'}{number})s")
    return "".join(parts)


def _constant(path: Path, name: str) -> object:
    module = ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
    return getattr(importlib.import_module(module), name, None)
