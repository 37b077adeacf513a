"""A body is fetched by the event loop and read by a thread: in order, with a bound on what waits between them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest
from django.http.request import UnreadablePostError

from cad_platform.core.errors import PayloadTooLarge
from cad_platform.web.asgi_guard import Message
from cad_platform.web.asgi_streaming import MOST_AHEAD, _BodyStream, _Inbound
from tests.apart import run_apart

PIECE = 256 * 1024


class Sender:
    """Has so many pieces at once, each of one letter; then does what it is told to."""

    def __init__(self, pieces: int, then: Callable[[], Awaitable[Message]] | None = None) -> None:
        self.pieces, self.then, self.fetched = pieces, then, 0

    async def __call__(self) -> Message:
        if self.fetched == self.pieces:
            assert self.then is not None
            return await self.then()
        self.fetched += 1
        more = self.fetched < self.pieces or self.then is not None
        return {"type": "http.request", "body": bytes([64 + self.fetched]) * PIECE, "more_body": more}


async def opened(sender: Sender) -> tuple[_Inbound, _BodyStream]:
    inbound = _Inbound(sender)
    return inbound, _BodyStream(inbound, await inbound.body_message(), asyncio.get_running_loop())


def whole(body: _BodyStream) -> bytes:
    read = bytearray()
    buffer = bytearray(100_000)
    while taken := body.readinto(buffer):
        read += buffer[:taken]
    return bytes(read)


def test_all_of_it_comes_in_its_order() -> None:
    async def run() -> bytes:
        _, body = await opened(Sender(20))
        return await asyncio.to_thread(whole, body)

    assert run_apart(run()) == b"".join(bytes([65 + number]) * PIECE for number in range(20))


def test_no_more_is_fetched_than_the_bound_while_the_thread_is_busy() -> None:
    sender = Sender(20)

    async def run() -> tuple[int, bytes]:
        _, body = await opened(sender)
        await asyncio.to_thread(body.readinto, bytearray(PIECE + 1))
        first = await asyncio.to_thread(body.readinto, bytearray(PIECE + 1))
        await asyncio.sleep(0.2)
        return sender.fetched, bytes(first) + await asyncio.to_thread(whole, body)

    fetched, rest = run_apart(run())
    assert fetched <= 2 + MOST_AHEAD // PIECE + 1
    assert len(rest) == PIECE + 18 * PIECE


@pytest.mark.parametrize("slow", [False, True])
def test_sender_who_goes_away_is_told_to_the_thread(slow: bool) -> None:
    async def leave() -> Message:
        await asyncio.sleep(0.1 if slow else 0)
        return {"type": "http.disconnect"}

    async def run() -> None:
        _, body = await opened(Sender(3, leave))
        with pytest.raises(UnreadablePostError):
            await asyncio.to_thread(whole, body)

    run_apart(run())


def test_limit_of_the_guard_is_told_to_the_thread() -> None:
    async def refuse() -> Message:
        raise PayloadTooLarge("too much")

    async def run() -> None:
        _, body = await opened(Sender(2, refuse))
        with pytest.raises(PayloadTooLarge):
            await asyncio.to_thread(whole, body)

    run_apart(run())


def test_answer_ends_the_fetching() -> None:
    async def never() -> Message:
        await asyncio.sleep(60)
        raise AssertionError

    async def run() -> float:
        inbound, body = await opened(Sender(2, never))
        reading = asyncio.create_task(asyncio.to_thread(whole, body))
        await asyncio.sleep(0.1)
        begun = time.monotonic()
        await inbound.stop()
        with pytest.raises(UnreadablePostError):
            await reading
        return time.monotonic() - begun

    assert run_apart(run()) < 5
