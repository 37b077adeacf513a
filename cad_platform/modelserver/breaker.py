"""A circuit breaker: after several failures in a row a host is left alone with one version for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from enum import StrEnum


class Circuit(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitBreaker:
    """Counts failures of one version on one host. Open: nobody calls. After the pause one caller at a time may try
    (half-open); its success closes the circuit, its failure opens it again, for twice as long.

    Parameters
    ----------
    failures
        So many in a row open the circuit.
    pause, longest_pause
        Seconds that it stays open: at first, and at most.
    clock
        Monotonic seconds.
    """

    def __init__(
        self,
        failures: int = 5,
        pause: float = 2.0,
        longest_pause: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limit = failures
        self._first_pause = pause
        self._longest_pause = longest_pause
        self._clock = clock
        self._lock = threading.Lock()
        self._in_a_row = 0
        self._pause = pause
        self._opened_at: float | None = None
        self._trying = False

    @property
    def state(self) -> Circuit:
        with self._lock:
            return self._state()

    def allows_call(self) -> bool:
        """Whether the caller may call now. After True, exactly one of `succeeded`, `failed` or `released`
        must follow."""
        with self._lock:
            state = self._state()
            if state is Circuit.CLOSED:
                return True
            if state is Circuit.OPEN or self._trying:
                return False
            self._trying = True
            return True

    def succeeded(self) -> None:
        with self._lock:
            self._in_a_row = 0
            self._pause = self._first_pause
            self._opened_at = None
            self._trying = False

    def failed(self, *, for_certain: bool = False) -> None:
        """`for_certain`: one such failure is enough, as a call that had many times its usual time."""
        with self._lock:
            self._in_a_row = max(self._in_a_row + 1, self._limit if for_certain else 0)
            if self._trying:
                self._pause = min(self._pause * 2, self._longest_pause)
            if self._trying or self._in_a_row >= self._limit:
                self._opened_at = self._clock()
            self._trying = False

    def open(self) -> None:
        """Another process saw it fail."""
        with self._lock:
            if self._opened_at is None:
                self._in_a_row = self._limit
                self._opened_at = self._clock()

    def released(self) -> None:
        """The call said nothing about the server (the caller gave up first)."""
        with self._lock:
            self._trying = False

    def _state(self) -> Circuit:
        if self._opened_at is None:
            return Circuit.CLOSED
        if self._clock() - self._opened_at < self._pause:
            return Circuit.OPEN
        return Circuit.HALF_OPEN
