"""`bin/test`: set up what is missing, then every check and test, against the real services.

bin/test                      every check, then every test but the long ones
bin/test --long               the drills and sweeps, too
bin/test PATH...              only these tests, at once, on a database kept in .local-test/ between runs
bin/test --only NAME          only the stage of that name

All stages run, so that one run tells everything, three at a time, since tests with a browser wait more than they
compute: the tests of the platform and, beside them, the checks, the laboratory's tests, which need no services, and
those of the API, of reports and of what lies below them on a database of their own.
A stage's words are printed when it is done, those of the platform's tests as they come; pytest has the last word unless
something failed. Arguments after `--` go to pytest, which then runs once.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

from embedded import bootstrap
from embedded.package_managers import NODE, PYTHON, VENV
from embedded.state import REPOSITORY, StateError

_BIN = VENV / "bin"
_TYPED = ("cad_platform", "edge", "embedded", "imaging", "inference", "tests/imaging/sandbox_types.py")
_STOP_SECONDS = 60
#: For tools that read the settings and connect to nothing.
_SETTINGS_ONLY = {
    "CAD_SECRET_KEY": "only-for-checks-" * 5,
    "DATABASE_URL": "postgresql://checks@/checks",
    "CAD_BROKER_URL": "redis://127.0.0.1/0",
}
_PRODUCTION = _SETTINGS_ONLY | {
    "DJANGO_SETTINGS_MODULE": "cad_platform.config.settings.production",
    "CAD_ALLOWED_HOSTS": "cad.hospital.example",
}


#: The database of runs that name their tests; bin/test PATH is the only one to use it.
KEPT = REPOSITORY / ".local-test"
#: Tests that only compute.
_LABORATORY = ("tests/inference", "tests/imaging")
#: Tests that need a database, but not the one running platform that others share; what balances the lanes.
_INTERFACES = (
    "tests/api",
    "tests/analysis",
    "tests/field",
    "tests/modelserver",
    "tests/quality",
    "tests/reading",
    "tests/reporting",
    "tests/studies",
)


@dataclass(frozen=True)
class Stage:
    """One check.

    Attributes
    ----------
    name
        What `--only` calls it.
    command
        What runs, in the repository's root.
    environment
        What it needs beside the caller's.
    live
        Its words are shown as they come.
    last
        Its words are shown after the live stage's.
    counts
        Its words are shown even where it passes.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    live: bool = False
    last: bool = False
    counts: bool = False


@dataclass
class _Running:
    stage: Stage
    process: subprocess.Popen[bytes]
    output: IO[bytes]
    started: float


def stages(pytest_arguments: Sequence[str] = (), *, long: bool = False) -> list[Stage]:
    """Every check, in the order in which they start: the longest first, beside it the quick ones.

    Parameters
    ----------
    pytest_arguments
        For pytest, which then runs once over all tests.
    long
        Whether the drills and sweeps run as well.
    """
    python = str(PYTHON)
    pytest = [python, "-m", "pytest", "--durations=20", *(["--long"] if long else [])]
    elsewhere = [f"--ignore={folder}" for folder in (*_LABORATORY, *_INTERFACES)]
    node = str(NODE / "bin" / "node")
    typescript = [node, "frontend/node_modules/typescript/bin/tsc"]
    eslint = [node, "frontend/node_modules/eslint/bin/eslint.js"]
    prettier = [node, "frontend/node_modules/prettier/bin/prettier.cjs"]
    vitest = [node, "frontend/node_modules/vitest/vitest.mjs", "run"]
    tests = [Stage("tests", [*pytest, *pytest_arguments], live=True)]
    beside = []
    if not pytest_arguments:
        tests = [Stage("tests", [*pytest, "tests", *elsewhere], live=True)]
        beside = [
            Stage("tests of the laboratory", [*pytest, *_LABORATORY], last=True),
            Stage("tests of the API, cases and reports", [*pytest, *_INTERFACES], last=True),
        ]
    return [
        *tests,
        Stage("style", [str(_BIN / "ruff"), "check"]),
        Stage("format", [str(_BIN / "ruff"), "format", "--check"]),
        Stage("import rules", [str(_BIN / "lint-imports")]),
        Stage("house", [python, "-m", "embedded.house"], counts=True),
        Stage(
            "migrations",
            [python, "-W", "ignore", "manage.py", "makemigrations", "--check", "--dry-run"],
            _SETTINGS_ONLY,
        ),
        Stage(
            "deployment", [python, "manage.py", "check", "--deploy", "--fail-level", "WARNING"], _PRODUCTION
        ),
        Stage("templates", [str(_BIN / "djlint"), "cad_platform", "--lint", "--quiet"]),
        Stage("secrets", [python, "-m", "embedded.secrets_check"]),
        Stage("style of the front end", [*eslint, "frontend"]),
        Stage(
            "format of the front end",
            [*prettier, "--check", "--ignore-path", "frontend/.prettierignore", "frontend"],
        ),
        Stage("types of the API's answers", [python, "-m", "embedded.api_types", "--check"]),
        Stage("types of the front end", [*typescript, "-p", "frontend", "--noEmit"]),
        Stage("unit tests of the front end", [*vitest, "--root", "frontend"]),
        Stage("types", [python, "-m", "mypy", *_TYPED], _SETTINGS_ONLY),
        *beside,
    ]


