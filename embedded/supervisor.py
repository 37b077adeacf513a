"""Starts the platform's processes, keeps them running, and ends every one of them.

One thread and one loop: a service starts when those it comes after are ready, starts again (later and later)
when it ends by itself, and is asked, then made, to end with the supervisor. Were the supervisor itself
killed, the kernel tells each child to stop and the watchdog kills what does not. Under bin/dev it also starts
anew what holds code that changed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from embedded import development
from embedded.process import Child, Command, end_group, start_time
from embedded.reaching import status_of
from embedded.services import Platform, Service
from embedded.state import REPOSITORY, StateError, StateFolder, port_is_free, read_json, write_private_json

_TICK_SECONDS = 0.1
#: Once everything has started and nobody works on the code.
_IDLE_TICK_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 15.0
_TASK_PAUSE_SECONDS = 60.0
#: Ending again sooner than this counts as failing on.
_STABLE_SECONDS = 60.0
#: Those that others are clients of end after their clients.
_GROUND = ("postgres", "valkey", "torchserve")


class Stopped(Exception):
    """A signal asked the supervisor to end."""


@dataclass
class Running:
    """What the supervisor knows of one service."""

    service: Service
    child: Child | None = None
    ready: bool = False
    done: bool = False
    was_ready: bool = False
    failures: int = 0
    start_at: float = 0.0
    tended_at: float = 0.0


class Supervisor:
    """Runs one platform until it is told to stop."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.state = platform.state
        self.running = {service.name: Running(service) for service in platform.services()}
        self.began = time.monotonic()
        self.stopping = False
        self._asked: signal.Signals | None = None
        self.sources = development.Sources() if platform.reload else None
        self._warm = development.WarmStart(platform.state.temporary) if platform.reload else None
        self._changed_at: float | None = None
        self._watchdog: subprocess.Popen[str] | None = None

    def run(self) -> None:
        """Start everything, announce when it serves, and keep it so.

        Raises
        ------
        Stopped
            When a signal came; everything has ended by then.
        StateError
            When an essential task failed.
        """
        self._end_leftovers()
        if not port_is_free(self.platform.port):
            raise StateError(
                f"Port {self.platform.port} is in use: stop what uses it, or set CAD_PORT to a free port."
            )
        self.platform.check_addresses()
        self.state.make_private(self.state.temporary)
        for name in ("uploads", "objects"):
            (self.state.path / name).mkdir(mode=0o700, exist_ok=True)
        self.platform.write_addresses()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        self._watchdog = subprocess.Popen(
            [sys.executable, "-m", "embedded.watchdog"],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            self._loop()
        except StateError:
            # A terminal interrupts what a step runs as well, which then fails.
            self._heed()
            raise
        finally:
            self.stopping = True
            self._stop_all()

    def _loop(self) -> None:
        announced = served = False
        asked_at = bounded_at = 0.0
        while True:
            self._heed()
            if self.sources and (changed := self.sources.changed()):
                self._reload(changed)
            now = time.monotonic()
            for entry in self.running.values():
                self._heed()
                self._advance(entry, now)
            if self._changed_at and self._is_ready("web"):
                self._say(f"The web server answers again after {now - self._changed_at:.1f} s")
                self._changed_at = None
            if self._warm and announced and not self._warm.waiting and self._is_ready("web"):
                self._listed(self._warm.prepare(*self._web()))
            if not served and self._is_ready("web"):
                served = True
                self._say(
                    f"The web server answers after {now - self.began:.0f} s; waiting for the other parts"
                )
            if served and not announced and now - asked_at > 1:
                asked_at = now
                announced = self._announce()
            if now - bounded_at > 10:
                bounded_at = now
                for entry in self.running.values():
                    if entry.child:
                        entry.child.bound_log()
            time.sleep(_IDLE_TICK_SECONDS if announced and not self.sources else _TICK_SECONDS)

    def _advance(self, entry: Running, now: float) -> None:
        service = entry.service
        if entry.done:
            return
        if entry.child is None:
            # The page that somebody waits for comes first.
            waits = self._changed_at is not None and service.reloads and service.name != "web"
            if now >= entry.start_at and not waits and all(map(self._is_ready, service.after)):
                self._start(entry)
            return
        if not entry.child.running():
            self._ended(entry, now)
            return
        if now - entry.tended_at < (1.0 if entry.ready else _TICK_SECONDS if self._changed_at else 0.2):
            return
        entry.tended_at = now
        service.maintain()
        if not service.once and not entry.ready and service.ready():
            entry.ready = True
            if not entry.was_ready:
                service.established()
                entry.was_ready = True

    def _start(self, entry: Running) -> None:
        entry.service.prepare()
        if self._warm and entry.service.name == "web":
            entry.child = self._warm.take(*self._web())
        else:
            log = self.state.logs / f"{entry.service.name}.log"
            entry.child = Child(entry.service.command(), log)
        entry.ready = False
        self._listed(entry.child)

    def _web(self) -> tuple[Command, Path]:
        return self.running["web"].service.command(), self.state.logs / "web.log"

    def _listed(self, child: Child) -> None:
        """Nothing that was started survives a crash of ours."""
        self._tell_watchdog(f"+{child.pid} {start_time(child.pid)}")
        self._write_processes()

    def _ended(self, entry: Running, now: float) -> None:
        child, service = entry.child, entry.service
        assert child is not None
        code = child.process.returncode
        # Whatever it had started ends with it, or the next one would meet it.
        end_group(child.pid)
        self._tell_watchdog(f"-{child.pid}")
        entry.child = None
        self._write_processes()
        if service.once and code in service.succeeds_with:
            entry.done = entry.ready = True
            service.established()
            return
        if service.once and service.essential:
            raise StateError(
                f"{child.log_tail(25)}\nThe step `{service.name}` failed: see {child.log}, "
                "mend what it says and start again, or start over with bin/demo --reset."
            )
        if now - child.started_at > _STABLE_SECONDS:
            entry.failures = 0
        pause = min(0.5 * 2**entry.failures, _LONGEST_PAUSE_SECONDS)
        entry.failures += 1
        if service.once:
            pause = _TASK_PAUSE_SECONDS
            if entry.failures > 1:
                entry.done = True
                self._say(
                    f"{service.name} failed twice and is left alone until the next start: see {child.log}"
                )
                return
        entry.ready = False
        entry.start_at = now + pause
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        self._say(f"{service.name} {how}; starting it again in {pause:g} s (log: {child.log})")

    def _reload(self, changed: Sequence[Path]) -> None:
        """Start anew what holds the code that changed: at once, as jobs survive a crash."""
        self._changed_at = time.monotonic()
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        self._say(f"{changed[0].relative_to(REPOSITORY)}{more} changed")
        for entry in self.running.values():
            if not entry.service.reloads:
                continue
            entry.failures, entry.start_at, entry.ready = 0, 0.0, False
            if entry.child:
                entry.child.kill()
                self._tell_watchdog(f"-{entry.child.pid}")
                entry.child = None
        self._write_processes()
        if advice := development.make_ready(changed):
            self._say(advice)

    def _is_ready(self, name: str) -> bool:
        entry = self.running.get(name)
        return entry is not None and entry.ready

    def _announce(self) -> bool:
        """Say that the platform is ready, once the worker processes and a real prediction have shown it."""
        if not all(self._is_ready(server.name) for server in self.platform.torchserves):
            return False
        if status_of(f"{self.platform.url}/readyz") != 200:
            return False
        demo = read_json(self.state.demo_file)
        lines = [f"Ready after {time.monotonic() - self.began:.0f} s: {demo.get('url', self.platform.url)}"]
        lines += [
            f"  {user['role']:<14} {user['username']:<18} {user['password']}"
            for user in demo.get("users", [])
        ]
        lines += [f"  API token      {demo.get('token', '')}", f"  the same in    {self.state.demo_file}"]
        self._say("\n".join(lines))
        (self.state.path / "ready").write_text(f"{os.getpid()}\n")
        return True

    def _stop_all(self) -> None:
        """Clients first, then the ground; nothing survives."""
        with contextlib.suppress(FileNotFoundError):
            (self.state.path / "ready").unlink()
        ground = [entry for name, entry in self.running.items() if name.startswith(_GROUND)]
        clients = [entry for name, entry in self.running.items() if not name.startswith(_GROUND)]
        if self._warm and self._warm.waiting:
            self._warm.waiting.kill()
        for floor in (clients, ground):
            self._stop(entry.child for entry in floor if entry.child)
        write_private_json(self.state.path / "processes.json", {})
        self.state.remove_outside_folders()
        self._tell_watchdog("done")
        if self._watchdog and self._watchdog.stdin:
            with contextlib.suppress(OSError):
                self._watchdog.stdin.close()
            self._watchdog.wait(10)

    def _stop(self, children: Iterable[Child]) -> None:
        together = list(children)
        for child in together:
            child.ask_to_stop()
        deadline = time.monotonic() + max((child.command.stop_seconds for child in together), default=0)
        while any(child.running() for child in together) and time.monotonic() < deadline:
            time.sleep(0.05)
        for child in together:
            child.kill()

    def _end_leftovers(self) -> None:
        """End processes of a supervisor that was killed on this state folder and whose watchdog was, too."""
        for name, known in read_json(self.state.path / "processes.json").items():
            if start_time(known["pid"]) == known["started"]:
                self._say(f"Ending {name}, left over from a crash")
                end_group(known["pid"], patience=10)

    def _write_processes(self) -> None:
        children = {name: entry.child for name, entry in self.running.items()}
        children["next web"] = self._warm.waiting if self._warm else None
        processes = {
            name: {"pid": child.pid, "started": start_time(child.pid)}
            for name, child in children.items()
            if child
        }
        write_private_json(self.state.path / "processes.json", processes)

    def _tell_watchdog(self, line: str) -> None:
        if self._watchdog and self._watchdog.stdin:
            try:
                self._watchdog.stdin.write(line + "\n")
                self._watchdog.stdin.flush()
            except OSError:
                self._say("The watchdog is gone: a killed supervisor would leave processes behind")
                self._watchdog = None

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.stopping:
            # Asked a second time: no more patience.
            for entry in self.running.values():
                if entry.child:
                    end_group(entry.child.pid)
            return
        # Only noted: raised from here, it would be lost where Python ignores errors (at a fork, while something
        # is dropped), and with it a child that was just started.
        self._asked = signal.Signals(number)

    def _heed(self) -> None:
        if self._asked:
            raise Stopped(self._asked.name)

    def _say(self, text: str) -> None:
        print(text, flush=True)


def main() -> int:
    """Run one platform until it is told to stop; the exit code."""
    parser = argparse.ArgumentParser(description="Run the platform; bin/demo sets it up and calls this.")
    parser.add_argument("state", type=Path, help="the state folder")
    parser.add_argument("port", type=int)
    parser.add_argument("--reset", action="store_true", help="delete all state first")
    parser.add_argument("--reload", action="store_true", help="take up changed code (bin/dev)")
    options = parser.parse_args()
    try:
        state = StateFolder(options.state)
        with state.locked():
            if options.reset:
                state.erase()
            Supervisor(Platform(state, options.port, reload=options.reload)).run()
    except StateError as error:
        print(error, file=sys.stderr)
        return 1
    except Stopped as stop:
        print(f"Stopped by {stop}: every process has ended.", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
