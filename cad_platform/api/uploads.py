"""Reading `multipart/form-data` as it arrives: every file is written once, hashed while it is written.

Files go to `settings.UPLOAD_DIR`, from where storing is a rename. What the caller does not move away is
removed when the block ends; what a killed process leaves is collected (`studies.collector`).
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from django.http import HttpRequest
from django.http.multipartparser import MultiPartParser, MultiPartParserError

from cad_platform.core.errors import FieldError, Invalid, PayloadTooLarge, UnsupportedMedia
from cad_platform.studies.describing import PostedFile
from cad_platform.studies.objects import disk_errors
from cad_platform.studies.typed_text import has_controls

#: What is read, hashed and written at a time.
_PIECE = 1024 * 1024
STUDY_PART, FILES_PART = "study", "files"


@dataclass(frozen=True)
class StudyParts:
    """A post's parts: the JSON as sent, and the files on disk."""

    study: bytes
    files: tuple[PostedFile, ...]


@contextmanager
def received_parts(request: HttpRequest) -> Iterator[StudyParts]:
    """Read the whole body. Inside the block the files are there; afterwards those not moved away are gone.

    Raises
    ------
    UnsupportedMedia
        Not multipart.
    PayloadTooLarge
        Too many parts, or a `study` part over 2.5 MB.
    Invalid
        A part is unknown, unnamed or incomplete.
    StorageFull
        The disk is full.
    """
    if request.content_type != "multipart/form-data":
        raise UnsupportedMedia("Send multipart/form-data with a part `study` and parts `files`.")
    handler = _HashingHandler(request)
    try:
        # A body in chunks has no length; the parser only asks whether there is any body at all.
        meta = {**request.META, "CONTENT_LENGTH": request.META.get("CONTENT_LENGTH") or "1"}
        body = _Watched(request)
        fields, _ = _Parser(meta, cast(Any, body), [handler], "utf-8").parse()
        _check_end(meta["CONTENT_TYPE"], body)
        yield StudyParts(_study_text(fields, handler), tuple(handler.files))
    finally:
        handler.clear()


def _study_text(fields: Any, handler: _HashingHandler) -> bytes:
    given = [text.encode() for text in fields.getlist(STUDY_PART)] + handler.study_parts
    unknown = sorted(set(fields) - {STUDY_PART})
    if FILES_PART in unknown:
        raise Invalid(
            "A part has no file name.",
            errors=(FieldError("Each `files` part needs a file name.", FILES_PART),),
        )
    if unknown:
        raise Invalid(
            "The post has a part that is not known.",
            errors=tuple(FieldError("Parts are `study` and `files`.", name[:60]) for name in unknown),
        )
    if len(given) > 1:
        raise Invalid(
            "The post has several study parts.", errors=(FieldError("One is allowed.", STUDY_PART),)
        )
    return given[0] if given else b"{}"


class _Watched(io.RawIOBase):
    """The request's body, remembering its last bytes: a body without its closing boundary was cut off."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._last: deque[bytes] = deque(maxlen=2)

    def read(self, size: int = -1) -> bytes:
        piece = self._request.read(size)
        if piece:
            self._last.append(piece)
        return piece

    @property
    def ending(self) -> bytes:
        return b"".join(self._last)[-_PIECE:]


def _check_end(content_type: str, body: _Watched) -> None:
    boundary = content_type.partition("boundary=")[2].partition(";")[0].strip().strip('"')
    if f"--{boundary}--".encode() not in body.ending:
        raise MultiPartParserError("the body ends before its closing boundary")


class _Parser(MultiPartParser):
    """Django's, but file names are kept as sent: the study part refers to them."""

    def sanitize_file_name(self, file_name: str) -> str | None:
        name = file_name.rsplit("/", 1)[-1].rsplit("\\", 1)[-1]
        if name in {"", ".", ".."}:
            return None
        if len(name) > 255 or has_controls(name):
            raise Invalid(
                "A file has a name that cannot be kept.",
                errors=(
                    FieldError(
                        "At most 255 characters, none of them a control character such as NUL.", FILES_PART
                    ),
                ),
            )
        return name


class _HashingHandler(FileUploadHandler):
    """Writes each `files` part to the disk and hashes it on the way; keeps a small `study` part in memory."""

    chunk_size = _PIECE

    def __init__(self, request: HttpRequest) -> None:
        super().__init__(request)
        self.files: list[PostedFile] = []
        self.study_parts: list[bytes] = []
        self._made: list[Path] = []
        self._file: BinaryIO | None = None

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        if self.field_name == STUDY_PART:
            self._file = io.BytesIO()
        elif self.field_name == FILES_PART:
            with disk_errors():
                descriptor, name = tempfile.mkstemp(dir=settings.UPLOAD_DIR, prefix="post-", suffix=".part")
            self._made.append(Path(name))
            # Unbuffered: pieces are large, and a full disk must show in `write`, not in `close`.
            self._file = os.fdopen(descriptor, "wb", buffering=0)
            self._digest = hashlib.sha256()
        else:
            raise Invalid(
                "The post has a part that is not known.",
                errors=(FieldError("Parts are `study` and `files`.", str(self.field_name)[:60]),),
            )

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        assert self._file is not None
        if self.field_name == STUDY_PART:
            if start + len(raw_data) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
                raise PayloadTooLarge("The study part is too large.")
            self._file.write(raw_data)
            return
        with disk_errors():
            rest = memoryview(raw_data)
            while rest:
                rest = rest[self._file.write(rest) :]
        self._digest.update(raw_data)

    def file_complete(self, file_size: int) -> UploadedFile:
        assert self._file is not None and self.file_name is not None
        if isinstance(self._file, io.BytesIO):
            self.study_parts.append(self._file.getvalue())
        else:
            self.files.append(PostedFile(self.file_name, self._made[-1], self._digest.hexdigest(), file_size))
        self._file.close()
        self._file = None
        return UploadedFile(io.BytesIO(), self.file_name, size=file_size)

    def clear(self) -> None:
        """Remove what nobody moved away."""
        if self._file is not None:
            self._file.close()
        for path in self._made:
            path.unlink(missing_ok=True)
