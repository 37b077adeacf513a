"""The process that decoding processes are forked from: `python -m imaging.fork_server CONTROL_FD`.

It has the readers imported, no threads, no secrets in its environment and no socket but the one to its
owner. Each job arrives as one message (JSON) with one socket, the caller's, for the answer, and goes to an idle
child or to a new one: a fork costs 20 ms where a start costs half a second, an idle child costs nothing.
A child ends after a file that it could not read, after one that took much memory, and after
`JOBS_PER_CHILD` files, so what a bad file did to a decoder does not outlive it. When a child dies without
an answer the fork server says so on the caller's socket. The fork server ends when its owner does.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import resource
import selectors
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from imaging import confinement, messages
from imaging.errors import DecoderUnavailable, ImagingError, NoSuchFrame, only_imaging_errors
from imaging.limits import MAX_SLIDE_FILES
from imaging.operations import OPERATIONS

JOBS_PER_CHILD = 200
RECYCLED_ABOVE_BYTES = 768 * 1024**2

_PR_SET_PDEATHSIG = 1
_MAX_OUTPUT_BYTES = 2 * 1024**3
#: Those of the two slides that stay open and of one that is being opened, and some.
_MOST_OPEN_FILES = 64 + 3 * MAX_SLIDE_FILES


def main() -> None:
    """Serve until the owner's end of the control socket closes."""
    control = socket.socket(fileno=int(sys.argv[1]))
    # A terminal's Ctrl-C and a supervisor's SIGTERM are for the owner, who may have jobs to finish.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _preload()
    gc.collect()
    gc.freeze()
    _ForkServer(control).serve()


@dataclass(slots=True, eq=False)
class _Child:
    pid: int
    channel: socket.socket
    reply_socket: socket.socket | None = None
    """Of the job it has; None while it is idle."""


class _ForkServer:
    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.children: dict[int, _Child] = {}
        self.idle: list[_Child] = []
        self.selector = selectors.DefaultSelector()
        self.woken, self._waker = socket.socketpair()
        self.woken.setblocking(False)
        self._waker.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        self.selector.register(self.control, selectors.EVENT_READ)
        self.selector.register(self.woken, selectors.EVENT_READ)

    def serve(self) -> None:
        while True:
            ready = [key for key, _ in self.selector.select()]
            # Who has become idle comes before new work, so that the new work finds it.
            for key in sorted(ready, key=lambda each: each.fileobj is self.control):
                if key.fileobj is self.woken:
                    with contextlib.suppress(BlockingIOError):
                        self.woken.recv(4096)
                    self._reap()
                elif key.fileobj is self.control:
                    if not self._accept():
                        for pid in self.children:
                            os.kill(pid, signal.SIGKILL)
                        return
                else:
                    self._note_idle(key.data)

    def _accept(self) -> bool:
        message, descriptors, _, _ = socket.recv_fds(self.control, messages.MESSAGE_LIMIT, 1)
        if not message:
            return False
        reply_socket = socket.socket(fileno=descriptors[0])
        while self.idle:
            child = self.idle.pop()
            with contextlib.suppress(OSError):
                socket.send_fds(child.channel, [message], [reply_socket.fileno()])
                child.reply_socket = reply_socket
                return True
        new = self._fork()
        if new is None:
            messages.send(reply_socket, {"unavailable": True})
            reply_socket.close()
            return True
        new.reply_socket = reply_socket
        # A child that has died before its first job is `_reap`'s to report, as any other.
        with contextlib.suppress(OSError):
            socket.send_fds(new.channel, [message], [reply_socket.fileno()])
        return True

    def _fork(self) -> _Child | None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            pid = os.fork()
        except OSError:
            ours.close()
            theirs.close()
            return None
        if pid == 0:
            status = 1
            try:
                signal.set_wakeup_fd(-1)
                self.selector.close()
                for other in (self.control, self.woken, self._waker, ours):
                    other.close()
                for sibling in self.children.values():
                    sibling.channel.close()
                    if sibling.reply_socket is not None:
                        sibling.reply_socket.close()
                _serve_jobs(theirs)
                status = 0
            finally:
                os._exit(status)
        theirs.close()
        child = self.children[pid] = _Child(pid, ours)
        self.selector.register(ours, selectors.EVENT_READ, child)
        return child

    def _note_idle(self, child: _Child) -> None:
        """An empty message is the child's end; `_reap` learns how it ended. One that was killed before it read its job
        resets the channel; one that was reaped in this very round has none any more."""
        if self.children.get(child.pid) is not child:
            return
        try:
            said = child.channel.recv(16)
        except ConnectionResetError:
            said = b""
        if not said:
            self.selector.unregister(child.channel)
            return
        if child.reply_socket is not None:
            child.reply_socket.close()
            child.reply_socket = None
        self.idle.append(child)

    def _reap(self) -> None:
        while self.children:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            child = self.children.pop(pid)
            if child in self.idle:
                self.idle.remove(child)
            if child.reply_socket is not None:
                if status:
                    messages.send(child.reply_socket, {"died": os.waitstatus_to_exitcode(status)})
                child.reply_socket.close()
            with contextlib.suppress(KeyError, ValueError):
                self.selector.unregister(child.channel)
            child.channel.close()


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

    import imaging.reader
    import imaging.rendering

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
    _ = (
        jpeg_ls,
        openjpeg,
        openslide,
        rle,
        tifffile,
        decoders,
        pydicom.pixels,
        imaging.reader,
        imaging.rendering,
    )


