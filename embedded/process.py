"""One child process: started in its own group, logged to a bounded file, ended with all it started."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

#: A log grows to this size; then it becomes `NAME.log.1` and starts again.
LOG_LIMIT_BYTES = 8 * 1024 * 1024

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
CLONE_NEWUSER = 0x10000000
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Account:
    """Whom a process runs as when root starts it.

    `passes_closed_folders`: its files lie under a folder closed to others, such as root's home.
    """

    uid: int
    gid: int
    passes_closed_folders: bool = False


@dataclass(frozen=True)
class Command:
    """What to run: arguments, the whole environment, the folder, the account, and how it is asked to end."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    folder: Path | None = None
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 10.0
    niceness: int = 0


def preparation(
    account: Account | None,
    parent: int,
    at_parents_death: signal.Signals = signal.SIGKILL,
    niceness: int = 0,
) -> Callable[[], None]:
    """What the child does before it becomes the program: drop its rights, and end when its parent dies.

    Parameters
    ----------
    account
        Whom it shall be, where root starts it; None: whoever starts it.
    parent
        The process that starts it. Is it gone by then, the child ends at once.
    at_parents_death
        The signal that the kernel sends the child when its parent dies.
    niceness
        Added to the parent's.

    Returns
    -------
    callable
        For `subprocess.Popen(preexec_fn=...)`, from a process's main thread.
    """

    def prepare() -> None:
        if niceness:
            os.nice(niceness)
        if account is not None:
            _become(account)
        # After the change of user, which clears it.
        _libc.prctl(PR_SET_PDEATHSIG, at_parents_death, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def _become(account: Account) -> None:
    if account.passes_closed_folders:
        _libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(account.gid, account.gid, account.gid)
    os.setresuid(account.uid, account.uid, account.uid)
    if account.passes_closed_folders and not _keep_only(CAP_DAC_READ_SEARCH):
        _keep_only(CAP_DAC_OVERRIDE)


def _keep_only(capability: int) -> bool:
    """Keep one capability through the coming exec; False where this container does not have it."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    mask = 1 << capability
    sets = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)
    if _libc.capset(header, sets) != 0:
        return False
    return bool(_libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) == 0)


def become_listed_user(uid: int, gid: int) -> None:
    """In a child before its exec: seem to be the listed user `uid` while files stay those of the real one.

    A namespace of users does it, without rights. For programs that look their user up in the user database.

    Raises
    ------
    OSError
        Where this machine lets ordinary users make no such namespace.
    """
    real_uid, real_gid = os.geteuid(), os.getegid()
    if _libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "no namespace of users")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {real_uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {real_gid} 1")


class Child:
    """A running command. Its process group is its own, so that ending it ends whatever it started."""

    def __init__(self, command: Command, log: Path) -> None:
        self.command = command
        self.log = log
        self.started_at = time.monotonic()
        # Appending survives the truncation in `bound_log`, which needs no help from the child.
        with log.open("ab") as output:
            log.chmod(0o600)
            self.process = subprocess.Popen(
                list(command.arguments),
                env=dict(command.environment),
                cwd=command.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                # Only ctypes and os calls, made from the supervisor's main thread.
                preexec_fn=preparation(command.account, os.getpid(), command.stop_signal, command.niceness),
            )

    @property
    def pid(self) -> int:
        """The process's number, which is its group's as well."""
        return self.process.pid

    def running(self) -> bool:
        """Whether the command itself has not ended; what it started may outlive it."""
        return self.process.poll() is None

    def ask_to_stop(self) -> None:
        """Send the command its own signal to stop, and return at once."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, self.command.stop_signal)

    def stop(self) -> None:
        """Ask, wait, then kill the whole group; returns when none of it is left."""
        if self.running():
            self.ask_to_stop()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(self.command.stop_seconds)
        self.kill()

    def kill(self) -> None:
        """Kill the whole group at once."""
        end_group(self.pid)
        self.process.wait()

    def bound_log(self) -> None:
        """Keep at most two files of LOG_LIMIT_BYTES."""
        try:
            if self.log.stat().st_size <= LOG_LIMIT_BYTES:
                return
            previous = self.log.with_name(self.log.name + ".1")
            with self.log.open("rb") as source, previous.open("wb") as target:
                previous.chmod(0o600)
                while chunk := source.read(1 << 20):
                    target.write(chunk)
            os.truncate(self.log, 0)
        except FileNotFoundError:
            return

    def log_tail(self, lines: int = 15) -> str:
        """The last lines of the log, or nothing where there is none."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""


def group_alive(group: int) -> bool:
    """Whether a process of that group is still running (a zombie is not)."""
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == group and fields[0] not in "ZX":
                return True
    return False


def end_group(group: int, patience: float = 2.0) -> None:
    """Kill what is left of a process group."""
    deadline = time.monotonic() + patience
    while group_alive(group) and time.monotonic() < deadline:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
        time.sleep(0.02)


def wait_for_end(pid: int, seconds: float) -> bool:
    """Wait until a process, no child of ours perhaps, is gone.

    Parameters
    ----------
    pid
        The process.
    seconds
        The longest wait.

    Returns
    -------
    bool
        False where it stays.
    """
    began = start_time(pid)
    deadline = time.monotonic() + seconds
    while began is not None and start_time(pid) == began:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def start_time(pid: int) -> int | None:
    """When a process began (clock ticks since boot): tells it from a later one of the same number."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return None
