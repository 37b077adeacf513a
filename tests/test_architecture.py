"""What import-linter cannot say: edges query no model, and the laboratory loads only when there is work."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PLATFORM = REPOSITORY / "cad_platform"
EDGES = {"views.py", "api.py", "tasks.py"}
MANAGERS = {"objects", "_default_manager", "_base_manager"}
#: What the platform may import from the laboratory when it is itself imported.
CONTRACT = "inference.contract"


def _sources() -> list[Path]:
    return [path for path in sorted(PLATFORM.rglob("*.py")) if "migrations" not in path.parts]


def _edges() -> list[Path]:
    return [
        path
        for path in _sources()
        if path.name in EDGES
        or path.stem.endswith("_views")
        or "views" in path.relative_to(PLATFORM).parts
        or (path.is_relative_to(PLATFORM / "api") and path.name != "idempotency.py")
    ]


def _only_read() -> list[Path]:
    """Selectors and presenters, which change nothing, and what makes pixels of files."""
    stems = ("selectors", "presenters", "pixels")
    return [path for path in _sources() if path.stem in stems or path.stem.endswith("_presenter")]


def _name(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def model_queries(source: str) -> list[int]:
    """Lines of a source that reach for a model's manager."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and node.attr in MANAGERS
    ]


def hand_built_answers(source: str) -> list[int]:
    """Lines of a source that answer with JSON, or describe it, by other means than a pydantic model."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom | ast.Import) and "rest_framework.serializers" in _imported(node):
            found.append(node.lineno)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            answers = node.func.id in {"JsonResponse", "Response"}
            if answers and node.args and isinstance(node.args[0], ast.Dict):
                found.append(node.lineno)
    return found


def _imported(node: ast.Import | ast.ImportFrom) -> set[str]:
    names = {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom) and node.module:
        return {node.module, *(f"{node.module}.{name}" for name in names)}
    return names


def records_by_itself(source: str) -> bool:
    """Whether a source reaches for audit's recorder."""
    recorder = "cad_platform.audit.services"
    imported: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            imported |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
    return recorder in imported


def imports_at_load(source: str) -> list[str]:
    """Modules that a source imports when it is imported: not those inside functions or for type checking."""

    def walk(nodes: list[ast.stmt]) -> Iterator[str]:
        for node in nodes:
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield from (
                    f"{node.module}.{alias.name}" if node.module == "inference" else node.module
                    for alias in node.names
                )
            elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                yield from walk(node.orelse)
            elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                for field in ("body", "orelse", "finalbody", "handlers"):
                    yield from walk(getattr(node, field, []))

    return list(walk(ast.parse(source).body))


@pytest.mark.parametrize("path", _edges(), ids=_name)
def test_an_edge_queries_no_model(path: Path) -> None:
    assert model_queries(path.read_text()) == []


@pytest.mark.parametrize("path", [*_edges(), *_only_read()], ids=_name)
def test_what_was_seen_is_recorded_by_the_service_that_opens_it(path: Path) -> None:
    assert not records_by_itself(path.read_text())


@pytest.mark.parametrize("path", _sources(), ids=_name)
def test_the_platform_loads_only_the_contract_of_the_laboratory(path: Path) -> None:
    loaded = [name for name in imports_at_load(path.read_text()) if name.split(".")[0] == "inference"]
    assert set(loaded) <= {CONTRACT}


@pytest.mark.parametrize(
    "source",
    [
        "from cad_platform.audit.services import record\n",
        "from cad_platform.audit import services as audit\n",
        "def view(request):\n    import cad_platform.audit.services\n",
    ],
)
def test_a_recorder_in_an_edge_would_be_seen(source: str) -> None:
    assert records_by_itself(source)
    assert not records_by_itself("from cad_platform.audit import selectors\n")


@pytest.mark.parametrize("path", _edges(), ids=_name)
def test_an_edge_answers_json_by_a_model(path: Path) -> None:
    assert hand_built_answers(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "from rest_framework import serializers",
        "from rest_framework.serializers import Serializer",
        "import rest_framework.serializers",
        "JsonResponse({'ready': True})",
        "Response({**facts}, status=200)",
    ],
)
def test_a_hand_built_answer_would_be_seen(source: str) -> None:
    assert hand_built_answers(source) == [1]


def test_the_addresses_of_an_image_are_composed_in_one_place() -> None:
    named = [_name(path) for path in _sources() if '"image-metadata"' in path.read_text()]
    assert named == ["cad_platform/api/image_urls.py", "cad_platform/studies/addresses.py"]


def test_a_query_in_an_edge_would_be_seen() -> None:
    assert model_queries("def view(request):\n    return Study.objects.all()\n") == [2]


def test_an_import_at_load_would_be_seen_and_a_lazy_one_is_allowed() -> None:
    source = (
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from inference.training import loop\n"
        "try:\n    import inference.runtime.analyse\nexcept ImportError:\n    pass\n"
        "from inference import cli\n"
        "def analyse():\n    from inference.runtime import store\n"
    )
    assert imports_at_load(source) == ["typing", "inference.runtime.analyse", "inference.cli"]
