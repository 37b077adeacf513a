"""Files in answers: whole, in ranges, unchanged; for the eyes of one client only."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.test import AsyncRequestFactory, RequestFactory

from cad_platform.api.streaming import send, unchanged
from tests.apart import run_apart

CONTENT = bytes(range(100))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "file"
    file.write_bytes(b"head" + CONTENT)
    return file


def answer(path: Path, request: HttpRequest) -> HttpResponseBase:
    return send(request, path.open("rb"), tag="tag", media_type="image/png", size=len(CONTENT), offset=4)


def get(**headers: str) -> HttpRequest:
    return RequestFactory().get("/", headers=headers)


def body(response: HttpResponseBase) -> bytes:
    return b"".join(response)  # type: ignore[arg-type]


def test_the_whole_file_comes_with_its_length_and_tag(path: Path) -> None:
    response = answer(path, get())
    assert (response.status_code, body(response)) == (200, CONTENT)
    assert response["Content-Length"] == "100"
    assert response["ETag"] == '"tag"'
    assert response["Cache-Control"] == "private, max-age=3600, immutable"
    assert "Cookie" in response["Vary"] and "Authorization" in response["Vary"]


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("bytes=0-9", 0, 9), ("bytes=90-", 90, 99), ("bytes=-5", 95, 99), ("bytes=50-5000", 50, 99)],
)
def test_a_range_is_answered_with_that_range(path: Path, asked: str, first: int, last: int) -> None:
    response = answer(path, get(Range=asked))
    assert response.status_code == 206
    assert response["Content-Range"] == f"bytes {first}-{last}/100"
    assert body(response) == CONTENT[first : last + 1]


@pytest.mark.parametrize("asked", ["bytes=100-", "bytes=-0"])
def test_a_range_outside_the_file_is_refused(path: Path, asked: str) -> None:
    response = answer(path, get(Range=asked))
    assert response.status_code == 416
    assert response["Content-Range"] == "bytes */100"


@pytest.mark.parametrize("asked", ["bytes=", "bytes=-", "bytes=9-3", "bytes=0-1,5-6", "lines=1-2"])
def test_a_range_that_is_not_understood_is_ignored(path: Path, asked: str) -> None:
    response = answer(path, get(Range=asked))
    assert (response.status_code, body(response)) == (200, CONTENT)


def test_a_range_of_another_version_gets_the_whole(path: Path) -> None:
    assert answer(path, get(**{"Range": "bytes=0-9", "If-Range": '"older"'})).status_code == 200
    assert answer(path, get(**{"Range": "bytes=0-9", "If-Range": '"tag"'})).status_code == 206


def test_a_client_that_has_this_version_is_told_so() -> None:
    for given in ['"tag"', 'W/"tag"', '"other", "tag"', "*"]:
        response = unchanged(get(**{"If-None-Match": given}), "tag")
        assert response is not None and response.status_code == 304
        assert response["ETag"] == '"tag"'
    assert unchanged(get(**{"If-None-Match": '"other"'}), "tag") is None
    assert unchanged(get(), "tag") is None


def test_under_asgi_the_file_is_streamed_in_pieces_and_closed(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(3 * 1024 * 1024 + 7))
    request = AsyncRequestFactory().get("/")
    assert isinstance(request, ASGIRequest)
    handle = large.open("rb")

    async def read() -> list[int]:
        response = send(request, handle, tag="tag", media_type="image/png", size=large.stat().st_size)
        assert response.is_async  # type: ignore[attr-defined]
        sizes = [len(piece) async for piece in response]  # type: ignore[attr-defined]
        response.close()
        return sizes

    assert run_apart(read()) == [1024 * 1024] * 3 + [7]
    assert handle.closed


def test_head_answers_without_a_body(path: Path) -> None:
    response = answer(path, RequestFactory().head("/"))
    assert response["Content-Length"] == "100"
    assert getattr(response, "content", b"") == b""
