"""`bin/test`: set up what is missing, then every check and test, against the real services.

bin/test                      every check, then every test but the long ones
bin/test --long               the drills and sweeps, too
bin/test PATH...              only these tests, at once, on a database kept in .local-test/ between runs
bin/test --only NAME          only the stage of that name

Stages run in order and all of them run, so that one run tells everything; pytest comes last and has the last
word unless something before it failed. The laboratory's tests need neither services nor the platform: they run
beside the others, in a process of their own, and print when both are done. Arguments after `--` go to pytest, which
then runs once.
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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from embedded import bootstrap
from embedded.state import REPOSITORY, StateError

_BIN = bootstrap.VENV / "bin"
_TYPED = ("cad_platform", "embedded", "imaging", "inference", "tests/imaging/sandbox_types.py")
_STOP_SECONDS = 60
#: For tools that read the settings and connect to nothing.
_SETTINGS_ONLY = {
    "CAD_SECRET_KEY": "a-key-for-checks-only-that-is-long-enough-for-the-deployment-check-0123456789",
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


@dataclass(frozen=True)
class Stage:
    """One check: its name, its command, what it needs in the environment, and a command that runs beside it."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    beside: Sequence[str] = ()


def stages(pytest_arguments: Sequence[str] = (), *, long: bool = False) -> list[Stage]:
    """Every check, the quickest first, the tests last.

    Parameters
    ----------
    pytest_arguments
        For pytest, which then runs once over all tests.
    long
        Whether the drills and sweeps run as well.
    """
    python = str(bootstrap.PYTHON)
    pytest = [python, "-m", "pytest", "--durations=20", *(["--long"] if long else [])]
    elsewhere = [f"--ignore={folder}" for folder in _LABORATORY]
    node = str(bootstrap.NODE / "bin" / "node")
    typescript = [node, "frontend/node_modules/typescript/bin/tsc"]
    eslint = [node, "frontend/node_modules/eslint/bin/eslint.js"]
    prettier = [node, "frontend/node_modules/prettier/bin/prettier.cjs"]
    vitest = [node, "frontend/node_modules/vitest/vitest.mjs", "run"]
    return [
        Stage("style", [str(_BIN / "ruff"), "check"]),
        Stage("format", [str(_BIN / "ruff"), "format", "--check"]),
        Stage("import rules", [str(_BIN / "lint-imports")]),
        Stage("house", [python, "-m", "embedded.house"]),
        Stage(
            "migrations",
            [python, "-W", "ignore", "manage.py", "makemigrations", "--check", "--dry-run"],
            _SETTINGS_ONLY,
        ),
        Stage(
            "deployment", [python, "manage.py", "check", "--deploy", "--fail-level", "WARNING"], _PRODUCTION
        ),
        Stage("style of the front end", [*eslint, "frontend"]),
        Stage(
            "format of the front end",
            [*prettier, "--check", "--ignore-path", "frontend/.prettierignore", "frontend"],
        ),
        Stage("types of the front end", [*typescript, "-p", "frontend", "--noEmit"]),
        Stage("unit tests of the front end", [*vitest, "--root", "frontend"]),
        Stage("types", [python, "-m", "mypy", *_TYPED], _SETTINGS_ONLY),
        Stage("tests", [*pytest, *pytest_arguments])
        if pytest_arguments
        else Stage("tests", [*pytest, "tests", *elsewhere], beside=[*pytest, *_LABORATORY]),
    ]


def some_tests(paths: Sequence[str], pytest_arguments: Sequence[str], *, long: bool = False) -> Stage:
    """Only the tests of these paths, on the database that is kept between such runs."""
    command = [str(bootstrap.PYTHON), "-m", "pytest", *(["--long"] if long else [])]
    return Stage("tests", [*command, *paths, *pytest_arguments], {"CAD_TEST_STATE": str(KEPT)})


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


def run(wanted: Sequence[Stage]) -> int:
    """Run the stages, each with its outcome and time; 0 when all passed."""
    failed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="cad-checks-") as folder:
        for stage in wanted:
            print(f"=== {stage.name}", flush=True)
            started = time.monotonic()
            environment = {
                **os.environ,
                "CAD_STATE_DIR": folder,
                "PYTHONUNBUFFERED": "1",
                **stage.environment,
            }
            code = _run(stage, environment)
            if code:
                failed.append(stage.name)
            if stage.name != "tests":
                outcome = "FAILED" if code else "passed"
                print(f"=== {stage.name}: {outcome} in {time.monotonic() - started:.0f} s\n", flush=True)
    if failed:
        print(f"FAILED: {', '.join(failed)}", flush=True)
    return 1 if failed else 0


def _run(stage: Stage, environment: Mapping[str, str]) -> int:
    """The exit code of the stage's command, or of the one beside it if only that failed."""
    with tempfile.TemporaryFile() as output:
        processes = [subprocess.Popen(stage.command, cwd=REPOSITORY, env=environment)]
        if stage.beside:
            beside = subprocess.Popen(
                stage.beside, cwd=REPOSITORY, env=environment, stdout=output, stderr=subprocess.STDOUT
            )
            processes.append(beside)
        codes = _wait_for(processes)
        output.seek(0)
        sys.stdout.flush()
        shutil.copyfileobj(output, sys.stdout.buffer)
        sys.stdout.flush()
    return next((code for code in codes if code), 0)


def _wait_for(processes: Sequence[subprocess.Popen[bytes]]) -> list[int]:
    """The exit codes; asked to end, first let the stage end what it has started."""

    # The terminal interrupts all of us; a SIGTERM comes here alone.
    def end(*_: object) -> None:
        for process in processes:
            process.terminate()

    signal.signal(signal.SIGTERM, end)
    try:
        return [process.wait() for process in processes]
    except KeyboardInterrupt:
        for process in processes:
            process.wait(_STOP_SECONDS)
        raise
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
