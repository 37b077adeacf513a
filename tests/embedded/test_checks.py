"""`bin/test`: what runs when, what is left out and said so, and the database that is kept."""

from __future__ import annotations

import subprocess
import sys
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
    told = _pytest("--collect-only", "tests/resilience")
    assert "long tests left out: 3 (`bin/test --long` runs them too)" in told
    assert "left out" not in _pytest("--collect-only", "--long", "tests/resilience")


def test_paths_run_alone_on_the_kept_database() -> None:
    stage = checks.some_tests(["tests/core"], ["-x"], long=True)
    assert list(stage.command[-3:]) == ["--long", "tests/core", "-x"]
    assert stage.environment == {"CAD_TEST_STATE": str(checks.KEPT)}


def test_every_stage_has_a_name_of_its_own_and_the_tests_come_last() -> None:
    names = [stage.name for stage in checks.stages()]
    assert len(set(names)) == len(names)
    assert names[-1] == "tests"


def test_the_long_ones_run_on_both_sides_when_asked() -> None:
    stage = checks.stages(long=True)[-1]
    assert "--long" in stage.command
    assert "--long" in stage.beside


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
