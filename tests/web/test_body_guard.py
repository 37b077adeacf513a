"""Bodies that are too large, too slow, cut short or many at once, against a real server over sockets."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cad_platform.studies.models import Study
from tests.posted_files import STUDY, Hospital, png
from tests.web_server import WebServer, web_server

pytestmark = pytest.mark.django_db(transaction=True)

BOUNDARY = "----boundary"
HEAD = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="study"\r\n\r\n{json.dumps(STUDY)}\r\n'
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
).encode()
TAIL = f"\r\n--{BOUNDARY}--\r\n".encode()
BODY = HEAD + png() + TAIL


@pytest.fixture(scope="module")
def server(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    """Silence of two seconds is too long here; 10 PB are too much; files over 32 MB find the disk full."""
    with web_server(
        tmp_path_factory.mktemp("web"),
        largest_file=32 * 1024**2,
        CAD_BODY_IDLE_SECONDS="2",
        CAD_BODY_MIN_BYTES_PER_SECOND="2000",
        CAD_MAX_UPLOAD_BYTES=str(10**16),
    ) as running:
        yield running


@pytest.fixture
def hospital() -> Hospital:
    return Hospital()


def request(hospital: Hospital | None, length: int | None, extra: str = "") -> bytes:
    lines = ["POST /api/v1/studies HTTP/1.1", "Host: localhost"]
    if hospital:
        lines.append(f"Authorization: Bearer {hospital.token}")
    lines.append(f"Content-Type: multipart/form-data; boundary={BOUNDARY}")
    lines.append("Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}")
    return ("\r\n".join(lines) + "\r\n" + extra + "\r\n").encode()


def answer(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    """Status and problem details of one answer; reads until it is complete."""
    with connection.makefile("rb") as stream:
        status = int(stream.readline().split()[1])
        headers = {}
        while line := stream.readline().strip():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        body = stream.read(int(headers["content-length"])) if "content-length" in headers else stream.read()
        problem = json.loads(body) if "json" in headers["content-type"] else {"text": body.decode()}
        return status, {**problem, "headers": headers}


def closed(connection: socket.socket) -> bool:
    connection.settimeout(15)
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def post(server: WebServer, hospital: Hospital, content: Any, **headers: str) -> httpx.Response:
    return httpx.post(
        f"{server.url}/api/v1/studies",
        content=content,
        headers={
            "Authorization": f"Bearer {hospital.token}",
            "Content-Type": f"multipart/form-data; boundary={BOUNDARY}",
            **headers,
        },
        timeout=60,
    )


def test_an_ordinary_post(server: WebServer, hospital: Hospital) -> None:
    assert post(server, hospital, BODY).status_code == 201
    assert server.uploads == []


def test_a_body_without_a_length_in_chunks(server: WebServer, hospital: Hospital) -> None:
    pieces = (BODY[i : i + 100] for i in range(0, len(BODY), 100))
    assert post(server, hospital, pieces).status_code == 201


@pytest.mark.parametrize(("length", "status"), [(10**17, 413), (10**15, 507)])
def test_a_length_over_the_limit_or_the_disk_is_refused_before_the_body(
    server: WebServer, hospital: Hospital, length: int, status: int
) -> None:
    with server.connect() as connection:
        began = time.monotonic()
        connection.sendall(request(hospital, length))
        refused, problem = answer(connection)
        assert (refused, problem["status"]) == (status, status)
        assert problem["headers"]["content-type"] == "application/problem+json"
        assert time.monotonic() - began < 2
        assert closed(connection)


def test_the_sender_of_a_refused_body_sees_the_answer_although_it_goes_on_sending(
    server: WebServer, hospital: Hospital
) -> None:
    with server.connect() as connection:
        connection.sendall(request(hospital, 10**17))
        for _ in range(50):
            connection.sendall(b"x" * 65536)
        assert answer(connection)[0] == 413


def test_without_a_token_the_body_need_not_be_sent(server: WebServer) -> None:
    with server.connect() as connection:
        connection.sendall(request(None, 500_000_000) + b"x" * 100_000)
        status, problem = answer(connection)
        assert status == 401 and problem["headers"]["www-authenticate"].startswith("Bearer")


def test_a_body_that_stops_is_408_and_closed(server: WebServer, hospital: Hospital) -> None:
    """Also what a declared length longer than the body amounts to."""
    for sent in (b"", BODY[:100], HEAD + b"x" * 200_000):
        with server.connect() as connection:
            connection.sendall(request(hospital, 1_000_000) + sent)
            status, problem = answer(connection)
            assert (status, problem["type"]) == (408, "urn:cad:problem:request_timeout")
            assert closed(connection)
    assert server.uploads == []
    assert not Study.objects.exists()


def test_a_body_that_drips_is_408(server: WebServer, hospital: Hospital) -> None:
    with server.connect() as connection:
        connection.sendall(request(hospital, 1_000_000))
        stop = threading.Event()

        def drip() -> None:
            try:
                while not stop.wait(0.2):
                    connection.sendall(b"x")
            except OSError:
                pass

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            assert answer(connection)[0] == 408
        finally:
            stop.set()
            dripping.join()


def test_a_body_longer_than_its_length_is_400(server: WebServer, hospital: Hospital) -> None:
    with server.connect() as connection:
        connection.sendall(request(hospital, len(BODY) - 50) + BODY)
        assert answer(connection)[0] == 400
        assert closed(connection)
    assert not Study.objects.exists()


def test_a_client_that_goes_away_leaves_nothing(server: WebServer, hospital: Hospital) -> None:
    with server.connect() as connection:
        connection.sendall(request(hospital, 10_000_000) + HEAD + b"x" * 2_000_000)
        wait_for(lambda: server.uploads != [])
    wait_for(lambda: server.uploads == [])
    assert post(server, hospital, BODY).status_code == 201


def test_a_disk_that_fills_up_while_the_body_arrives_is_507(server: WebServer, hospital: Hospital) -> None:
    piece = os.urandom(1024 * 1024)

    def body() -> Iterator[bytes]:
        yield HEAD
        for _ in range(40):
            yield piece
        yield TAIL

    refused = post(server, hospital, body())
    assert (refused.status_code, refused.json()["type"]) == (507, "urn:cad:problem:storage_full")
    assert server.uploads == []
    assert post(server, hospital, BODY).status_code == 201


def test_a_hundred_dawdlers_do_not_keep_others_waiting(server: WebServer, hospital: Hospital) -> None:
    """Half have sent nothing of their body, half enough of it to be inside a request."""
    dawdlers = [server.connect() for _ in range(100)]
    stop = threading.Event()

    def dawdle() -> None:
        while not stop.wait(0.5):
            for dawdler in dawdlers:
                try:
                    dawdler.sendall(b"x" * 1500)
                except OSError:
                    continue

    try:
        for number, dawdler in enumerate(dawdlers):
            dawdler.sendall(request(hospital, 50_000_000) + (HEAD + b"x" * 70_000 if number % 2 else b""))
        dawdling = threading.Thread(target=dawdle)
        dawdling.start()
        times = []
        for seed in range(5):
            began = time.monotonic()
            content = HEAD + png(seed) + TAIL
            assert post(server, hospital, content).status_code == 201
            assert httpx.get(
                f"{server.url}/api/v1/studies", headers={"Authorization": f"Bearer {hospital.token}"}
            ).is_success
            times.append(time.monotonic() - began)
        assert sorted(times)[2] < 3
    finally:
        stop.set()
        dawdling.join()
        for dawdler in dawdlers:
            dawdler.close()
    wait_for(lambda: server.uploads == [])


def test_memory_stays_flat_and_every_byte_is_written_once(
    django_db_setup: None, tmp_path: Path, hospital: Hospital
) -> None:
    """A large body, as of a slide: 384 MB pass through a process that grows by less than a tenth of it."""
    size = 384 * 1024**2
    piece = os.urandom(1024 * 1024)

    def body() -> Iterator[bytes]:
        yield HEAD
        for _ in range(size // len(piece)):
            yield piece
        yield TAIL

    with web_server(tmp_path / "large") as server:
        assert post(server, hospital, BODY).status_code == 201
        before, written = server.resident_bytes(), server.written_bytes()
        peak, stop = [before], threading.Event()

        def watch() -> None:
            while not stop.wait(0.02):
                peak.append(server.resident_bytes())

        watching = threading.Thread(target=watch)
        watching.start()
        try:
            refused = post(server, hospital, body())
        finally:
            stop.set()
            watching.join()
        assert refused.status_code == 415  # random bytes are no image; they were read, hashed and written
        assert refused.json()["errors"][0]["file"] == "a.png"
        grown = max(peak) - before
        print(f"resident set grew by {grown / 2**20:.1f} MiB for {size / 2**20:.0f} MiB")
        assert grown < size / 10
        assert server.written_bytes() - written < 1.05 * size
        assert server.uploads == []


def wait_for(condition: Any, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
