"""The readers, in a process of their own: a file that crashes, fills or stops a decoder costs one error.

Each function here is one of `imaging.operations`, run in a forked child with a memory, a CPU and a wall-clock limit
(see `imaging.fork_server`). Safe from any thread, from Celery's forked workers and from a command line; everything ends
with the process that uses it. Raises only `ImagingError`.

    from imaging import sandbox
    description = sandbox.describe(path)
    pixels = sandbox.read(path, frame=0)
"""

from __future__ import annotations

import functools
import json
import logging
import os
import select
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from imaging import confinement, messages, operations
from imaging.deepzoom import STANDARD, Layout
from imaging.errors import DecoderUnavailable, TooLarge
from imaging.operations import Operation
from imaging.passed_tiles import PassedTiles

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

_LATE_SECONDS = 5.0
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "HOME")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may use. `memory_bytes` counts beyond the imported libraries."""

    memory_bytes: int = 2 * 1024**3
    cpu_seconds: int = 60
    wall_seconds: float = 90.0


class Sandbox:
    """A fork server and a bound on how many children it has at a time.

    Most callers use the functions of this module, which share one. Callers beyond `concurrency` wait up to
    `queue_seconds`.
    """

    def __init__(
        self, limits: Limits | None = None, *, concurrency: int | None = None, queue_seconds: float = 120.0
    ) -> None:
        self.limits = limits or Limits()
        self.concurrency = concurrency or max(2, min(4, os.cpu_count() or 2))
        self.queue_seconds = queue_seconds
        self._reset()
        _instances.add(self)

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(self.concurrency)
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def bound(self, limits: Limits, *, concurrency: int) -> None:
        """Other limits than those it was made with, before its first file: a small machine has less to give."""
        assert self._process is None, "it is at work"
        self.limits, self.concurrency = limits, concurrency
        self._reset()

    def call(self, operation: Operation[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the operation in a child process.

        Raises
        ------
        ImagingError
            What the reader said of the file; `TooLarge` beyond a limit; `DecoderUnavailable` where no child could be
            had, which is worth another try later.
        TypeError
            These are no arguments of the operation.
        """
        arguments = operation.arguments(*args, **kwargs)
        if not self._slots.acquire(timeout=self.queue_seconds):
            raise DecoderUnavailable("The decoders are busy. Try again in a moment.")
        try:
            for _ in range(2):
                answer = self._attempt(operation.name, arguments)
                if answer is not None:
                    return operation.result(*answer)
            raise DecoderUnavailable("The decoding process ended twice without an answer.")
        finally:
            self._slots.release()

    def function(self, operation: Operation[P, R]) -> Callable[P, R]:
        """The operation as a function that runs in a child process: same arguments, same result."""

        @functools.wraps(operation.function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            return self.call(operation, *args, **kwargs)

        return call

    def start(self) -> None:
        """Start the fork server now, so that the first file does not wait half a second for it."""
        with self._lock:
            self._running_fork_server()

    def close(self) -> None:
        """End the fork server and its children."""
        with self._lock:
            self._stop()

    def _attempt(
        self, operation: str, arguments: dict[str, Any]
    ) -> tuple[Any, NDArray[Any] | bytes | None] | None:
        """None where the fork server itself was lost, which is worth another try."""
        job = {"operation": operation, "arguments": arguments, "limits": asdict(self.limits)}
        message = json.dumps(job).encode()
        if len(message) > messages.MESSAGE_LIMIT:
            raise DecoderUnavailable("The request to the decoders is too long.")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            with theirs, self._lock:
                control = self._running_fork_server()
                try:
                    socket.send_fds(control, [message], [theirs.fileno()])
                except OSError:
                    self._stop()
                    return None
            answer = self._wait_for_result(ours)
        if answer is None:
            with self._lock:
                # Another thread may have noticed first and started the next one.
                if self._control is control:
                    self._stop()
        return answer

    def _wait_for_result(self, reply: socket.socket) -> tuple[Any, NDArray[Any] | bytes | None] | None:
        # poll and not select: a busy server has file descriptors above 1024.
        waiting = select.poll()
        waiting.register(reply, select.POLLIN)
        if not waiting.poll((self.limits.wall_seconds + _LATE_SECONDS) * 1000):
            raise TooLarge("Decoding this file takes too long.", code="too_slow")
        return messages.receive_result(reply)

    def _running_fork_server(self) -> socket.socket:
        if self._control is not None and self._process is not None and self._process.poll() is None:
            return self._control
        self._stop()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        environment |= {
            "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "MALLOC_ARENA_MAX": "2",
        }
        try:
            # The environment is cut down to what a decoder needs: no database address, no keys.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "imaging.fork_server", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
                cwd="/",
            )
        except OSError as error:
            ours.close()
            raise DecoderUnavailable("The decoding process cannot be started.") from error
        finally:
            theirs.close()
        self._control = ours
        return ours

    def _stop(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            try:
                self._process.wait(timeout=2)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def _detach_after_fork(self) -> None:
        """In a forked process: the fork server belongs to the parent. Let go of its socket without a word."""
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            # Not our child any more; Popen would warn that it still runs.
            self._process.returncode = 0
        self._reset()


_instances: weakref.WeakSet[Sandbox] = weakref.WeakSet()


def _detach_all_after_fork() -> None:
    for instance in list(_instances):
        instance._detach_after_fork()


os.register_at_fork(after_in_child=_detach_all_after_fork)

SHARED = Sandbox()


def start() -> None:
    """Warm up, for a server that is about to take requests; say where decoders are less confined than they could be."""
    if missing := confinement.offered().missing:
        logger.warning("there is no %s here: decoders run without", " and no ".join(missing))
    SHARED.start()


describe = SHARED.function(operations.describe)
describe_object = SHARED.function(operations.describe_object)
read = SHARED.function(operations.read)
thumbnail = SHARED.function(operations.thumbnail)
rendered = SHARED.function(operations.rendered)
describe_slide = SHARED.function(operations.describe_slide)
crops = SHARED.function(operations.crops)
slide_dzi = SHARED.function(operations.slide_dzi)
native_tiles = SHARED.function(operations.native_tiles)
slide_thumbnail = SHARED.function(operations.slide_thumbnail)
read_slide = SHARED.function(operations.read_slide)


_passed = PassedTiles(native_tiles)


@functools.wraps(operations.slide_tile.function)
def slide_tile(
    files: operations.SlideFiles,
    level: int,
    column: int,
    row: int,
    *,
    plane: int | None = None,
    path: int | None = None,
) -> bytes:
    # A tile that lies in the slide's file as it is, is passed on from there.
    alone = _only_file(files)
    if alone is not None and not plane and not path:
        tile = _passed.tile(alone, level, column, row)
        if tile is not None:
            return tile
    return SHARED.call(operations.slide_tile, files, level, column, row, plane=plane, path=path)


def slide_layout(files: operations.SlideFiles) -> Layout:
    """How a slide is cut into tiles."""
    alone = _only_file(files)
    return STANDARD if alone is None else _passed.layout(alone)


def _only_file(files: operations.SlideFiles) -> str | Path | None:
    """The one file of a slide; slides of several are DICOM and are cut here."""
    if isinstance(files, str | Path):
        return files
    return files[0] if len(files) == 1 else None


def slide_strips(
    files: operations.SlideFiles,
    um_per_px: float,
    rows_per_strip: int = 1024,
    native_um_per_px: float | None = None,
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """The whole slide at `um_per_px` from top to bottom, one strip in memory: (first row, H×W×3 uint8).

    `native_um_per_px` is the resolution of level 0 where the study states it; else the slide's own counts.
    """
    top, total = 0, 1
    while top < total:
        strip = SHARED.call(operations.slide_strip, files, um_per_px, top, rows_per_strip, native_um_per_px)
        yield top, strip.values
        top, total = top + rows_per_strip, strip.total_rows
