"""The loops of the one always-on process: each in its own thread, with its own database connection.

A loop outlives an absent database or broker. Any other error is a fault of ours: the loop ends, and with it
the process, so that whoever supervises it starts it anew and the fault is seen.
"""

from __future__ import annotations

import logging
import threading
import time

from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection

from cad_platform.core.declarations import Loop, platform_apps
from cad_platform.core.errors import Unavailable
from cad_platform.operations.relay import BrokerAway

logger = logging.getLogger(__name__)

#: What being away looks like; the loop goes on.
_AWAY = (DatabaseError, BrokerAway, Unavailable)
_LONGEST_PAUSE = 5.0
#: How often a loop lets go of a connection that has become old. Not at each turn, which would ask first whether it
#: still works: a loop outlives one that does not.
_OLD_CONNECTIONS_SECONDS = 60.0
#: How often the process shows that it lives, and how long a turn may take before it no longer does.
_SIGN_SECONDS, _STUCK_SECONDS = 10.0, 300.0


def registered_loops() -> dict[str, Loop]:
    """Name → loop, of all that the apps say."""
    return {loop.name: loop for app in platform_apps() for loop in app.loops()}


class Housekeeping:
    """Runs the registered loops until `stop` or until one of them ends by a fault."""

    def __init__(self, loops: dict[str, Loop] | None = None) -> None:
        self._stop = threading.Event()
        self._ended: list[str] = []
        self._loops = registered_loops() if loops is None else dict(loops)
        self._turned = dict.fromkeys(self._loops, time.monotonic())

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
        while not self._stop.wait(_SIGN_SECONDS):
            self.sign_of_life()
        for thread in threads:
            thread.join(timeout=5)
        return list(self._ended)

    def sign_of_life(self) -> None:
        """Touch a file, for an orchestrator's probe; not while one of the loops is stuck in a turn."""
        now = time.monotonic()
        if all(now - turned < _STUCK_SECONDS for turned in self._turned.values()):
            (settings.STATE_DIR / "housekeeping.alive").touch()

    def _run_loop(self, loop: Loop) -> None:
        pause, looked_at = 0.5, float("-inf")
        try:
            while not self._stop.is_set():
                self._turned[loop.name] = time.monotonic()
                try:
                    if time.monotonic() - looked_at > _OLD_CONNECTIONS_SECONDS:
                        close_old_connections()
                        looked_at = time.monotonic()
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
