"""Blocks are known by their sources and imported one by one."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from inference.blocks import registry
from inference.blocks.description import describe
from inference.blocks.parameters import BlockError, check, make

ROOT = Path(registry.__file__).parents[2]
EVERY = [(family, name) for family in registry.FAMILIES for name in registry.names(family)]


def test_every_family_has_blocks() -> None:
    assert {family for family, _ in EVERY} == set(registry.FAMILIES)
    assert len(EVERY) > 90


def test_no_registration_is_written_so_that_it_is_not_found() -> None:
    sources = [file.read_text(encoding="utf-8") for file in Path(registry.__file__).parent.rglob("*.py")]
    assert sum(source.count("\n@block(") for source in sources) == len(EVERY)


@pytest.mark.parametrize(("family", "name"), EVERY)
def test_a_named_block_is_registered_by_the_module_that_names_it(family: str, name: str) -> None:
    assert callable(registry.factory(family, name))


def test_an_unknown_block_is_told_at_once_with_the_closest_names() -> None:
    begun = time.monotonic()
    with pytest.raises(BlockError, match="no head block 'random_forrest'; did you mean random_forest"):
        check("head", "random_forrest", {})
    assert time.monotonic() - begun < 1


def test_a_typo_imports_no_block_and_a_name_only_its_own() -> None:
    program = (
        "import sys\n"
        "from inference.blocks import registry\n"
        "try:\n    registry.factory('schedule', 'cosin')\nexcept registry.UnknownBlock as error:\n    print(error)\n"
        "registry.factory('schedule', 'cosine')\n"
        "registry.factory('search', 'tpe')\n"
        "print(*sorted({'torch', 'sklearn', 'skimage', 'xgboost', 'optuna'} & set(sys.modules)))"
    )
    ran = subprocess.run(
        (sys.executable, "-c", program), cwd=ROOT, capture_output=True, text=True, check=True
    )
    told, imported = ran.stdout.splitlines()
    assert told.startswith("no schedule block 'cosin'; did you mean cosine?") and imported == ""


def test_a_factory_with_several_names_is_told_which_and_each_name_has_its_own_line() -> None:
    wolves, genes = describe("select", "grey_wolf"), describe("select", "genetic")

    assert make("select", "grey_wolf", {}).name == "grey_wolf"
    assert wolves.summary.startswith("Binary grey wolf") and genes.summary.startswith("Bit-mask chromosomes")
    assert [one.name for one in wolves.parameters] == [
        "head", "head_settings", "price", "agents", "iterations", "folds",
    ]  # fmt: skip
    assert next(one.type for one in wolves.parameters if one.name == "agents") == "int ≥ 1"
    with pytest.raises(BlockError, match="grey_wolf takes no 'name'"):
        check("select", "grey_wolf", {"name": "genetic"})


def test_a_name_is_taken_once_and_a_family_must_be_one() -> None:
    assert registry.factory("schedule", "cosine")
    with pytest.raises(ValueError, match="registered twice"):
        registry.block("schedule", "cosine")(lambda: None)
    with pytest.raises(ValueError, match="no family of blocks"):
        registry.block("schedules", "cosine")