def some_tests(paths: Sequence[str], pytest_arguments: Sequence[str], *, long: bool = False) -> Stage:
    """Only the tests of these paths, on the database that is kept between such runs."""
    command = [str(PYTHON), "-m", "pytest", *(["--long"] if long else [])]
    return Stage("tests", [*command, *paths, *pytest_arguments], {"CAD_TEST_STATE": str(KEPT)}, live=True)


def main(arguments: list[str]) -> int:
    """Set up, choose the stages, run them; the exit code."""
    ours, theirs = arguments, []
    if "--" in arguments:
        at = arguments.index("--")
        ours, theirs = arguments[:at], arguments[at + 1 :]
    parser = argparse.ArgumentParser(
        prog="bin/test",
        usage="bin/test [--long] [--only NAME] [PATH ...] [-- PYTEST OPTIONS]",
        description=(__doc__ or "").partition("\n\n")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--long", action="store_true", help="run the drills and sweeps, too")
    parser.add_argument("--only", metavar="NAME", help="run only the stage of that name")
    parser.add_argument("paths", nargs="*", metavar="PATH", help="files, folders or tests to run alone")
    options = parser.parse_args(ours)
    missing = [path for path in options.paths if not (REPOSITORY / path.partition("::")[0]).exists()]
    if missing:
        print(f"There is no {missing[0]}: name files or folders of tests/ (as seen from {REPOSITORY}).")
        return 2
    try:
        bootstrap.set_up(tests=True)
    except StateError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if options.paths and options.only in {None, "tests"}:
        wanted = [some_tests(options.paths, theirs, long=options.long)]
    else:
        every = stages([*options.paths, *theirs], long=options.long)
        wanted = [stage for stage in every if options.only in {None, stage.name}]
    if not wanted:
        names = ", ".join(repr(stage.name) for stage in stages())
        print(f"There is no stage {options.only!r}: choose one of {names}.", file=sys.stderr)
        return 2
    try:
        return run(wanted)
    except KeyboardInterrupt:
        return 130


def run(wanted: Sequence[Stage], *, lanes: int = 3) -> int:
    """Run the stages, so many at a time, each with its outcome and time; 0 when all passed."""
    failed: list[str] = []
    waiting, running, held = list(wanted), list[_Running](), list[_Running]()
    with tempfile.TemporaryDirectory(prefix="cad-checks-") as folder, _ended_together(running):
        while waiting or running:
            while waiting and len(running) < lanes:
                running.append(_start(waiting.pop(0), folder))
            time.sleep(0.05)
            for entry in [entry for entry in running if entry.process.poll() is not None]:
                running.remove(entry)
                failed += [entry.stage.name] if entry.process.returncode else []
                if entry.stage.last and any(other.stage.live for other in running):
                    held.append(entry)
                else:
                    _tell(entry)
        for entry in held:
            _tell(entry)
    if failed:
        print(f"FAILED: {', '.join(failed)}", flush=True)
    return 1 if failed else 0


def _start(stage: Stage, state: str) -> _Running:
    environment = {**os.environ, "CAD_STATE_DIR": state, "PYTHONUNBUFFERED": "1", **stage.environment}
    output = tempfile.TemporaryFile()  # noqa: SIM115  (closed when its words are told)
    if stage.live:
        print(f"=== {stage.name}", flush=True)
    process = subprocess.Popen(
        stage.command,
        cwd=REPOSITORY,
        env=environment,
        stdout=None if stage.live else output,
        stderr=None if stage.live else subprocess.STDOUT,
    )
    return _Running(stage, process, output, time.monotonic())


def _tell(entry: _Running) -> None:
    """A check's outcome, then what it has said; pytest's outcome is its own last line."""
    if entry.stage.live:
        return
    outcome = "FAILED" if entry.process.returncode else "passed"
    took = time.monotonic() - entry.started
    words = "" if entry.stage.last else f": {outcome} in {took:.0f} s"
    print(f"\n=== {entry.stage.name}{words}", flush=True)
    with entry.output as output:
        output.seek(0)
        # What went well has nothing to tell, but for tests and figures.
        if entry.process.returncode or entry.stage.last or entry.stage.counts:
            shutil.copyfileobj(output, sys.stdout.buffer)
            sys.stdout.flush()


@contextmanager
def _ended_together(running: Sequence[_Running]) -> Iterator[None]:
    """Asked to end, let the stages end what they have started first."""

    # The terminal interrupts all of us; a SIGTERM comes here alone.
    def end(*_: object) -> None:
        for entry in running:
            entry.process.terminate()
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    except KeyboardInterrupt:
        for entry in running:
            entry.process.wait(_STOP_SECONDS)
        raise
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
