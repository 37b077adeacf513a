"""The heap of a process that runs a network: freed memory stays at hand while passes follow one another, and goes back
to the system when none does.

A pass over a mammogram takes 280 MB. ONNX Runtime's own arena would keep them for ever, and give them back after each
pass only for a third of the pass's time (each page of the next one is asked for anew). glibc keeps them as well, where
it is told to, and gives them back when it is asked.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from functools import lru_cache

#: No pass for so long: what the last ones freed is given back. The next one takes a third longer.
IDLE_SECONDS = 60.0
#: So much may be kept at any time: a small network's passes are not made slower for it.
KEPT_BYTES = 64 * 2**20
#: Of glibc's `malloc.h`.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


class _Mallinfo2(ctypes.Structure):
    """Of glibc's `malloc.h`, 2.33 and later."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        )
    ]


class Heap:
    """Of this process, which has one."""

    def __init__(self, libc: ctypes.CDLL) -> None:
        self._libc = libc
        libc.mallinfo2.restype = _Mallinfo2
        # Big blocks come from the heap like small ones, and its end is not cut off after each.
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        self._used = threading.Event()
        self._used_at = 0.0
        self._pid = 0

    def note_use(self) -> None:
        """A pass has ended: when no other follows, give its memory back."""
        self._used_at = time.monotonic()
        self._used.set()
        if self._pid != os.getpid():  # a fork takes no threads along
            self._pid = os.getpid()
            threading.Thread(target=self._give_back_when_idle, name="heap", daemon=True).start()

    def give_back(self) -> None:
        """What is free, if it is much."""
        if self._libc.mallinfo2().fordblks > KEPT_BYTES:
            self._libc.malloc_trim(0)

    def _give_back_when_idle(self) -> None:
        while self._used.wait():
            self._used.clear()
            while (rest := self._used_at + IDLE_SECONDS - time.monotonic()) > 0:
                time.sleep(rest)
            self.give_back()


@lru_cache(maxsize=1)
def own_heap() -> Heap | None:
    """That of this process; None on a system without glibc 2.33, whose freed memory goes its own way."""
    try:
        libc = ctypes.CDLL(None)
        return Heap(libc) if hasattr(libc, "mallinfo2") else None
    except OSError:
        return None
