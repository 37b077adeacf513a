"""Programs that a process of the platform starts, and that must not outlive it."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def end_with_parent(parent: int) -> Callable[[], None]:
    """What a child does before it becomes the program: the kernel kills it when its parent dies, however that was. One
    that outlived a killed worker would go on with what somebody else has taken over.

    Parameters
    ----------
    parent
        The process that starts it. Is it gone by then, the child ends at once.

    Returns
    -------
    callable
        For `subprocess.Popen(preexec_fn=...)`, from a thread that lives as long as the child is wanted.
    """

    def prepare() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return prepare
