"""Sending files: in pieces, so that a 2 GB slide costs no memory; conditional and in ranges (RFC 9110)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from typing import BinaryIO

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.utils.http import parse_etags

_PIECE = 1024 * 1024
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")

#: Bytes named by their content never change, but only whoever may see them may keep them.
PRIVATE_IMMUTABLE = "private, max-age=3600, immutable"


def unchanged(request: HttpRequest, tag: str) -> HttpResponse | None:
    """304 where the client has this version already: asked before anything is decoded."""
    given = parse_etags(request.headers.get("If-None-Match", ""))
    etag = f'"{tag}"'
    if "*" in given or etag in {value.removeprefix("W/") for value in given}:
        answer = HttpResponseNotModified()
        private(answer, tag)
        return answer
    return None


def private(response: HttpResponseBase, tag: str) -> HttpResponseBase:
    """Mark an answer as cacheable by this client only, for as long as the same person is signed in."""
    response["ETag"] = f'"{tag}"'
    response["Cache-Control"] = PRIVATE_IMMUTABLE
    patch_vary_headers(response, ["Cookie", "Authorization"])
    return response


def send(
    request: HttpRequest, handle: BinaryIO, *, tag: str, media_type: str, size: int, offset: int = 0
) -> HttpResponseBase:
    """Answer with `size` bytes of an open file from `offset` on, or the range of them that was asked for.

    Takes over the file: it is closed with the response.
    """
    first, last, status = 0, size - 1, 200
    asked = _range(request, tag, size)
    if asked == "unsatisfiable":
        handle.close()
        response: HttpResponseBase = HttpResponse(status=416)
        response["Content-Range"] = f"bytes */{size}"
        return response
    if isinstance(asked, tuple):
        first, last, status = *asked, 206
    length = last - first + 1
    if request.method == "HEAD":
        handle.close()
        response = HttpResponse(status=status, content_type=media_type)
    else:
        handle.seek(offset + first)
        pieces = _pieces_async if isinstance(_django(request), ASGIRequest) else _pieces
        response = StreamingHttpResponse(pieces(handle, length), status=status, content_type=media_type)
        # A client that goes away must not leave the file open until the next garbage collection.
        response._resource_closers.append(handle.close)  # type: ignore[attr-defined]
    response["Content-Length"] = str(length)
    response["Accept-Ranges"] = "bytes"
    if status == 206:
        response["Content-Range"] = f"bytes {first}-{last}/{size}"
    return private(response, tag)


def _range(request: HttpRequest, tag: str, size: int) -> tuple[int, int] | str | None:
    """The single range asked for; None for the whole, also where several or another version's are asked."""
    found = _RANGE.fullmatch(request.headers.get("Range", "").strip())
    if not found or request.headers.get("If-Range", f'"{tag}"') != f'"{tag}"':
        return None
    first, last = found.groups()
    if not first and not last:
        return None
    if not first:
        length = min(int(last), size)
        return (size - length, size - 1) if length else "unsatisfiable"
    if int(first) >= size:
        return "unsatisfiable"
    if last and int(last) < int(first):
        return None
    return int(first), min(int(last), size - 1) if last else size - 1


def _django(request: HttpRequest) -> HttpRequest:
    """Django's request inside the REST framework's."""
    return getattr(request, "_request", request)


def _pieces(handle: BinaryIO, length: int) -> Iterator[bytes]:
    while length > 0 and (piece := handle.read(min(_PIECE, length))):
        length -= len(piece)
        yield piece


async def _pieces_async(handle: BinaryIO, length: int) -> AsyncIterator[bytes]:
    while length > 0 and (piece := await asyncio.to_thread(handle.read, min(_PIECE, length))):
        length -= len(piece)
        yield piece
