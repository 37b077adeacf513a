"""Every refusal is problem details; what is down is 503 with Retry-After; too many requests are 429."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import psycopg
import pytest
from django.core.cache import cache
from django.db import IntegrityError
from django.test import Client

from cad_platform.api.throttles import CallerThrottle
from cad_platform.core.models import OutboxEvent
from cad_platform.operations.logging import JsonFormatter
from cad_platform.studies.models import StoredFile, Study
from tests.posted_files import STUDY, Hospital, png, reasons
from tests.web_server import web_server


@pytest.mark.django_db
class TestEveryRefusal:
    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("get", "/api/", 404),
            ("get", "/api/v2/studies", 404),
            ("get", "/api/v1/images/not-a-uuid/file", 404),
            ("delete", "/api/v1/studies", 405),
            ("put", "/api/v1/studies/2.25.1", 405),
        ],
    )
    def test_is_problem_details(self, method: str, path: str, status: int) -> None:
        answer = Hospital().client.generic(method.upper(), path)
        assert answer.status_code == status
        assert reasons(answer) == []
        assert answer["Content-Type"] == "application/problem+json"
        assert answer.json()["request_id"] == answer["X-Request-ID"]
        assert answer["Cache-Control"] == "no-store"

    @pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Bearer x y", "Basic dTpw", "bearer \xff"])
    def test_a_credential_that_is_none_is_401(self, header: str) -> None:
        answer = Client(headers={"Authorization": header}).get("/api/v1/studies")
        assert answer.status_code == 401 and answer["WWW-Authenticate"].startswith("Bearer")

    def test_a_mistake_of_ours_says_nothing_of_itself(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from cad_platform.studies import selectors

        def fail(*_: Any, **__: Any) -> None:
            raise RuntimeError("Okafor^Amara was here")

        monkeypatch.setattr(selectors, "studies_for", fail)
        answer = Hospital().get()
        assert (answer.status_code, reasons(answer)) == (500, [])
        assert "Okafor" not in answer.content.decode()


@pytest.mark.django_db
def test_too_many_requests_with_one_token_are_429(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CallerThrottle, "THROTTLE_RATES", {"token": "3/min"})
    cache.clear()
    busy, other = Hospital(), Hospital()
    statuses = [busy.get().status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    refused = busy.post()
    assert (refused.status_code, reasons(refused)) == (429, [])
    assert 0 < int(refused["Retry-After"]) <= 61
    assert other.get().status_code == 200
    cache.clear()


@pytest.mark.django_db
def test_with_the_storage_away_a_post_is_503(tmp_path: Path, settings: Any) -> None:
    not_a_folder = tmp_path / "objects"
    not_a_folder.write_text("")
    settings.STORAGE_URL = f"file://{not_a_folder}"
    answer = Hospital().post()
    assert (answer.status_code, reasons(answer)) == (503, [])
    assert int(answer["Retry-After"]) > 0
    assert not Study.objects.exists() and not StoredFile.objects.exists()


@pytest.mark.django_db
def test_with_the_broker_away_a_post_is_accepted_and_waits_in_the_outbox() -> None:
    """No broker runs in this test: nothing of a post needs one."""
    assert Hospital().post().status_code == 201
    assert OutboxEvent.objects.get(topic="study.complete").published_at is None


@pytest.mark.django_db(transaction=True)
def test_with_the_database_away_a_post_is_503_and_works_again_when_it_is_back(tmp_path: Path) -> None:
    hospital = Hospital()
    with database_door(tmp_path) as door, web_server(tmp_path / "state", DATABASE_URL=door.url) as server:

        def post() -> httpx.Response:
            return httpx.post(
                f"{server.url}/api/v1/studies",
                headers={"Authorization": f"Bearer {hospital.token}"},
                data={"study": json.dumps(STUDY)},
                files={"files": ("a.png", png())},
                timeout=60,
            )

        assert post().status_code == 201
        door.close()
        refused = post()
        assert refused.status_code == 503
        assert refused.headers["content-type"] == "application/problem+json"
        assert int(refused.headers["retry-after"]) > 0
        assert server.uploads == []
        door.open()
        deadline = time.monotonic() + 30
        while (again := post()).status_code == 503 and time.monotonic() < deadline:
            time.sleep(0.5)
        assert again.status_code == 200
    assert Study.objects.count() == 1


class Door:
    """Between the web server and the database: closed, it cuts every connection and lets no new one in."""

    def __init__(self, folder: Path, database_url: str) -> None:
        inside = parse_qs(urlsplit(database_url).query)["host"][0]
        self._inside = next(Path(inside).glob(".s.PGSQL.*[0-9]"))
        self._outside = folder / self._inside.name
        self.url = database_url.replace(quote(inside, safe=""), quote(str(folder), safe=""))
        self._sockets: list[socket.socket] = []

    def open(self) -> None:
        self._outside.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._outside))
        self._listener.listen()
        threading.Thread(target=self._let_in, args=[self._listener], daemon=True).start()

    def close(self) -> None:
        self._outside.unlink(missing_ok=True)
        for each in [self._listener, *self._sockets]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._sockets = []

    def _let_in(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = listener.accept()
                callee = socket.socket(socket.AF_UNIX)
                callee.connect(str(self._inside))
                self._sockets += [caller, callee]
                for pair in ((caller, callee), (callee, caller)):
                    threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    @staticmethod
    def _pass_on(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def database_door(tmp_path: Path) -> Iterator[Door]:
    # A socket's path is short by law of the kernel; pytest's folders are not.
    with tempfile.TemporaryDirectory(prefix="cad-door-") as folder:
        door = Door(Path(folder), os.environ["DATABASE_URL"])
        door.open()
        try:
            yield door
        finally:
            door.close()


def test_a_database_errors_log_line_quotes_no_row() -> None:
    """PostgreSQL's messages say which key was there already: a patient's."""
    message = f"Key (patient_id)=({'P'}-{1}) already exists."
    try:
        try:
            raise psycopg.errors.UniqueViolation(message)
        except psycopg.Error as cause:
            raise IntegrityError(message) from cause
    except IntegrityError as error:
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "failed", (), (type(error), error, None))
    line = JsonFormatter().format(record)
    assert "P-1" not in line
    assert "IntegrityError" in line and "UniqueViolation" in line and "test_problems.py" in line
