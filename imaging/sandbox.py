"""The readers, in a process of their own: a file that crashes, fills or stops a decoder costs one error.

Every function here has its counterpart in `imaging.sandboxed` and runs in a forked child with a
memory, a CPU and a wall-clock limit (see `imaging.nursery`). Safe from any thread, from Celery's forked
workers and from a command line; everything ends with the process that uses it. Raises only `ImagingError`.

    from imaging import sandbox
    description = sandbox.describe(path)
    pixels = sandbox.read(path, frame=0)
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging import errors
from imaging.description import Description, SlideGeometry, Window
from imaging.nursery import MESSAGE_LIMIT, SEALS
from imaging.pixels import Pixels

_LATE_SECONDS = 5.0
_DTYPES = {"|u1", "<u2", "<i2", "|i1"}
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "HOME")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may use. `memory_bytes` counts beyond the imported libraries."""

    memory_bytes: int = 2 * 1024**3
    cpu_seconds: int = 60
    wall_seconds: float = 90.0


class Sandbox:
    """A nursery and a bound on how many children it has at a time.

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

    def call(self, function: str, /, **arguments: Any) -> tuple[Any, NDArray[Any] | bytes | None]:
        """Run `imaging.sandboxed.FUNCTIONS[function]` in a child; returns its value and its array."""
        if not self._slots.acquire(timeout=self.queue_seconds):
            raise errors.DecoderUnavailable("The decoders are busy. Try again in a moment.")
        try:
            for _ in range(2):
                answer = self._once(function, arguments)
                if answer is not None:
                    return answer
            raise errors.DecoderUnavailable("The decoding process ended twice without an answer.")
        finally:
            self._slots.release()

    def start(self) -> None:
        """Start the nursery now, so that the first file does not wait half a second for it."""
        with self._lock:
            self._started()

    def close(self) -> None:
        """End the nursery and its children."""
        with self._lock:
            self._stop()

    def _once(
        self, function: str, arguments: dict[str, Any]
    ) -> tuple[Any, NDArray[Any] | bytes | None] | None:
        """None where the nursery itself was lost, which is worth another try."""
        job = {"call": function, "arguments": arguments, "limits": asdict(self.limits)}
        message = json.dumps(job).encode()
        if len(message) > MESSAGE_LIMIT:
            raise errors.DecoderUnavailable("The request to the decoders is too long.")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours:
            with theirs, self._lock:
                control = self._started()
                try:
                    socket.send_fds(control, [message], [theirs.fileno()])
                except OSError:
                    self._stop()
                    return None
            answer = self._answer(ours)
        if answer is None:
            with self._lock:
                # Another thread may have noticed first and started the next one.
                if self._control is control:
                    self._stop()
        return answer

    def _answer(self, line: socket.socket) -> tuple[Any, NDArray[Any] | bytes | None] | None:
        # poll and not select: a busy server has file descriptors above 1024.
        waiting = select.poll()
        waiting.register(line, select.POLLIN)
        if not waiting.poll((self.limits.wall_seconds + _LATE_SECONDS) * 1000):
            raise errors.TooLarge("Decoding this file takes too long.", code="too_slow")
        try:
            message, descriptors, _, _ = socket.recv_fds(line, MESSAGE_LIMIT, 1)
        except ConnectionResetError:
            message, descriptors = b"", []
        try:
            if not message:
                return None
            head = json.loads(message)
            if "ok" in head:
                return _unpacked(head, descriptors[0] if descriptors else None)
            raise _as_error(head)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _started(self) -> socket.socket:
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
                [sys.executable, "-P", "-m", "imaging.nursery", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=environment,
                cwd="/",
            )
        except OSError as error:
            ours.close()
            raise errors.DecoderUnavailable("The decoding process cannot be started.") from error
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

    def _forget(self) -> None:
        """In a forked process: the nursery belongs to the parent. Let go of its socket without a word."""
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            # Not our child any more; Popen would warn that it still runs.
            self._process.returncode = 0
        self._reset()


_instances: weakref.WeakSet[Sandbox] = weakref.WeakSet()


def _forget_all() -> None:
    for instance in list(_instances):
        instance._forget()


os.register_at_fork(after_in_child=_forget_all)

SHARED = Sandbox()


def start() -> None:
    """Warm up, for a server that is about to take requests."""
    SHARED.start()


def describe(path: str | Path, *, prove: bool = True) -> Description:
    """See `imaging.reader.describe`."""
    value, _ = SHARED.call("describe", path=str(path), prove=prove)
    return Description.model_validate(value)


def read(path: str | Path, frame: int = 0) -> Pixels:
    """See `imaging.reader.read`. The array is a private, writable mapping: no copy was made."""
    return as_pixels(*SHARED.call("read", path=str(path), frame=frame))


def thumbnail(path: str | Path, longest: int = 512, frame: int = 0) -> bytes:
    """A JPEG, at most `longest` pixels along its longer side."""
    return as_bytes(SHARED.call("thumbnail", path=str(path), longest=longest, frame=frame)[1])


def rendered(
    path: str | Path,
    frame: int = 0,
    *,
    centre: float | None = None,
    width: float | None = None,
    longest: int | None = None,
) -> bytes:
    """A PNG as a reader sees it, in the given window or the file's own."""
    arguments = {"path": str(path), "frame": frame, "centre": centre, "width": width, "longest": longest}
    return as_bytes(SHARED.call("rendered", **arguments)[1])


