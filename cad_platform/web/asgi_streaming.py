"""Django's ASGI handler, with the body read as it arrives.

Django's own handler first spools every body to a temporary file; a 2 GB slide would be written twice and its
sender told of a missing token only after sending it all. Here the event loop fetches the body as the network delivers
it and keeps at most `MOST_AHEAD` bytes for the view's thread: memory stays flat, each byte is written once, and the
network waits for the disk. The thread takes what has come; it waits, which costs both sides more than a piece does,
only where nothing has.
"""

from __future__ import annotations

import asyncio
import io
import threading
from collections import deque
from typing import Any

from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler
from django.http.request import UnreadablePostError

from cad_platform.web.asgi_guard import Message, Receive, Scope

MOST_AHEAD = 1024 * 1024


class StreamingASGIHandler(ASGIHandler):
    async def __call__(self, scope: Scope, receive: Receive, send: Any) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        inbound = _Inbound(receive)

        async def answer(message: Message) -> None:
            # Nobody reads on once there is an answer; what still comes is the guard's to drop.
            await inbound.stop()
            await send(message)

        try:
            await super().__call__(scope, inbound, answer)
        finally:
            await inbound.stop()

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
        self._filling: asyncio.Task[None] | None = None

    async def body_message(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._gone = True
            self._ended.set()
            raise RequestAborted("the client went away")
        if not message.get("more_body", False):
            self._ended.set()
        return message

    def fill(self, body: _BodyStream) -> None:
        """Fetch the rest of the body from now on. On the event loop."""
        self._filling = asyncio.create_task(body.fill())

    async def stop(self) -> None:
        """Fetch no more of it."""
        if self._filling is not None and not self._filling.done():
            self._filling.cancel()
            await asyncio.wait([self._filling])

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
        self._started = False
        self._room = asyncio.Event()
        # Both sides', under the condition.
        self._changed = threading.Condition()
        self._ahead: deque[bytes] = deque()
        self._bytes_ahead = 0
        self._is_full = False
        self._more = bool(first.get("more_body", False))
        self._failure: BaseException | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._piece and (next_piece := self._next()) is not None:
            self._piece = memoryview(next_piece)
        taken = min(len(buffer), len(self._piece))
        buffer[:taken] = self._piece[:taken]
        self._piece = self._piece[taken:]
        return taken

    def _next(self) -> bytes | None:
        """The next piece, once there is one; None after the last."""
        if self._more and not self._started:
            self._started = True
            self._loop.call_soon_threadsafe(self._inbound.fill, self)
        with self._changed:
            while not self._ahead and self._more and self._failure is None:
                self._changed.wait()
            if not self._ahead:
                if self._failure is not None:
                    self._more = False
                    failure, self._failure = self._failure, None
                    raise failure
                return None
            piece = self._ahead.popleft()
            self._bytes_ahead -= len(piece)
            goes_on = self._is_full and self._bytes_ahead <= MOST_AHEAD // 2
            if goes_on:
                self._is_full = False
        if goes_on:
            self._loop.call_soon_threadsafe(self._room.set)
        return piece

    async def fill(self) -> None:
        """On the event loop: fetch piece after piece, and wait where the thread is behind."""
        try:
            while await self._fetch():
                pass
        except RequestAborted:
            self._fail(UnreadablePostError("the client went away"))
        except asyncio.CancelledError:
            self._fail(UnreadablePostError("the request was answered"))
            raise
        except Exception as error:
            self._fail(error)

    async def _fetch(self) -> bool:
        """One piece more, and then room for another; whether there is one."""
        message = await self._inbound.body_message()
        piece, more = message.get("body", b""), bool(message.get("more_body", False))
        with self._changed:
            self._ahead.append(piece)
            self._bytes_ahead += len(piece)
            self._more = more
            is_full = self._is_full = self._bytes_ahead >= MOST_AHEAD
            self._changed.notify()
        if is_full and more:
            await self._room.wait()
            self._room.clear()
        return more

    def _fail(self, failure: BaseException) -> None:
        with self._changed:
            self._failure = failure
            self._changed.notify()
