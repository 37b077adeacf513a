"""Nobody but a modality's own file writes its code: what differs by modality is said there, and asked for elsewhere.

Migrations, tests and the demo's collected cases are aside. Read as Python, not searched, so that neither a comment
nor a size in a table counts.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from cad_platform import modalities
from embedded.state import REPOSITORY

PYTHON = ("bench", "cad_platform", "embedded", "imaging", "inference", "bin", "docker")
PAGES = ("cad_platform", "frontend/src")
PAGE_SUFFIXES = {".css", ".html", ".js", ".ts", ".typ"}
ASIDE = {"demo", "locale", "migrations", "node_modules"}
ROOM = REPOSITORY / "cad_platform" / "modalities"
#: Made from the OpenAPI file, whose enumerations come from the registry.
GENERATED = REPOSITORY / "frontend" / "src" / "api_types.ts"
#: Files that must write a code, and why.
ALLOWED = {
    "bench/scale.py": "fills a database with made-up studies",
    "bench/scale_fill.py": "fills a database with made-up studies",
    "imaging/phantoms/malformed.py": "writes a DICOM header",
    "imaging/phantoms/mammography.py": "writes a DICOM header",
    "imaging/phantoms/ultrasound.py": "writes a DICOM header",
    "inference/datasets/generated/pictures.py": "writes a DICOM header",
}


def codes_in_python(source: str) -> list[int]:
    """Lines with a text that is a modality's code, or a list of nothing but codes such as "MG,US"."""
    code = "|".join(map(re.escape, modalities.codes()))
    only_codes = re.compile(rf"(?:{code})(?:[\s,|/]+(?:{code}))*")
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and only_codes.fullmatch(node.value.strip())
    ]


def codes_in_page(text: str) -> list[int]:
    """Lines of a template, a style or a script with a modality's code as a word of its own, in any position."""
    code = re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(map(re.escape, modalities.codes()))})(?![A-Za-z0-9])")
    return [number for number, line in enumerate(text.splitlines(), start=1) if code.search(line)]


def _is_aside(path: Path) -> bool:
    if path == GENERATED or path.is_relative_to(ROOM):
        return True
    return bool(ASIDE & set(path.parts)) or path.name.endswith(".test.ts")


def _is_python(path: Path) -> bool:
    return path.suffix == ".py" or (
        path.parent.name == "bin" and path.read_bytes().startswith(b"#!/usr/bin/env py")
    )


def _sources() -> list[Path]:
    scripts = [path for place in PYTHON for path in (REPOSITORY / place).rglob("*") if path.is_file()]
    pages = [
        path for place in PAGES for path in (REPOSITORY / place).rglob("*") if path.suffix in PAGE_SUFFIXES
    ]
    return [path for path in sorted({*scripts, *pages}) if not _is_aside(path)]


def test_no_code_stands_outside_its_room() -> None:
    found = []
    for path in _sources():
        name = str(path.relative_to(REPOSITORY))
        if path.suffix in PAGE_SUFFIXES:
            lines = codes_in_page(path.read_text())
        elif _is_python(path):
            lines = codes_in_python(path.read_text())
        else:
            continue
        if name not in ALLOWED:
            found += [f"{name}:{line}" for line in lines]
        else:
            assert lines, f"{name} needs no exception any more"
    assert found == [], "ask cad_platform.modalities (docs/contributing/add-a-modality.md)"


def test_only_one_class_is_called_modality() -> None:
    defined = [
        path
        for path in _sources()
        if _is_python(path)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and node.name == "Modality"
    ]
    assert defined == []


@pytest.mark.parametrize(
    "source",
    [
        'if study.modality == "MG":\n    pass',
        'KINDS = ("US", "CT")',
        'WORDS = {"SM": 1}',
        'modality: Literal["MG"]',
        'class Kind(StrEnum):\n    SLIDE = "SM"',
        'parser.add_argument("--modality", choices="MG,US,SM".split(","))',
        'def f(modality="US"): ...',
    ],
)
def test_a_code_in_python_would_be_seen(source: str) -> None:
    assert codes_in_python(source)


def test_what_is_no_code_is_not_taken_for_one() -> None:
    assert (
        codes_in_python('# the MG of old\nSIZES = {"S": 1, "SMALL": 2}\nname = "US dollars"\nlower = "sm"')
        == []
    )


@pytest.mark.parametrize(
    "text",
    [
        '{% if study.modality == "MG" %}',
        '<abbr class="modality modality--US">',
        "if (description.modality === 'SM') {",
        ".modality--MG { color: red; }",
        "<option value=SM>",
    ],
)
def test_a_code_in_a_page_would_be_seen(text: str) -> None:
    assert codes_in_page(text) == [1]


def test_a_page_may_have_longer_words_with_the_same_letters() -> None:
    assert codes_in_page("const USED = 'SMALL'; // MGM, px-sm, us") == []
