"""Commands of the laboratory, as they are typed."""

from __future__ import annotations

import pytest

from inference.cli.main import main
from tests.inference.champions.runs import Say


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Status, stdout and stderr of a command."""

    def said(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main([str(word) for word in words])
        return (status, *capsys.readouterr())

    return said
