"""The process that decoding processes are forked from: `python -m imaging.nursery CONTROL_FD`.

It has the readers imported, no threads, no secrets in its environment and no socket but the one to its
owner. For every job it forks: the child limits itself, decodes one file, answers and ends. So nothing that
a file does to a decoder outlives the file, and a fork costs milliseconds where a start costs half a second.

Each job arrives as one message (JSON) with one socket, the child's line to the caller. When a child dies
without an answer the nursery says so on that line. The nursery ends when its owner does.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import gc
import json
import os
import resource
import selectors
import signal
import socket
import sys
from typing import Any

import numpy as np

MESSAGE_LIMIT = 64 * 1024
INLINE_LIMIT = 16 * 1024
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_MAX_OUTPUT_BYTES = 2 * 1024**3


def main() -> None:
    """Serve until the owner's end of the control socket closes."""
    control = socket.socket(fileno=int(sys.argv[1]))
    # A terminal's Ctrl-C and a supervisor's SIGTERM are for the owner, who may have jobs to finish.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _preload()
    gc.collect()
    gc.freeze()
    _Nursery(control).serve()


class _Nursery:
    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.jobs: dict[int, socket.socket] = {}
        self.woken, waker = socket.socketpair()
        self.woken.setblocking(False)
        waker.setblocking(False)
        self._waker = waker
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)

    def serve(self) -> None:
        selector = selectors.DefaultSelector()
        selector.register(self.control, selectors.EVENT_READ)
        selector.register(self.woken, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is self.woken:
                    with contextlib.suppress(BlockingIOError):
                        self.woken.recv(4096)
                    self._reap()
                elif not self._accept():
                    for pid in self.jobs:
                        os.kill(pid, signal.SIGKILL)
                    return

    def _accept(self) -> bool:
        message, descriptors, _, _ = socket.recv_fds(self.control, MESSAGE_LIMIT, 1)
        if not message:
            return False
        line = socket.socket(fileno=descriptors[0])
        try:
            pid = os.fork()
        except OSError:
            _tell(line, {"unavailable": True})
            line.close()
            return True
        if pid:
            self.jobs[pid] = line
            return True
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for other in (self.control, self.woken, self._waker, *self.jobs.values()):
                other.close()
            _work(json.loads(message), line)
            status = 0
        finally:
            os._exit(status)

    def _reap(self) -> None:
        while self.jobs:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            line = self.jobs.pop(pid)
            if status:
                _tell(line, {"died": os.waitstatus_to_exitcode(status)})
            line.close()


def _preload() -> None:
    """Everything that a job may import, so that no job pays for it."""
    import gdcm
    import imagecodecs
    import jpeg_ls
    import openjpeg
    import openslide
    import pydicom.pixels
    import rle
    import tifffile
    from pydicom.pixels import decoders

    import imaging.dicom
    import imaging.plain
    import imaging.sandboxed

    gdcm.Trace.WarningOff()
    gdcm.Trace.ErrorOff()
    # Codec modules load on first use; touch those that pictures of this kind need.
    for codec in (
        "jpeg8_decode",
        "jpeg2k_decode",
        "lzw_decode",
        "zlib_decode",
        "packbits_decode",
        "delta_decode",
    ):
        getattr(imagecodecs, codec, None)
    _ = (jpeg_ls, openjpeg, openslide, rle, tifffile, decoders, pydicom.pixels, imaging.sandboxed)


def _work(job: dict[str, Any], line: socket.socket) -> None:
    """In the child: limit, decode, answer."""
    _limit(job["limits"])
    from imaging import sandboxed
    from imaging.errors import ImagingError

    try:
        answer = sandboxed.run(job["call"], job["arguments"])
    except ImagingError as error:
        _tell(line, {"error": type(error).__name__, "reason": error.reason, "code": error.code})
        return
    _send_answer(line, answer.value, answer.array)


def _limit(limits: dict[str, Any]) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # SIGALRM's default action ends the process even inside a decoder that never returns to Python.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, float(limits["wall_seconds"]))
    cpu = int(limits["cpu_seconds"])
    with open("/proc/self/statm", encoding="ascii") as statm:
        mapped = int(statm.read().split()[0]) * resource.getpagesize()
    for which, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_AS, mapped + int(limits["memory_bytes"])),
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_FSIZE, _MAX_OUTPUT_BYTES),
        (resource.RLIMIT_NOFILE, 64),
    ):
        _, hard = resource.getrlimit(which)
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (bound, bound))
    # When the machine itself runs out of memory, this process is the one to lose.
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as score:
        score.write("900")


def _send_answer(line: socket.socket, value: Any, array: np.ndarray[Any, Any] | bytes | None) -> None:
    """The value inline, or in the shared memory where it is long; the array always in shared memory."""
    head: dict[str, Any] = {"ok": True}
    text = json.dumps(value).encode()
    if array is None and len(text) <= INLINE_LIMIT:
        head["value"] = value
        _tell(line, head)
        return
    shared = os.memfd_create("decoded", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    head["value_bytes"] = len(text)
    data: memoryview | bytes = b""
    if isinstance(array, bytes):
        head["array"] = {"bytes": len(array)}
        data = array
    elif array is not None:
        contiguous = np.ascontiguousarray(array)
        head["array"] = {"dtype": contiguous.dtype.str, "shape": contiguous.shape}
        data = contiguous.reshape(-1).view(np.uint8).data
    # The array first, so that it is aligned.
    for part in (memoryview(data), memoryview(text)):
        while part:
            part = part[os.write(shared, part) :]
    # Sealed: the receiver maps it, and nobody can shrink it under him.
    fcntl.fcntl(shared, fcntl.F_ADD_SEALS, SEALS)
    socket.send_fds(line, [json.dumps(head).encode()], [shared])


def _tell(line: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        line.send(json.dumps(message).encode())


if __name__ == "__main__":
    main()
