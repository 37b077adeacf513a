"""The loops of the one always-on process: each in its own thread, with its own database connection.

A loop outlives an absent database or broker. Any other error is a fault of ours: the loop ends, and with it
the process, so that whoever supervises it starts it anew and the fault is seen.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from django.db import Error as DatabaseError
from django.db import close_old_connections, connection

from cad_platform.core.errors import Unavailable
from cad_platform.core.relay import BrokerAway, relay_pending, wait_for_events

logger = logging.getLogger(__name__)

#: What being away looks like; the loop goes on.
_AWAY = (DatabaseError, BrokerAway, Unavailable)
_LONGEST_PAUSE = 5.0


@dataclass(frozen=True)
class Loop:
    """`step` again and again, with `wait` between: until an event, or for a time.

    A step that returns a float names the seconds until its next turn itself.
    """

    name: str
    step: Callable[[], object]
    every: float = 1.0
    wait: Callable[[], None] | None = None


_loops: dict[str, Loop] = {
    "outbox relay": Loop("outbox relay", relay_pending, wait=wait_for_events),
}


def register_loop(name: str, step: Callable[[], object], every: float) -> None:
    """Have housekeeping call `step` every so many seconds. Called from an app's `ready()`.

    The step must take no longer than seconds and may be called twice at once by two housekeeping processes.
    """
    _loops[name] = Loop(name, step, every)


class Housekeeping:
    """Runs the registered loops until `stop` or until one of them ends by a fault."""

    def __init__(self, loops: dict[str, Loop] | None = None) -> None:
        self._stop = threading.Event()
        self._ended: list[str] = []
        self._loops = dict(_loops if loops is None else loops)

    def stop(self) -> None:
        """May be called from a signal handler."""
        self._stop.set()

    def run(self) -> list[str]:
        """Block until stopped; returns the names of loops that ended by a fault (none after `stop`)."""
        threads = [
            threading.Thread(target=self._run_loop, args=(loop,), name=loop.name, daemon=True)
            for loop in self._loops.values()
        ]
        for thread in threads:
            thread.start()
        self._stop.wait()
        for thread in threads:
            thread.join(timeout=5)
        return list(self._ended)

    def _run_loop(self, loop: Loop) -> None:
        pause = 0.5
        try:
            while not self._stop.is_set():
                try:
                    close_old_connections()
                    turn = loop.step()
                    if loop.wait is not None:
                        loop.wait()
                    else:
                        self._stop.wait(turn if isinstance(turn, float) else loop.every)
                    pause = 0.5
                except _AWAY as error:
                    logger.warning("%s waits: %s", loop.name, type(error).__name__)
                    connection.close()
                    self._stop.wait(pause)
                    pause = min(pause * 2, _LONGEST_PAUSE)
        except Exception:
            logger.exception("%s ended", loop.name)
            self._ended.append(loop.name)
        finally:
            connection.close()
            # One loop less is not housekeeping any more.
            self._stop.set()
