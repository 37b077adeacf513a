"""`bin/dev`: the demo's platform, which takes up what you change without a restart.

Python is loaded anew by the processes that hold it, the web server first. TypeScript and style sheets are built as
they are saved and show when the page is loaded again; templates show at once, translations after they are compiled.
The state folder is the demo's (CAD_STATE_DIR, default .local/), so the two do not run at the same time.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from embedded import bootstrap
from embedded.package_managers import NODE, PYTHON
from embedded.process import Child, Command
from embedded.state import REPOSITORY, StateError, StateFolder, port_in_environment

#: What the processes of the platform import.
FOLDERS = tuple(REPOSITORY / package for package in ("cad_platform", "imaging", "inference"))
_LOOK_SECONDS = 0.25


class Sources:
    """The files that running processes were started from."""

    def __init__(self, folders: Iterable[Path] = FOLDERS) -> None:
        self._folders = tuple(folders)
        self._seen = self._modification_times()
        self._looked_at = time.monotonic()

    def changed(self) -> list[Path]:
        """What was written, added or removed since the last call; looks at most four times a second."""
        if time.monotonic() - self._looked_at < _LOOK_SECONDS:
            return []
        now = self._modification_times()
        self._looked_at = time.monotonic()
        before, self._seen = self._seen, now
        return sorted(path for path in before.keys() | now.keys() if before.get(path) != now.get(path))

    def _modification_times(self) -> dict[Path, int]:
        found: dict[Path, int] = {}
        pending = [os.fspath(folder) for folder in self._folders]
        while pending:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        if entry.name != "__pycache__":
                            pending.append(entry.path)
                    elif entry.name.endswith((".py", ".po")):
                        try:
                            found[Path(entry.path)] = entry.stat().st_mtime_ns
                        except FileNotFoundError:  # an editor's exchange of files
                            continue
        return found


class WarmStart:
    """Starts a command from a process that has loaded the libraries already (`embedded.warm`)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = 0
        self._waiting: Child | None = None

    @property
    def waiting(self) -> Child | None:
        """The process at its gate; none where it ended or was taken."""
        return self._waiting if self._waiting and self._waiting.running() else None

    def prepare(self, command: Command, log: Path) -> Child:
        """The process that loads the libraries and waits; a new one where none does.

        Parameters
        ----------
        command
            `python -m MODULE ARGUMENTS`.
        log
            Where its words go, before and after the gate.
        """
        if self.waiting is None:
            self._number += 1
            python, *module = command.arguments
            self._gate().unlink(missing_ok=True)
            arguments = [python, "-m", "embedded.warm", str(self._gate()), *module]
            self._waiting = Child(replace(command, arguments=arguments), log)
        assert self._waiting is not None
        return self._waiting

    def take(self, command: Command, log: Path) -> Child:
        """Open the gate: the process becomes the command."""
        child = self.prepare(command, log)
        self._gate().touch()
        self._waiting = None
        return child

    def _gate(self) -> Path:
        return self._folder / f"gate-{self._number}"


def make_ready(changed: Sequence[Path]) -> str:
    """What has to happen before processes start on the changed files; a sentence for the developer, or nothing."""
    if any(path.suffix == ".po" for path in changed):
        done = subprocess.run(
            [sys.executable, "-m", "embedded.translations"],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            return f"The translations were not compiled:\n{done.stderr.strip()}"
    if any(path.parent.name == "migrations" for path in changed):
        return "A migration changed: start bin/dev anew, which migrates."
    return ""


def built_front_end(state: StateFolder) -> Path:
    """Where the front end is built while it is being worked on: not what bin/demo and bin/test serve."""
    return state.path / "dist"


def front_end(state: StateFolder) -> Command:
    """Vite, building anew at every change."""
    vite = [str(NODE / "bin" / "node"), "node_modules/vite/bin/vite.js", "build", "--watch"]
    return Command(
        "frontend",
        [*vite, "--outDir", str(built_front_end(state)), "--minify", "false", "--logLevel", "warn"],
        folder=bootstrap.FRONTEND,
        stop_seconds=3,
    )


def main(arguments: list[str]) -> int:
    """Set up, then become the supervisor; the exit code where that fails."""
    parser = argparse.ArgumentParser(
        prog="bin/dev", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reset", action="store_true", help="delete all state, then start over")
    options = parser.parse_args(arguments)
    try:
        state = StateFolder(Path(os.environ.get("CAD_STATE_DIR") or REPOSITORY / ".local"))
        port = port_in_environment()
        bootstrap.set_up()
        command = [str(PYTHON), "-m", "embedded.supervisor", str(state.path), str(port), "--reload"]
        os.execv(command[0], command + (["--reset"] if options.reset else []))  # noqa: S606
    except StateError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
