"""The tensor encoding: what goes in comes out, and nothing else is accepted."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from inference.runtime import wire

tensors = st.dictionaries(
    st.text(min_size=1, max_size=12),
    st.sampled_from([np.uint8, np.float16, np.float32, np.int64]).flatmap(
        lambda dtype: arrays.arrays(
            dtype, arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
        )
    ),
    max_size=4,
)
values = st.dictionaries(st.text(max_size=8), st.floats(allow_nan=False, allow_infinity=False), max_size=3)


@given(tensors, values)
def test_what_is_encoded_is_decoded(sent: dict[str, np.ndarray], numbers: dict[str, float]) -> None:
    received, got = wire.decode(wire.encode(sent, numbers))
    assert list(received) == list(sent)
    for name, tensor in sent.items():
        assert received[name].shape == tensor.shape and received[name].dtype == tensor.dtype
        np.testing.assert_array_equal(received[name], tensor)
    assert got == numbers


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(noise: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.decode(noise)


@given(tensors, st.data())
def test_a_damaged_message_is_refused_or_harmless(sent: dict[str, np.ndarray], data: st.DataObject) -> None:
    body = bytearray(wire.encode(sent))
    position = data.draw(st.integers(0, len(body) - 1))
    body[position] ^= data.draw(st.integers(1, 255))
    try:
        received, _ = wire.decode(body)
    except wire.WireError:
        return
    assert sum(tensor.nbytes for tensor in received.values()) <= len(body)


@given(tensors, st.integers(1, 30))
def test_a_truncated_message_is_refused(sent: dict[str, np.ndarray], cut: int) -> None:
    with pytest.raises(wire.WireError):
        wire.decode(wire.encode(sent)[:-cut])


def message(header: object, data: bytes = b"") -> bytes:
    raw = json.dumps(header).encode()
    return wire.MAGIC + struct.pack("<BI", wire.VERSION, len(raw)) + raw + data


@pytest.mark.parametrize(
    "body",
    [
        message({"tensors": [{"name": "a", "dtype": "object", "shape": [1]}], "values": {}}, b"\0"),
        message({"tensors": [{"name": "a", "dtype": "uint8", "shape": [-1]}], "values": {}}),
        message({"tensors": [{"name": "a", "dtype": "uint8", "shape": [2**62, 4]}], "values": {}}),
        message({"tensors": [{"name": "a", "dtype": "uint8", "shape": [True]}], "values": {}}, b"\0"),
        message({"tensors": [{"name": "a", "dtype": "uint8", "shape": [1]}] * 2, "values": {}}, b"\0\0"),
        message({"tensors": [], "values": {"a": "1"}}),
        message({"tensors": [], "values": {}}, b"more"),
        message([]),
        message(None),
        wire.MAGIC + struct.pack("<BI", 9, 2) + b"{}",
        wire.MAGIC + struct.pack("<BI", 1, 2**31) + b"{}",
        wire.MAGIC + struct.pack("<BI", 1, 9000) + b"[" * 9000,
    ],
)
def test_a_lying_header_is_refused_before_memory_is_taken(body: bytes) -> None:
    with pytest.raises(wire.WireError):
        wire.decode(body)


def test_what_cannot_be_sent_is_said_so() -> None:
    with pytest.raises(wire.WireError, match="cannot be sent"):
        wire.encode({"a": np.zeros(2, np.complex64)})
    with pytest.raises(wire.WireError, match="finite"):
        wire.encode({}, {"a": float("nan")})
