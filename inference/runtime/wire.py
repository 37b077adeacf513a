"""Named tensors as bytes, both directions between a pipeline and the model server.

    "CADT" · version (1 byte) · header length (4 bytes, little endian) · header (JSON, UTF-8) · data

The header is `{"tensors": [{"name", "dtype", "shape"}, …], "values": {name: number}}`; the data are the
tensors' elements, little endian, C order, one after the other, nothing between or after. Every length is
checked before memory is taken; nothing is executed.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONTENT_TYPE = "application/octet-stream"
MAGIC = b"CADT"
VERSION = 1
MAX_HEADER_BYTES = 16 * 1024
MAX_BODY_BYTES = 64 * 1024 * 1024
#: Of one input that is sent to a host; with what is around it, less than the hosts of the set-up take.
MOST_ASKED_BYTES = 15 * 1024 * 1024
MAX_TENSORS = 16
MAX_DIMENSIONS = 6
_DTYPES = {"uint8": "|u1", "float16": "<f2", "float32": "<f4", "int64": "<i8"}

Tensors = Mapping[str, NDArray[Any]]


class WireError(ValueError):
    """The bytes are no message of this encoding, or one beyond its bounds."""


def encode(tensors: Tensors, values: Mapping[str, float] | None = None) -> bytes:
    """`tensors` of uint8, float16, float32 or int64 and finite `values` as one message.

    Raises
    ------
    WireError
        Another dtype, too many tensors or dimensions, or more than `MAX_BODY_BYTES`.
    """
    if len(tensors) > MAX_TENSORS:
        raise WireError(f"{len(tensors)} tensors, at most {MAX_TENSORS} go into a message")
    entries, parts = [], []
    for name, tensor in tensors.items():
        if tensor.dtype.name not in _DTYPES or tensor.ndim > MAX_DIMENSIONS:
            raise WireError(f"tensor {name}: {tensor.dtype} with {tensor.ndim} dimensions cannot be sent")
        entries.append({"name": name, "dtype": tensor.dtype.name, "shape": list(tensor.shape)})
        parts.append(np.ascontiguousarray(tensor, dtype=_DTYPES[tensor.dtype.name]).tobytes())
    try:
        header = json.dumps({"tensors": entries, "values": dict(values or {})}, allow_nan=False).encode()
    except ValueError as error:
        raise WireError("values must be finite numbers") from error
    if len(header) > MAX_HEADER_BYTES:
        raise WireError(f"the header has {len(header)} bytes, at most {MAX_HEADER_BYTES} are allowed")
    body = b"".join((MAGIC, struct.pack("<BI", VERSION, len(header)), header, *parts))
    if len(body) > MAX_BODY_BYTES:
        raise WireError(f"the message has {len(body)} bytes, at most {MAX_BODY_BYTES} are allowed")
    return body


def decode(body: bytes | bytearray | memoryview) -> tuple[dict[str, NDArray[Any]], dict[str, float]]:
    """The tensors (read-only views of `body`) and values of a message.

    Raises
    ------
    WireError
        Anything about `body` is not as this module's docstring says.
    """
    raw = bytes(body)
    if len(raw) > MAX_BODY_BYTES:
        raise WireError(f"the message has {len(raw)} bytes, at most {MAX_BODY_BYTES} are allowed")
    if raw[:4] != MAGIC or len(raw) < 9:
        raise WireError("not a tensor message: the magic bytes are missing")
    version, header_length = struct.unpack_from("<BI", raw, 4)
    if version != VERSION:
        raise WireError(f"version {version} of the encoding is unknown here")
    if header_length > MAX_HEADER_BYTES or 9 + header_length > len(raw):
        raise WireError(f"a header of {header_length} bytes does not fit")
    try:
        header = json.loads(raw[9 : 9 + header_length].decode("utf-8"))
        entries, values = header["tensors"], header["values"]
        if not isinstance(entries, list) or not isinstance(values, dict) or len(entries) > MAX_TENSORS:
            raise WireError("the header's tensors or values are malformed")
        numbers = {str(name): _number(value) for name, value in values.items()}
        described = [_entry(entry) for entry in entries]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        if isinstance(error, WireError):
            raise
        raise WireError("the header is not what it should be") from error
    tensors: dict[str, NDArray[Any]] = {}
    offset = 9 + header_length
    for name, dtype, shape in described:
        count = math.prod(shape)
        size = count * np.dtype(dtype).itemsize
        if name in tensors or offset + size > len(raw):
            raise WireError(f"tensor {name} is named twice or cut short")
        tensors[name] = np.frombuffer(raw, dtype, count, offset).reshape(shape)
        offset += size
    if offset != len(raw):
        raise WireError(f"{len(raw) - offset} bytes follow the last tensor")
    return tensors, numbers


def _entry(entry: Any) -> tuple[str, str, tuple[int, ...]]:
    name, dtype, shape = entry["name"], entry["dtype"], entry["shape"]
    if not isinstance(name, str) or dtype not in _DTYPES or not isinstance(shape, list):
        raise WireError("a tensor's name, dtype or shape is malformed")
    if len(shape) > MAX_DIMENSIONS or not all(
        isinstance(n, int) and not isinstance(n, bool) and 0 <= n <= MAX_BODY_BYTES for n in shape
    ):
        raise WireError(f"tensor {name}: the shape is malformed")
    return name, _DTYPES[dtype], tuple(shape)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise WireError("a value is not a finite number")
    return float(value)
