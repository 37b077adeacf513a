"""Django's ASGI handler, with the body read as it arrives.

Django's own handler first spools every body to a temporary file; a 2 GB slide would be written twice and its
sender told of a missing token only after sending it all. Here the view's thread reads from the event loop as
the network delivers: memory stays flat, each byte is written once, and the network waits for the disk.
"""

from __future__ import annotations

import asyncio
import io
from typing import Any

from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler
from django.http.request import UnreadablePostError

from cad_platform.web.asgi_guard import Message, Receive, Scope


class StreamingASGIHandler(ASGIHandler):
    async def __call__(self, scope: Scope, receive: Receive, send: Any) -> None:
        if scope["type"] == "http":
            receive = _Inbound(receive)
        await super().__call__(scope, receive, send)

    async def read_body(self, receive: Any) -> io.BufferedReader:
        """The body as a file for the thread that serves the request; its beginning has arrived already."""
        inbound: _Inbound = receive
        first = await inbound.body_message()
        return io.BufferedReader(_BodyStream(inbound, first, asyncio.get_running_loop()), 64 * 1024)


class _Inbound:
    """Gives the body to its one reader, and to Django's listener only what follows: a disconnection."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._ended = asyncio.Event()
        self._gone = False

    async def body_message(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._gone = True
            self._ended.set()
            raise RequestAborted("the client went away")
        if not message.get("more_body", False):
            self._ended.set()
        return message

    async def __call__(self) -> Message:
        await self._ended.wait()
        return {"type": "http.disconnect"} if self._gone else await self._receive()


class _BodyStream(io.RawIOBase):
    """Blocks the calling thread until the next piece is there.

    Raises
    ------
    UnreadablePostError
        The client went away.
    PlatformError
        A limit of the guard was passed.
    """

    def __init__(self, inbound: _Inbound, first: Message, loop: asyncio.AbstractEventLoop) -> None:
        self._inbound, self._loop = inbound, loop
        self._piece = memoryview(first.get("body", b""))
        self._more = bool(first.get("more_body", False))

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._piece and self._more:
            self._fetch()
        taken = min(len(buffer), len(self._piece))
        buffer[:taken] = self._piece[:taken]
        self._piece = self._piece[taken:]
        return taken

    def _fetch(self) -> None:
        try:
            message = asyncio.run_coroutine_threadsafe(self._inbound.body_message(), self._loop).result()
        except RequestAborted as error:
            self._more = False
            raise UnreadablePostError("the client went away") from error
        except BaseException:
            self._more = False
            raise
        self._piece = memoryview(message.get("body", b""))
        self._more = bool(message.get("more_body", False))