def _serve_jobs(channel: socket.socket) -> None:
    """In the child: one job after another, until a file was bad, or memory or the count says enough."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    # When the machine itself runs out of memory, this process is the one to lose.
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as score:
        score.write("900")
    confinement.confine()
    # Afterwards: a process that becomes another user forgets whose end it follows.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    for served in range(1, JOBS_PER_CHILD + 1):
        message, descriptors, _, _ = socket.recv_fds(channel, messages.MESSAGE_LIMIT, 1)
        if not message:
            return
        job = json.loads(message)
        with socket.socket(fileno=descriptors[0]) as reply_socket:
            answer, trusted = _run_job(job)
            small = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 < RECYCLED_ABOVE_BYTES
            goes_on = trusted and small and served < JOBS_PER_CHILD
            if goes_on:
                # Before the answer: its receiver may ask again at once and shall find this child idle.
                channel.send(b"idle")
            answer(reply_socket)
            signal.setitimer(signal.ITIMER_REAL, 0)
        if not goes_on:
            return


def _run_job(job: dict[str, Any]) -> tuple[Callable[[socket.socket], None], bool]:
    """Do the job. Returns what sends its result or its error, and whether this process may be kept."""
    _apply_limits(job["limits"])
    try:
        with only_imaging_errors():
            value, array = OPERATIONS[job["operation"]].run(job["arguments"])
    except ImagingError as error:
        if isinstance(error.__cause__, MemoryError) and _machine_is_short():
            error = DecoderUnavailable("The machine is short of memory at the moment.")
        # A frame that is not there says nothing against the file; anything else may have harmed a decoder.
        return partial(messages.send, message=messages.error_message(error)), isinstance(error, NoSuchFrame)
    return partial(messages.send_result, value=value, array=array), True


def _machine_is_short() -> bool:
    """Whether the machine could not have given what this process was still allowed: then a failed allocation says
    nothing of the file. Where it cannot be told, the limit is believed."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            known = dict(line.split(":", 1) for line in lines)
        available = int(known["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return False
    return limit != resource.RLIM_INFINITY and available < limit - _mapped_bytes()


def _mapped_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[0]) * resource.getpagesize()


_memory_limited = False


def _apply_limits(limits: dict[str, Any]) -> None:
    """Memory once for the child's life, time for each job."""
    global _memory_limited
    # SIGALRM's default action ends the process even inside a decoder that never returns to Python.
    signal.setitimer(signal.ITIMER_REAL, float(limits["wall_seconds"]))
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = int(used.ru_utime + used.ru_stime) + 1 + int(limits["cpu_seconds"])
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (cpu if hard == resource.RLIM_INFINITY else min(cpu, hard), hard))
    if _memory_limited:
        return
    for which, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_AS, _mapped_bytes() + int(limits["memory_bytes"])),
        (resource.RLIMIT_FSIZE, _MAX_OUTPUT_BYTES),
        (resource.RLIMIT_NOFILE, _MOST_OPEN_FILES),
    ):
        _, hard = resource.getrlimit(which)
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (bound, bound))
    _memory_limited = True


if __name__ == "__main__":
    main()
