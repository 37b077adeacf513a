"""`bin/test`: what runs when, what is left out and said so, and the database that is kept."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from embedded import checks
from embedded.postgres import SUPERUSER, Postgres
from embedded.state import REPOSITORY, StateFolder
from tests.live_platform import outside_environment


def _pytest(*arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=REPOSITORY,
        env=outside_environment() | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_long_tests_are_left_out_and_counted() -> None:
    told = _pytest("--collect-only", "tests/resilience/test_killed_parts.py")
    assert "long tests left out: 3 (`bin/test --long` runs them too)" in told
    assert "left out" not in _pytest("--collect-only", "--long", "tests/resilience/test_killed_parts.py")


def test_paths_run_alone_on_the_kept_database() -> None:
    stage = checks.some_tests(["tests/core"], ["-x"], long=True)
    assert list(stage.command[-3:]) == ["--long", "tests/core", "-x"]
    assert stage.environment == {"CAD_TEST_STATE": str(checks.KEPT)}


def test_every_stage_has_a_name_of_its_own() -> None:
    names = [stage.name for stage in checks.stages()]
    assert len(set(names)) == len(names)


def test_the_long_ones_run_in_every_stage_of_tests_when_asked() -> None:
    commands = [stage.command for stage in checks.stages(long=True) if "pytest" in stage.command]
    assert len(commands) == 3
    assert all("--long" in command for command in commands)


def test_each_folder_of_tests_is_run_by_one_stage() -> None:
    whole, *beside = [list(stage.command) for stage in checks.stages() if "pytest" in stage.command]
    left_out = {word.removeprefix("--ignore=") for word in whole if word.startswith("--ignore=")}
    elsewhere = [word for command in beside for word in command if word.startswith("tests/")]
    assert "tests" in whole
    assert left_out == set(elsewhere) and len(elsewhere) == len(left_out)


def test_stages_run_side_by_side_and_pytest_has_the_last_word(
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    def says(name: str, words: str, seconds: float = 0, code: int = 0, **where: bool) -> checks.Stage:
        command = f"sleep {seconds}; echo {words}; exit {code}"
        return checks.Stage(name, ["sh", "-c", command], **where)

    stages = [
        says("tests", "the-live-one", 1.5, live=True),
        says("fine", "nothing-to-tell"),
        says("style", "a-fault", code=1),
        says("tests of the laboratory", "the-other-tests", last=True),
    ]
    began = time.monotonic()
    assert checks.run(stages) == 1
    assert time.monotonic() - began < 10
    told = capfdbinary.readouterr().out.decode()
    assert "nothing-to-tell" not in told
    order = [
        "=== fine: passed",
        "=== style: FAILED",
        "a-fault",
        "the-live-one",
        "the-other-tests",
        "FAILED: style",
    ]
    assert [told.index(words) for words in order] == sorted(told.index(words) for words in order)


def test_a_path_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert checks.main(["tests/core/test_nothing.py::test_it"]) == 2
    assert "tests/core/test_nothing.py" in capsys.readouterr().out


@pytest.mark.long
def test_a_kept_database_is_cleaned_and_made_anew_only_for_other_migrations(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "kept")
    some = "tests/patients/test_services.py"
    _pytest(some, CAD_TEST_STATE=str(state.path))
    migrated = state.path / "migrated"
    first = migrated.stat().st_mtime_ns

    postgres = Postgres(state, volatile=True)
    child = postgres.start()
    try:
        with psycopg.connect(postgres.url(SUPERUSER)) as connection:
            connection.execute("CREATE TABLE left_by_a_killed_run (id int)")
            connection.execute("INSERT INTO left_by_a_killed_run VALUES (1)")
    finally:
        child.stop()
    _pytest(some, CAD_TEST_STATE=str(state.path))
    assert migrated.stat().st_mtime_ns == first

    migrated.write_text("other migrations")
    _pytest(some, CAD_TEST_STATE=str(state.path))
    assert migrated.read_text() != "other migrations"
