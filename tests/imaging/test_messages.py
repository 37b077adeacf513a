"""An answer of a decoding process is believed only as far as it can be checked."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from imaging import messages, operations
from imaging.errors import DamagedFile, DecoderUnavailable, NoSuchFrame, TooLarge

SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
GRAY = np.arange(12, dtype=np.uint16).reshape(3, 4)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


def sent(pair: tuple[socket.socket, socket.socket], head: Any, data: bytes, seals: int = SEALS) -> Any:
    """What is received of a forged answer."""
    shared = os.memfd_create("forged", os.MFD_ALLOW_SEALING)
    os.write(shared, data)
    fcntl.fcntl(shared, fcntl.F_ADD_SEALS, seals)
    socket.send_fds(pair[1], [json.dumps(head).encode()], [shared])
    os.close(shared)
    return messages.receive_result(pair[0])


@pytest.mark.parametrize("array", [GRAY, b"a JPEG", None])
@pytest.mark.parametrize("value", [{"a": [1, 2]}, "x" * 100_000])
def test_a_value_and_an_array_arrive_as_they_were_sent(pair: Any, value: Any, array: Any) -> None:
    messages.send_result(pair[1], value, array)
    received = messages.receive_result(pair[0])
    assert received is not None
    assert received[0] == value
    if isinstance(array, np.ndarray):
        assert isinstance(received[1], np.ndarray) and received[1].flags.writeable
        np.testing.assert_array_equal(received[1], array)
    else:
        assert received[1] == array


@pytest.mark.parametrize(
    "error", [NoSuchFrame("There is no frame 7."), TooLarge("Too slow.", code="too_slow")]
)
def test_a_readers_error_arrives_as_itself(pair: Any, error: Any) -> None:
    messages.send(pair[1], messages.error_message(error))
    with pytest.raises(type(error)) as raised:
        messages.receive_result(pair[0])
    assert (raised.value.reason, raised.value.code) == (error.reason, error.code)


def test_an_end_that_has_gone_is_no_answer(pair: Any) -> None:
    pair[1].close()
    assert messages.receive_result(pair[0]) is None
    messages.send(pair[0], {"to": "nobody"})


HEAD = {"ok": True, "value_bytes": 4, "array": {"dtype": "<u2", "shape": [3, 4]}}


def test_memory_that_could_still_be_shrunk_is_refused(pair: Any) -> None:
    whole = GRAY.tobytes() + b"null"
    assert sent(pair, HEAD, whole)[1].shape == (3, 4)
    for missing in (fcntl.F_SEAL_SHRINK, fcntl.F_SEAL_WRITE):
        with pytest.raises(DamagedFile):
            sent(pair, HEAD, whole, SEALS & ~missing)


@pytest.mark.parametrize(
    "head",
    [
        HEAD | {"array": {"dtype": "<u2", "shape": [300, 400]}},
        HEAD | {"array": {"dtype": "|O8", "shape": [3, 1]}},
        HEAD | {"array": {"dtype": "<u2", "shape": "wide"}},
        HEAD | {"array": {}},
        {"ok": True},
        ["ok"],
    ],
)
def test_an_answer_that_contradicts_itself_is_refused(pair: Any, head: Any) -> None:
    with pytest.raises(DamagedFile):
        sent(pair, head, GRAY.tobytes() + b"null")


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        ({"died": -9}, DecoderUnavailable),
        ({"died": -14}, TooLarge),
        ({"died": -11}, DamagedFile),
        ({"unavailable": True}, DecoderUnavailable),
        ({"error": "SystemExit", "reason": "", "code": ""}, DamagedFile),
    ],
)
def test_how_a_child_ended_says_whose_fault_it_was(pair: Any, head: Any, kind: Any) -> None:
    messages.send(pair[1], head)
    with pytest.raises(kind):
        messages.receive_result(pair[0])


@pytest.mark.parametrize(
    ("operation", "value", "array"),
    [
        (operations.read, {"photometric": "RGB"}, GRAY),
        (operations.read, {}, None),
        (operations.thumbnail, None, GRAY),
        (operations.describe, {"kind": "dicom"}, None),
        (operations.slide_strip, None, GRAY),
    ],
)
def test_a_result_of_another_kind_is_refused(operation: Any, value: Any, array: Any) -> None:
    with pytest.raises(DamagedFile):
        operation.result(value, array)
