"""The floors hold: imports planted against them are refused, and no room is without one.

What an app reads of another by a relation's name is held in tests/test_relations.py.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib

import pytest

from embedded.state import REPOSITORY

PACKAGES = ("bench", "cad_platform", "edge", "embedded", "imaging", "inference")
#: A file and what is planted into it → the module that it must not import.
PLANTS = {
    ("cad_platform/core/errors.py", "import cad_platform.operations.relay"): "cad_platform.operations.relay",
    (
        "cad_platform/core/outbox.py",
        "def later():\n    from cad_platform.operations.backup import place",
    ): "cad_platform.operations.backup.place",
    (
        "cad_platform/core/proofs.py",
        "from cad_platform.modalities import modality",
    ): "cad_platform.modalities.modality",
    ("cad_platform/core/triggers.py", "import cad_platform.config.urls"): "cad_platform.config.urls",
    ("cad_platform/audit/words.py", "import cad_platform.accounts.rules"): "cad_platform.accounts.rules",
    (
        "cad_platform/studies/selectors.py",
        "import cad_platform.reading.models",
    ): "cad_platform.reading.models",
    (
        "cad_platform/studies/tasks.py",
        "def later():\n    from cad_platform.reading import services",
    ): "cad_platform.reading.services",
    ("cad_platform/reading/wording.py", "import cad_platform.web.navigation"): "cad_platform.web.navigation",
    ("cad_platform/operations/tasks.py", "import cad_platform.api.problems"): "cad_platform.api.problems",
    ("cad_platform/demo/cases.py", "import bench.latency"): "bench.latency",
    ("cad_platform/studies/storage.py", "import embedded.state"): "embedded.state",
    ("embedded/lock.py", "import cad_platform.core.errors"): "cad_platform.core.errors",
    ("inference/datasets/bach.py", "import inference.recipes.schema"): "inference.recipes.schema",
    ("inference/datasets/busi.py", "import inference.evaluation.metrics"): "inference.evaluation.metrics",
    ("inference/blocks/registry.py", "import inference.runtime.wire"): "inference.runtime.wire",
    (
        "inference/runtime/wire.py",
        "import inference.blocks.networks.arrays",
    ): "inference.blocks.networks.arrays",
    ("inference/progress.py", "import inference.contract"): "inference.contract",
    ("imaging/errors.py", "import inference.contract"): "inference.contract",
    ("imaging/limits.py", "import imaging.reader"): "imaging.reader",
}
#: Allowed: an import for type checking only.
FOR_TYPES = (
    "cad_platform/patients/selectors.py",
    "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import cad_platform.reporting.models",
)


def module_of(path: str) -> str:
    return path.removesuffix(".py").replace("/", ".")


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the rules say of a copy with everything planted, and with rooms and packages that stand on no floor."""
    copy = tmp_path_factory.mktemp("checkout")
    shutil.copy(REPOSITORY / "pyproject.toml", copy)
    for package in PACKAGES:
        shutil.copytree(
            REPOSITORY / package,
            copy / package,
            ignore=shutil.ignore_patterns("*.html", "locale", "static", "__pycache__"),
        )
    for path, line in [*PLANTS, FOR_TYPES]:
        file = copy / path
        file.write_text(f"{file.read_text()}\n\n{line}\n")
    for room in ("cad_platform/annex", "inference/annex", "embedded/annex"):
        (copy / room).mkdir()
        (copy / room / "__init__.py").touch()
    done = subprocess.run(
        [str(REPOSITORY / ".venv" / "bin" / "lint-imports"), "--no-cache", "--no-logo"],
        cwd=copy,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return re.sub(r"\s+", " ", done.stdout)


@pytest.mark.parametrize(
    ("place", "imported"), PLANTS.items(), ids=lambda value: str(value[0]) if value else ""
)
def test_an_import_against_the_floors_is_refused(refused: str, place: tuple[str, str], imported: str) -> None:
    assert f"{module_of(place[0])} -> {imported} " in refused


def test_an_import_for_type_checking_is_none(refused: str) -> None:
    assert f"{module_of(FOR_TYPES[0])} ->" not in refused


@pytest.mark.parametrize("room", ["cad_platform.annex", "inference.annex", "embedded.annex"])
def test_a_room_without_a_floor_is_refused(refused: str, room: str) -> None:
    _, _, forgotten = refused.partition("not listed as layers")
    assert room in forgotten


def test_every_package_of_the_repository_is_under_the_rules() -> None:
    rules = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]
    there = {path.parent.name for path in REPOSITORY.glob("*/__init__.py")} - {"tests"}
    assert there == set(PACKAGES) == set(rules["root_packages"])
