"""How long a version's forward passes take, and so how long one may take before its host counts as hung."""

from __future__ import annotations

import math
import threading
from collections import deque

#: Of so many passes the time is known; fewer say nothing of their slowest.
ENOUGH, REMEMBERED = 10, 500
#: A pass may take so many times as long as 99 of 100 do, and never less than the floor: a burst of work that waits in
#: a host's queue is no hang. `UNKNOWN` until enough is known, since a host that starts loads its networks first.
TIMES_P99, FLOOR_SECONDS, UNKNOWN_SECONDS = 4.0, 5.0, 30.0
#: The longest that any pass may take, whatever its version's pace.
LONGEST_SECONDS = 60.0
#: After so many times the usual slowest another host is asked as well.
HEDGE_TIMES_P99, HEDGE_FLOOR_SECONDS, HEDGE_UNKNOWN_SECONDS = 1.5, 0.5, 2.0


class Pace:
    """Of one version, over all hosts. Only passes that succeeded count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: deque[float] = deque(maxlen=REMEMBERED)
        self._known_p99: float | None = None

    def took(self, seconds: float) -> None:
        with self._lock:
            self._seconds.append(seconds)

    def learn(self, p99_seconds: float | None) -> None:
        """What other processes measured; counts until this one knows enough by itself."""
        with self._lock:
            self._known_p99 = p99_seconds

    @property
    def measured_p99(self) -> float | None:
        """Seconds that 99 of 100 passes of this process stay below, and all but one of fewer: a pass that waited for a
        host to load its network says nothing of the next. None while too few are known."""
        with self._lock:
            if len(self._seconds) < ENOUGH:
                return None
            ordered = sorted(self._seconds)
        return ordered[min(math.ceil(0.99 * len(ordered)), len(ordered) - 1) - 1]

    def limit(self, most: float) -> float:
        """Seconds that a pass may take; at most `most`."""
        p99 = self._p99()
        return min(most, UNKNOWN_SECONDS if p99 is None else max(FLOOR_SECONDS, TIMES_P99 * p99))

    def hedge_after(self) -> float:
        """Seconds after which another host is asked as well."""
        p99 = self._p99()
        return HEDGE_UNKNOWN_SECONDS if p99 is None else max(HEDGE_FLOOR_SECONDS, HEDGE_TIMES_P99 * p99)

    def _p99(self) -> float | None:
        measured = self.measured_p99
        return self._known_p99 if measured is None else measured
