"""What the asking process, the fork server and the decoding processes say to each other.

One message is one JSON object over a local socket (SOCK_SEQPACKET). A long value and every array travel in sealed
shared memory whose descriptor comes with the message: no pickle, no copy, and nothing that could be executed.

To the fork server: `{"operation", "arguments", "limits"}` with one descriptor, the socket that the answer goes to.
Back on that socket: `{"ok": true, …}`, `{"error", "reason", "code"}` from a reader, `{"died": exit code}` or
`{"unavailable": true}` from the fork server.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import mmap
import os
import signal
import socket
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging import errors
from imaging.errors import ImagingError

MESSAGE_LIMIT = 64 * 1024
_INLINE_LIMIT = 16 * 1024
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
_DTYPES = {"|u1", "<u2", "<i2", "|i1"}


def send(connection: socket.socket, message: dict[str, Any]) -> None:
    """Send one short message; an end that has gone away is nobody's error."""
    with contextlib.suppress(OSError):
        connection.send(json.dumps(message).encode())


def error_message(error: ImagingError) -> dict[str, Any]:
    """What `receive_result` turns back into the error."""
    return {"error": type(error).__name__, "reason": error.reason, "code": error.code}


def send_result(connection: socket.socket, value: Any, array: NDArray[Any] | bytes | None) -> None:
    """A JSON value inline, or in the shared memory where it is long; the array always in shared memory."""
    head: dict[str, Any] = {"ok": True}
    text = json.dumps(value).encode()
    if array is None and len(text) <= _INLINE_LIMIT:
        head["value"] = value
        send(connection, head)
        return
    shared = os.memfd_create("decoded", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
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
        fcntl.fcntl(shared, fcntl.F_ADD_SEALS, _SEALS)
        with contextlib.suppress(OSError):
            socket.send_fds(connection, [json.dumps(head).encode()], [shared])
    finally:
        # A decoding process serves many files; the receiver has its own descriptor by now.
        os.close(shared)


def receive_result(connection: socket.socket) -> tuple[Any, NDArray[Any] | bytes | None] | None:
    """The value and the array of the next message; None where the other end has gone without one.

    An array is a private, writable mapping of what was sent: `|u1`, `|i1`, `<u2` or `<i2` of any shape.

    Raises
    ------
    ImagingError
        The one that the message tells of; `DamagedFile` where the message is not what it says.
    """
    try:
        message, descriptors, _, _ = socket.recv_fds(connection, MESSAGE_LIMIT, 1)
    except ConnectionResetError:
        return None
    try:
        if not message:
            return None
        head = json.loads(message)
        if "ok" not in head:
            raise _error_of(head)
        return _unpacked(head, descriptors[0] if descriptors else None)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise errors.DamagedFile("The decoder's answer cannot be read.") from error
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _unpacked(head: dict[str, Any], shared: int | None) -> tuple[Any, NDArray[Any] | bytes | None]:
    """A decoding process is not trusted: seals, sizes and types are checked before anything is mapped."""
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
    if fcntl.fcntl(shared, fcntl.F_GET_SEALS) & _SEALS != _SEALS or size != length + int(head["value_bytes"]):
        raise errors.DamagedFile("The decoder's answer is incomplete.")
    mapped = mmap.mmap(shared, size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    value = json.loads(mapped[length:size])
    if array is None:
        return value, None
    if "bytes" in array:
        return value, mapped[:length]
    return value, np.frombuffer(mapped, dtype=dtype, count=length // dtype.itemsize).reshape(shape)


def _error_of(head: dict[str, Any]) -> ImagingError:
    if "error" in head:
        kind = getattr(errors, str(head["error"]), None)
        if isinstance(kind, type) and issubclass(kind, ImagingError):
            return kind(str(head["reason"]), code=str(head["code"]))
    if "unavailable" in head:
        return errors.DecoderUnavailable("No decoding process could be started.")
    died = head.get("died")
    if died in (-signal.SIGALRM, -signal.SIGXCPU):
        return errors.TooLarge("Decoding this file takes too long.", code="too_slow")
    if died == -signal.SIGXFSZ:
        return errors.TooLarge("Decoding this file needs more memory than one file may have.")
    if died == -signal.SIGKILL:
        # None of our own limits does this: the kernel wanted memory for somebody else, or a person ended it.
        return errors.DecoderUnavailable("The decoder was stopped because the machine ran short of memory.")
    return errors.DamagedFile("The file is damaged: its decoder failed on it.", code="decoder_crashed")
