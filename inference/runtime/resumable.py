"""A whole slide's forward passes, kept on disk while it is analysed, so that a killed analysis goes on.

A slide comes in strips and its fields go to the network a few hundred at a time (`serving.histopathology`).
What the network said of each such batch is appended to one small file; when the same slide is analysed
again, a batch with the same pixels is answered from there. Reading and cutting a slide is repeated, its
forward passes, nearly all of the time, are not. The pipeline sees an ordinary `Forward`.

    "CADP" · then for each pass: SHA-256 of the batch (32 bytes) · length (4 bytes, little endian) ·
    SHA-256 of the message (32 bytes) · the outputs and `model_ms` as `runtime.wire` writes them
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from inference.contract import AnalysisError, AnalysisRequest, ImageReference, ModelManifest
from inference.runtime import wire
from inference.runtime.forward import Forward, ForwardOutput
from inference.runtime.study import files_of

SUFFIX = ".partial"
#: Smaller batches cost less to compute again than to keep: photographs and single fields leave no file.
SMALLEST_BATCH = 64
#: An analysis that nobody took up again within this time is not going to be.
FORGET_SECONDS = 7 * 24 * 3600
_MAGIC = b"CADP"
_HEAD = struct.Struct("<32sI32s")
_MODEL_MS = "model_ms"

logger = logging.getLogger(__name__)


class ResumableForward:
    """A `Forward` that remembers, in `file`, what `forward` answered to large batches.

    A file of which a process died while writing, or that is damaged, counts up to its last whole entry. Where
    another process holds the file, or the disk is full, passes are computed and not kept.
    """

    def __init__(self, forward: Forward, file: Path) -> None:
        self.path = file
        self.kept = 0
        """passes that were answered from the file"""
        self._forward = forward
        self._file: BinaryIO | None = None
        self._opened = False
        self._places: dict[bytes, tuple[int, int]] = {}

    def __call__(self, tensor: NDArray[Any], /) -> ForwardOutput:
        """See `runtime.forward.Forward`."""
        if len(tensor) < SMALLEST_BATCH:
            return self._forward(tensor)
        self._open()
        name = _digest_of(tensor)
        known = self._read(name)
        if known is not None:
            self.kept += 1
            return known
        output = self._forward(tensor)
        self._write(name, output)
        return output

    def close(self, *, finished: bool) -> None:
        """Let the file go; remove it where the analysis is `finished` and it is ours."""
        if self._file is None:
            return
        if finished:
            self.path.unlink(missing_ok=True)
        self._file.close()
        self._file = None

    def _open(self) -> None:
        if self._opened:
            return
        self._opened = True
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            _forget_old(self.path.parent)
            file = self.path.open("a+b")
        except OSError as error:
            logger.warning("passes are not kept in %s: %s", self.path.parent, error.strerror)
            return
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            logger.warning("passes are not kept: another process analyses the same slide")
            file.close()
            return
        self._file = file
        self._places = _scan(file)
        if self._places:
            logger.info("%d passes are known from before", len(self._places))

    def _read(self, name: bytes) -> ForwardOutput | None:
        place = self._places.get(name)
        if place is None or self._file is None:
            return None
        self._file.seek(place[0])
        tensors, values = wire.decode(self._file.read(place[1]))
        return ForwardOutput(dict(tensors), values[_MODEL_MS])

    def _write(self, name: bytes, output: ForwardOutput) -> None:
        if self._file is None:
            return
        # The time was spent before the kill, too: a result's `model_ms` counts every pass once.
        message = wire.encode(output.outputs, {_MODEL_MS: output.model_ms})
        end = self._file.seek(0, os.SEEK_END)
        try:
            self._file.write(_HEAD.pack(name, len(message), hashlib.sha256(message).digest()) + message)
            self._file.flush()
        except OSError as error:
            logger.warning("passes are no longer kept in %s: %s", self.path, error.strerror)
            self.path.unlink(missing_ok=True)
            with suppress(OSError):  # what is still buffered does not fit either
                self._file.close()
            self._file = None
            return
        self._places[name] = (end + _HEAD.size, len(message))


def file_of(folder: Path, image: ImageReference, manifest: ModelManifest) -> Path:
    """Where the passes of this image with exactly these weights lie. The image goes by its SHA-256 where the
    request gives one, else by its path, size and time of change."""
    if image.sha256 is not None:
        identity = image.sha256
    else:
        found = [(path, path.stat()) for path in files_of(image)]
        identity = " ".join(f"{path} {each.st_size} {each.st_mtime_ns}" for path, each in sorted(found))
    parts = (
        identity,
        str(image.spacing_um),
        manifest.weights.sha256,
        manifest.preprocessing_sha256,
        manifest.contract_version,
    )
    return folder / (hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32] + SUFFIX)


@contextmanager
def resumable(
    forward: Forward, request: AnalysisRequest, manifest: ModelManifest, folder: Path | None
) -> Iterator[Forward]:
    """`forward`, or one that keeps its passes under `folder` where the model reads slides.

    The file is removed when the analysis ends, with a result or with an error that trying again cannot mend;
    it stays where the process is killed or the model server goes away.
    """
    file = None
    if folder is not None and "slide" in manifest.input.kinds:
        # A request of several images shares the first one's file: batches go by their own pixels.
        with suppress(OSError):  # the reader says in its own words what is wrong with the image
            file = file_of(folder, request.images[0], manifest)
    if file is None:
        yield forward
        return
    keeping = ResumableForward(forward, file)
    finished = False
    try:
        yield keeping
        finished = True
    except AnalysisError as error:
        finished = not error.retryable
        raise
    finally:
        keeping.close(finished=finished)


def _digest_of(tensor: NDArray[Any]) -> bytes:
    digest = hashlib.sha256(f"{tensor.dtype.str}{tensor.shape}".encode())
    digest.update(np.ascontiguousarray(tensor).data)
    return digest.digest()


def _scan(file: BinaryIO) -> dict[bytes, tuple[int, int]]:
    """Where each whole entry's message lies; what follows the last whole one is cut off."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    places: dict[bytes, tuple[int, int]] = {}
    end = len(_MAGIC)
    if file.read(len(_MAGIC)) != _MAGIC:
        file.truncate(0)
        file.write(_MAGIC)
        file.flush()
        return places
    while size - end >= _HEAD.size:
        name, length, digest = _HEAD.unpack(file.read(_HEAD.size))
        if length > size - end - _HEAD.size:
            break
        message = file.read(length)
        if hashlib.sha256(message).digest() != digest:
            break
        places[name] = (end + _HEAD.size, length)
        end += _HEAD.size + length
    if end < size:
        file.truncate(end)
    return places


def _forget_old(folder: Path) -> None:
    before = time.time() - FORGET_SECONDS
    for stale in folder.glob(f"*{SUFFIX}"):
        try:
            if stale.stat().st_mtime < before:
                stale.unlink()
        except OSError:  # another process was faster
            continue
