"""The parts of a `multipart/related` body as they come (RFC 2387), none of them in memory as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from email.message import Message

_CHUNK = 64 * 1024
_LONGEST_HEAD = 16 * 1024


class MalformedBody(Exception):
    """The body is not what its header says."""


def boundary_of(content_type: str) -> bytes:
    """The boundary of a body of DICOM files.

    Raises
    ------
    MalformedBody
        It is something else.
    """
    header = Message()
    header["Content-Type"] = content_type
    boundary = header.get_param("boundary")
    kind = str(header.get_param("type") or "application/dicom")
    if header.get_content_type() != "multipart/related" or not isinstance(boundary, str) or not boundary:
        raise MalformedBody(
            'Content-Type must be multipart/related; type="application/dicom" with a boundary.'
        )
    if kind != "application/dicom" or len(boundary) > 70:
        raise MalformedBody("Only parts of type application/dicom are taken.")
    return boundary.encode("ascii", "replace")


class Parts:
    """Each part as chunks, one after the other.

    Parameters
    ----------
    read
        Answers with at most so many bytes of the body, and with none at its end.
    """

    def __init__(self, read: Callable[[int], bytes], boundary: bytes) -> None:
        self._read = read
        # A boundary begins on a new line; the body may begin with one.
        self._mark, self._buffer = b"\r\n--" + boundary, b"\r\n"

    def __iter__(self) -> Iterator[Iterator[bytes]]:
        for _ in self._until_mark():  # the preamble
            pass
        while not self._is_end():
            self._skip_head()
            part = self._until_mark()
            yield part
            for _ in part:  # what was not asked for
                pass

    def _more(self) -> None:
        chunk = self._read(_CHUNK)
        if not chunk:
            raise MalformedBody("The body ends before its closing boundary.")
        self._buffer += chunk

    def _until_mark(self) -> Iterator[bytes]:
        while (at := self._buffer.find(self._mark)) < 0:
            keep = len(self._mark) - 1
            if len(self._buffer) > keep:
                chunk, self._buffer = self._buffer[:-keep], self._buffer[-keep:]
                yield chunk
            self._more()
        last, self._buffer = self._buffer[:at], self._buffer[at + len(self._mark) :]
        if last:
            yield last

    def _is_end(self) -> bool:
        while len(self._buffer) < 2:
            self._more()
        return self._buffer.startswith(b"--")

    def _skip_head(self) -> None:
        """The rest of the boundary's line and the part's headers: what a part is, its own header says."""
        while (at := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > _LONGEST_HEAD:
                raise MalformedBody("The headers of a part are too long.")
            self._more()
        # An empty part's boundary may share the line break with the headers' end.
        self._buffer = self._buffer[at + 2 :]
        if not self._buffer.startswith(self._mark):
            while len(self._buffer) < len(self._mark):
                self._more()
        if not self._buffer.startswith(self._mark):
            self._buffer = self._buffer[2:]