def slide_geometry(path: str | Path) -> SlideGeometry:
    """Levels and scale of a slide. Raises `NotAnImage` (code `not_a_slide`) for an image."""
    return SlideGeometry.model_validate(SHARED.call("slide_geometry", path=str(path))[0])


def slide_dzi(path: str | Path) -> str:
    """The DeepZoom descriptor (XML) of a slide."""
    return str(SHARED.call("slide_dzi", path=str(path))[0])


def slide_tile(path: str | Path, level: int, column: int, row: int) -> bytes:
    """One DeepZoom tile (JPEG). Raises `NoSuchFrame` outside the slide."""
    return as_bytes(SHARED.call("slide_tile", path=str(path), level=level, column=column, row=row)[1])


def read_slide(
    path: str | Path,
    box: tuple[float, float, float, float] | None = None,
    *,
    um_per_px: float | None = None,
    longest: int | None = None,
) -> Pixels:
    """A part of a slide (level-0 pixels, default all) at `um_per_px`, or `longest` pixels long at most."""
    return as_pixels(
        *SHARED.call("read_slide", path=str(path), box=box, um_per_px=um_per_px, longest=longest)
    )


def slide_strips(
    path: str | Path, um_per_px: float, rows_per_strip: int = 1024, native_um_per_px: float | None = None
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """The whole slide at `um_per_px` from top to bottom: (first row, H×W×3). One strip is in memory.

    `native_um_per_px` is the resolution of level 0 where the study states it; else the slide's own counts.
    """
    top, total = 0, 1
    while top < total:
        value, strip = SHARED.call(
            "slide_strip",
            path=str(path),
            um_per_px=um_per_px,
            top=top,
            rows=rows_per_strip,
            native_um_per_px=native_um_per_px,
        )
        if not isinstance(strip, np.ndarray):
            raise errors.DamagedFile("The slide gave no pixels.")
        yield top, strip
        top, total = top + rows_per_strip, int(value["total"])


def as_pixels(value: Any, array: NDArray[Any] | bytes | None) -> Pixels:
    """`Pixels` from what a child sent."""
    if not isinstance(array, np.ndarray):
        raise errors.DamagedFile("The file gave no pixels.")
    spacing = value["pixel_spacing_um"]
    return Pixels(
        values=array,
        photometric=value["photometric"],
        bits_stored=value["bits_stored"],
        window=Window.model_validate(value["window"]) if value["window"] else None,
        pixel_spacing_um=(spacing[0], spacing[1]) if spacing else None,
        frame=value["frame"],
        frames=value["frames"],
    )


def as_bytes(array: NDArray[Any] | bytes | None) -> bytes:
    """The byte string that a child sent."""
    if not isinstance(array, bytes):
        raise errors.DamagedFile("The file gave no picture.")
    return array


def _unpacked(head: dict[str, Any], shared: int | None) -> tuple[Any, NDArray[Any] | bytes | None]:
    """The child is not trusted: seals, sizes and types are checked before anything is mapped."""
    if shared is None:
        return head.get("value"), None
    size = os.fstat(shared).st_size
    array, length = head.get("array"), 0
    dtype = np.dtype(np.uint8)
    shape: tuple[int, ...] = ()
    if array is not None and "bytes" in array:
        length = int(array["bytes"])
    elif array is not None:
        if array["dtype"] not in _DTYPES:
            raise errors.DamagedFile("The decoder answered with pixels of an unknown kind.")
        dtype, shape = np.dtype(array["dtype"]), tuple(int(side) for side in array["shape"])
        length = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if fcntl.fcntl(shared, fcntl.F_GET_SEALS) & SEALS != SEALS or size != length + int(head["value_bytes"]):
        raise errors.DamagedFile("The decoder's answer is incomplete.")
    mapped = mmap.mmap(shared, size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    value = json.loads(mapped[length:size])
    if array is None:
        return value, None
    if "bytes" in array:
        return value, mapped[:length]
    return value, np.frombuffer(mapped, dtype=dtype, count=length // dtype.itemsize).reshape(shape)


def _as_error(head: dict[str, Any]) -> errors.ImagingError:
    if "error" in head:
        kind = getattr(errors, str(head["error"]), None)
        if isinstance(kind, type) and issubclass(kind, errors.ImagingError):
            return kind(str(head["reason"]), code=str(head["code"]))
    if "unavailable" in head:
        return errors.DecoderUnavailable("No decoding process could be started.")
    died = head.get("died")
    if died in (-signal.SIGALRM, -signal.SIGXCPU):
        return errors.TooLarge("Decoding this file takes too long.", code="too_slow")
    if died in (-signal.SIGKILL, -signal.SIGXFSZ):
        return errors.TooLarge("Decoding this file needs more memory than one file may have.")
    return errors.DamagedFile("The file is damaged: its decoder failed on it.", code="decoder_crashed")


def measure(path: str | Path, repeat: int = 20) -> dict[str, float]:
    """Milliseconds of `describe` in a warm child and in this process, medians: the sandbox's price."""
    from imaging import reader

    def median(action: Any) -> float:
        took = []
        for _ in range(repeat):
            started = time.perf_counter()
            action()
            took.append((time.perf_counter() - started) * 1000)
        return float(np.median(took))

    describe(path)
    reader.describe(path)
    inside, outside = median(lambda: describe(path)), median(lambda: reader.describe(path))
    return {"sandboxed_ms": inside, "in_process_ms": outside, "overhead_ms": inside - outside}
