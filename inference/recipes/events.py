"""Scalars in TensorBoard's event files, without TensorBoard: it brings gRPC and a web server to write ten bytes.

The format: TFRecord frames (length, masked CRC-32C of it, payload, masked CRC-32C of that) around `Event`
messages of tensorboard/compat/proto/event.proto, of which three fields are needed.
"""

from __future__ import annotations

import struct
import time
from pathlib import Path


def _table() -> tuple[int, ...]:
    entries = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        entries.append(value)
    return tuple(entries)


_CRC = _table()


def crc32c(content: bytes) -> int:
    """Castagnoli's checksum (RFC 3720, appendix B.4)."""
    value = 0xFFFFFFFF
    for byte in content:
        value = _CRC[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF


def _masked(content: bytes) -> bytes:
    crc = crc32c(content)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def _message(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _frame(event: bytes) -> bytes:
    length = struct.pack("<Q", len(event))
    return length + _masked(length) + event + _masked(event)


class EventFile:
    """`events.out.tfevents.…` in `folder`, appended to and flushed at every scalar."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"events.out.tfevents.{name}"
        if not self.path.exists():
            self._append(_message(3, b"brain.Event:2"))

    def _append(self, fields: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(_frame(b"\x09" + struct.pack("<d", time.time()) + fields))

    def scalar(self, tag: str, value: float, step: int) -> None:
        """One point of the curve `tag`."""
        entry = _message(1, tag.encode()) + b"\x15" + struct.pack("<f", value)
        self._append(b"\x10" + _varint(step) + _message(5, _message(1, entry)))
