"""How far something long is: what a step calls to say it, and the line on the terminal that shows it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType

#: Called with how many are done, and of how many.
CountProgress = Callable[[int, int], None]
#: Called with the step's name, how many are done, and of how many.
StepProgress = Callable[[str, int, int], None]

_ON_A_TERMINAL, _ELSEWHERE = 0.5, 10.0


class ProgressLine:
    """On stderr: one line that rewrites itself on a terminal, a new line now and then elsewhere.

    Parameters
    ----------
    title
        What the line begins with.
    patience
        Seconds that pass before anything is shown: what is done by then needs no line.
    elsewhere
        Seconds between lines where stderr is no terminal; 0 for a line each time.
    quiet
        Show nothing.
    """

    def __init__(
        self, title: str = "", *, patience: float = 1.0, elsewhere: float = _ELSEWHERE, quiet: bool = False
    ) -> None:
        self._title = f"{title}: " if title else ""
        self._patience, self._elsewhere, self._quiet = patience, elsewhere, quiet
        self._began = time.monotonic()
        self._next = self._began + patience
        self._open = False

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open:
            sys.stderr.write("\n")
            sys.stderr.flush()
            self._open = False

    def show(self, text: str) -> None:
        """`text` and the seconds so far, unless a line was shown just now."""
        if time.monotonic() >= self._next:
            self._write(text, stays=False)

    def keep(self, text: str) -> None:
        """`text` and the seconds so far as a line that stays, unless it took less than the patience."""
        if time.monotonic() - self._began >= self._patience:
            self._write(text, stays=True)

    def _write(self, text: str, *, stays: bool) -> None:
        if self._quiet:
            return
        terminal, now = sys.stderr.isatty(), time.monotonic()
        self._next = now + (_ON_A_TERMINAL if terminal else self._elsewhere)
        self._open = terminal and not stays
        # "\033[K" clears what a longer line left behind.
        start, end = "\r\033[K" if terminal else "", "" if self._open else "\n"
        sys.stderr.write(f"{start}{self._title}{text}, {now - self._began:.0f} s{end}")
        sys.stderr.flush()
