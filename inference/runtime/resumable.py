"""A whole slide's forward passes, kept while it is analysed, so that an analysis that was killed, or gave way to
something more urgent, goes on: in another process, on another machine.

A slide comes in strips and its fields go to the network a hundred at a time (`runtime.histopathology`). What the
network said of each such batch is remembered and handed to a `Keeping` now and then, and before the analysis gives way;
when the same slide is analysed again, a batch with the same pixels is answered from there. Reading and cutting a slide
is repeated, its forward passes, nearly all of the time, are not. The pipeline sees an ordinary `Forward`, and the
result is bit for bit that of an analysis that nobody interrupted.

    "CADP" · SHA-256 of what the passes are of (32 bytes: weights, preprocessing) · then for each pass:
    SHA-256 of the batch (32 bytes) · length (4 bytes, little endian) · SHA-256 of the message (32 bytes) ·
    the outputs and `model_ms` as `runtime.wire` writes them
"""

from __future__ import annotations

import hashlib
import logging
import os
import struct
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from inference.contract import GaveWay, ModelManifest
from inference.runtime import wire
from inference.runtime.forward import Forward, ForwardOutput

#: Smaller batches cost less to compute again than to keep: photographs and single fields leave nothing.
SMALLEST_BATCH = 64
#: So many seconds of work a kill may cost.
KEEP_EVERY_SECONDS = 5.0
_MAGIC = b"CADP"
_HEAD = struct.Struct("<32sI32s")
_MODEL_MS = "model_ms"

logger = logging.getLogger(__name__)


class Keeping(Protocol):
    """Where an analysis keeps what it has so far, and who asks it to give way."""

    def read(self) -> bytes:
        """What was kept last; empty where nothing was, or it cannot be had now."""

    def write(self, content: bytes) -> bool:
        """Keep this instead, durable on return. Whether it could be kept."""

    def gives_way(self) -> bool:
        """Whether the analysis shall stop at the next opportunity. Asked before every pass."""


class ResumableForward:
    """A `Forward` that remembers what `forward` answered to large batches.

    Content of which the end is missing or damaged counts up to its last whole entry; that of other weights counts for
    nothing. Where nothing can be kept, passes are computed all the same, and the analysis gives way to nobody.
    """

    def __init__(self, forward: Forward, keeping: Keeping, of: bytes = bytes(32)) -> None:
        self.known = 0
        """passes that were answered from what was kept"""
        self._forward = forward
        self._keeping = keeping
        self._head = _MAGIC + of
        self._entries: dict[bytes, bytes] | None = None
        self._kept = 0
        self._kept_at = time.monotonic()

    def __call__(self, tensor: NDArray[Any], /) -> ForwardOutput:
        """See `runtime.forward.Forward`.

        Raises
        ------
        GaveWay
            Instead of the next pass, when somebody asked for it.
        """
        if len(tensor) < SMALLEST_BATCH:
            return self._forward(tensor)
        entries = self._remembered()
        name = _digest_of(tensor)
        if name in entries:
            self.known += 1
            return _output(entries[name])
        if self._keeping.gives_way() and self._keep():
            raise GaveWay("something more urgent waits")
        output = self._forward(tensor)
        # The time was spent before the interruption, too: a result's `model_ms` counts every pass once.
        entries[name] = wire.encode(output.outputs, {_MODEL_MS: output.model_ms})
        if time.monotonic() - self._kept_at >= KEEP_EVERY_SECONDS:
            self._keep()
        return output

    def _remembered(self) -> dict[bytes, bytes]:
        if self._entries is None:
            self._entries = _entries_of(self._keeping.read(), self._head)
            self._kept = len(self._entries)
            if self._entries:
                logger.info("%d passes are known from before", len(self._entries))
        return self._entries

    def _keep(self) -> bool:
        """Whether everything so far is kept."""
        self._kept_at = time.monotonic()
        entries = self._entries or {}
        if len(entries) == self._kept:
            return True
        parts = [self._head]
        for name, message in entries.items():
            parts += [_HEAD.pack(name, len(message), hashlib.sha256(message).digest()), message]
        if not self._keeping.write(b"".join(parts)):
            return False
        self._kept = len(entries)
        return True


class KeptInFile:
    """Keeps an analysis in a file, for the command line: a killed run goes on when it is repeated. Nobody asks it to
    give way."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> bytes:
        """See `Keeping`."""
        try:
            return self.path.read_bytes()
        except OSError:
            return b""

    def write(self, content: bytes) -> bool:
        """See `Keeping`."""
        try:
            descriptor, name = tempfile.mkstemp(dir=self.path.parent, suffix=".part")
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            Path(name).replace(self.path)
        except OSError as error:
            logger.warning("passes are not kept in %s: %s", self.path.parent, error.strerror)
            return False
        return True

    def gives_way(self) -> bool:
        """See `Keeping`."""
        return False

    def forget(self) -> None:
        """The analysis has ended."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)


def resumable(forward: Forward, manifest: ModelManifest, keeping: Keeping | None) -> Forward:
    """`forward`, or one that keeps its passes where the model reads slides."""
    if keeping is None or "slide" not in manifest.input.kinds:
        return forward
    parts = (manifest.weights.sha256, manifest.preprocessing_sha256, manifest.contract_version)
    return ResumableForward(forward, keeping, hashlib.sha256("\n".join(parts).encode()).digest())


def _digest_of(tensor: NDArray[Any]) -> bytes:
    digest = hashlib.sha256(f"{tensor.dtype.str}{tensor.shape}".encode())
    digest.update(np.ascontiguousarray(tensor).data)
    return digest.digest()


def _output(message: bytes) -> ForwardOutput:
    tensors, values = wire.decode(message)
    return ForwardOutput(dict(tensors), values[_MODEL_MS])


def _entries_of(content: bytes, head: bytes) -> dict[bytes, bytes]:
    """Batch → message, up to the last whole entry."""
    entries: dict[bytes, bytes] = {}
    if not content.startswith(head):
        return entries
    at = len(head)
    while len(content) - at >= _HEAD.size:
        name, length, digest = _HEAD.unpack_from(content, at)
        message = content[at + _HEAD.size : at + _HEAD.size + length]
        if len(message) < length or hashlib.sha256(message).digest() != digest:
            break
        entries[name] = message
        at += _HEAD.size + length
    return entries
