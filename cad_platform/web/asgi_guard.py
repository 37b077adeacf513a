"""Refuses a request body that is too large, too slow or too much for the disk, before and while it arrives.

On the event loop a sender who dawdles costs a socket and a timer. Only when a body is complete or has shown
64 KiB does Django see the request, so that dawdlers never hold a thread or a database connection.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.conf import settings

from cad_platform.core.errors import PayloadTooLarge, PlatformError, RequestTimeout, StorageFull
from cad_platform.core.numbers import whole_number
from cad_platform.core.problem_details import as_problem

Message = Mapping[str, Any]
Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

PREFETCH_BYTES = 64 * 1024
#: After a refusal the rest of the body is read and dropped for so long, because closing a connection with
#: unread bytes resets it and the sender never sees the answer.
LINGER_SECONDS = 10.0
LINGER_IDLE_SECONDS = 1.0


class BodyGuard:
    """ASGI middleware around the whole application. Limits are `settings.MAX_UPLOAD_BYTES`,
    `DISK_RESERVE_BYTES`, `BODY_IDLE_SECONDS` and `BODY_MIN_BYTES_PER_SECOND`."""

    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        headers = {name.lower(): value for name, value in scope["headers"]}
        # More than 64 bits the server refuses by itself.
        declared = whole_number(headers.get(b"content-length", b"").decode("latin-1"), digits=20)
        if not declared and b"transfer-encoding" not in headers:
            await self.application(scope, receive, send)
            return
        body = GuardedBody(receive, declared, expects_continue=b"expect" in headers)
        try:
            _check_size(declared)
            await body.prefetch()
        except PlatformError as refusal:
            await _refuse(refusal, body, send)
            return
        await self.application(scope, body, _lingering(send, body))


class GuardedBody:
    """A `receive` with limits. Raises `PayloadTooLarge` or `RequestTimeout` to whoever reads on."""

    def __init__(self, receive: Receive, declared: int | None, *, expects_continue: bool) -> None:
        self._receive = receive
        self._declared = declared
        self._ahead: deque[Message] = deque()
        self._received = 0
        self._waited = 0.0
        self.finished = False
        #: The sender waits for our word before it sends anything; silence is then the politest refusal.
        self.unsent = expects_continue

    async def __call__(self) -> Message:
        if self._ahead:
            return self._ahead.popleft()
        if self.finished:
            return await self._receive()  # only ever the news that the client has gone
        return await self._next()

    async def prefetch(self) -> None:
        """Wait for the whole body, or for enough of it to be worth a thread."""
        while not self.finished and self._received < PREFETCH_BYTES:
            self._ahead.append(await self._next())

    async def _next(self) -> Message:
        began, self.unsent = time.monotonic(), False
        try:
            # Not `wait_for`, which makes a task for each piece.
            async with asyncio.timeout(settings.BODY_IDLE_SECONDS):
                message = await self._receive()
        except TimeoutError:
            raise RequestTimeout(
                f"The body stopped arriving for {settings.BODY_IDLE_SECONDS:g} seconds. Nothing was stored."
            ) from None
        self._waited += time.monotonic() - began
        if message["type"] == "http.disconnect":
            self.finished = True
            return message
        self._received += len(message.get("body", b""))
        self.finished = not message.get("more_body", False)
        if self._received > settings.MAX_UPLOAD_BYTES:
            raise _too_large()
        if (
            not self.finished
            and self._waited > settings.BODY_IDLE_SECONDS
            and self._received < settings.BODY_MIN_BYTES_PER_SECOND * self._waited
        ):
            raise RequestTimeout("The body arrives too slowly. Nothing was stored.")
        return message

    async def drop(self) -> None:
        """Read what still comes, for a while, and forget it."""
        self._ahead.clear()
        if self.unsent:
            return
        deadline = time.monotonic() + LINGER_SECONDS
        while not self.finished and time.monotonic() < deadline:
            try:
                message = await asyncio.wait_for(self._receive(), LINGER_IDLE_SECONDS)
            except TimeoutError:
                return
            self.finished = message["type"] == "http.disconnect" or not message.get("more_body", False)


def _check_size(declared: int | None) -> None:
    if declared is None:
        return
    if declared > settings.MAX_UPLOAD_BYTES:
        raise _too_large()
    if declared > PREFETCH_BYTES:
        free = shutil.disk_usage(settings.UPLOAD_DIR).free
        if free - settings.DISK_RESERVE_BYTES < declared:
            raise StorageFull("The disk has no room for this body. Nothing was read; please free some space.")


def _too_large() -> PayloadTooLarge:
    return PayloadTooLarge(
        f"A request may have at most {settings.MAX_UPLOAD_BYTES} bytes. Nothing was stored."
    )


async def _refuse(refusal: PlatformError, body: GuardedBody, send: Send) -> None:
    """Problem details from outside Django."""
    content = json.dumps(as_problem(refusal)).encode()
    send = _lingering(send, body)
    await send(
        {
            "type": "http.response.start",
            "status": refusal.status,
            "headers": [
                (b"content-type", b"application/problem+json"),
                (b"content-length", str(len(content)).encode()),
                (b"cache-control", b"no-store"),
            ],
        }
    )
    await send({"type": "http.response.body", "body": content})


def _lingering(send: Send, body: GuardedBody) -> Send:
    """Answer at once although the body has not ended, and close when the sender has seen it."""

    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start" and not body.finished:
            message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        elif (
            message["type"] == "http.response.body"
            and not message.get("more_body", False)
            and not body.finished
        ):
            await send({**message, "more_body": True})
            await body.drop()
            message = {"type": "http.response.body", "body": b""}
        await send(message)

    return answer
