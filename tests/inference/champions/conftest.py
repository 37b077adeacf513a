"""Commands of the laboratory, as they are typed."""

from __future__ import annotations

import pytest

from inference.cli.main import main
from tests.inference.champions.runs import Made, Say, exported, made


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Status, stdout and stderr of a command."""

    def said(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main([str(word) for word in words])
        return (status, *capsys.readouterr())

    return said


@pytest.fixture(scope="module")
def one(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A run of the module's `RECIPE` over one published part, exported."""
    run = made(tmp_path_factory.mktemp("one"), request.module.RECIPE, published=True)
    assert exported(run) == 0
    return run
