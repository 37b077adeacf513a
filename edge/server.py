"""The box's door: DICOMweb STOW-RS for machines (PS3.18 10.5), the page and its numbers for people.

Everything but `/health` asks for the box's key: machines as a bearer token, browsers as the password of any name.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import logging
import re
import ssl
import threading
from collections.abc import Callable
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from edge.keeping import Box
from edge.multipart import MalformedBody, Parts, boundary_of
from edge.page import page
from edge.settings import Settings
from edge.state import State
from edge.taking import Intake, Later, NotTaken
from edge.words import language_of

logger = logging.getLogger(__name__)

_IDLE_SECONDS = 30.0
_STORES_AT_ONCE = 4
_STORE = re.compile(r"/dicomweb/studies(?:/([0-9.]{3,64}))?")
_RESULTS = re.compile(r"/results/([0-9.]{3,64})")
_PICTURE = re.compile(r"/pictures/([0-9a-f]{64})/(image-\d+\.(?:mask|heatmap)\.png)")
#: PS3.18 table 10.5.3-1 and PS3.4 B.2.3: cannot understand; out of resources; the instance is of another study.
_NOT_UNDERSTOOD, _NO_RESOURCES, _OTHER_STUDY = 0xC000, 0xA700, 0xA900
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class Server(ThreadingHTTPServer):
    """Listens as soon as it is made."""

    daemon_threads = True

    def __init__(self, box: Box, settings: Settings, intake: Intake, state: State, key: str) -> None:
        self.box, self.intake, self.state, self.key = box, intake, state, key
        self.storing = threading.BoundedSemaphore(_STORES_AT_ONCE)
        super().__init__((settings.address, settings.port), Handler)
        if settings.certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(settings.certificate, settings.certificate_key)
            # The handshake is the handler's, in its own thread: who connects and says nothing holds up nobody.
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A line that broke is no error of the box, and a traceback may hold what was sent."""
        logger.info("a connection ended early")


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: Server
    server_version, sys_version = "edge-box", ""
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS

    def log_message(self, format: str, *args: Any) -> None:
        """Addresses have study numbers in them; the log has none."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/health":
            return self._json(200, self.server.state.health())
        if not self._is_known():
            return self._ask_for_key()
        if path == "/":
            language = language_of(self.headers.get("Accept-Language", ""))
            return self._answer(
                200, page(self.server.state.whole(), language).encode(), "text/html; charset=utf-8"
            )
        if path == "/status":
            return self._json(200, self.server.state.whole())
        if found := _RESULTS.fullmatch(path):
            results = self.server.state.results(found[1])
            return self._json(200 if results else 404, [asdict(result) for result in results])
        if found := _PICTURE.fullmatch(path):
            picture = self.server.box.pictures(found[1]) / found[2]
            if picture.is_file():
                return self._answer(200, picture.read_bytes(), "image/png")
        return self._problem(404, "There is nothing at this address.")

    def do_POST(self) -> None:
        # What is refused before it was read ends the connection: the rest of it is no next request.
        self.close_connection = True
        if not self._is_known():
            return self._ask_for_key()
        found = _STORE.fullmatch(urlsplit(self.path).path)
        if found is None:
            return self._problem(404, "Images are posted to /dicomweb/studies.")
        if not self.headers.get("Content-Length", "").isdigit():
            return self._problem(411, "The request must say how long it is (Content-Length).")
        if not self.server.storing.acquire(blocking=False):
            return self._problem(503, "The box is taking in as much as it can. Send again in a moment.")
        try:
            self._store(found[1])
        finally:
            self.server.storing.release()

    def _store(self, study: str | None) -> None:
        length = int(self.headers["Content-Length"])
        if not self.server.intake.has_room(length):
            self._problem(507, "The disk of this box is full. Nothing was stored.")
            return
        body = _Body(self.rfile.read, length)
        stored: list[dict[str, Any]] = []
        failed: list[dict[str, Any]] = []
        status = 200
        try:
            for part in Parts(body.read, boundary_of(self.headers.get("Content-Type", ""))):
                try:
                    file = self.server.intake.take(part).file
                except NotTaken as reason:
                    failed.append(_failure(_NOT_UNDERSTOOD, str(reason)))
                    continue
                except Later as reason:
                    status = 507 if "full" in str(reason) else 503
                    failed.append(_failure(_NO_RESOURCES, str(reason)))
                    break
                if study and file.study_instance_uid != study:
                    failed.append(
                        _failure(_OTHER_STUDY, "The image is kept; it is of another study than the address.")
                    )
                stored.append({"00081155": {"vr": "UI", "Value": [file.sop_instance_uid]}})
        except MalformedBody as reason:
            status = 400
            failed.append(_failure(_NOT_UNDERSTOOD, str(reason)))
        if status == 200 and failed:
            status = 202 if stored else 409
        answer: dict[str, Any] = {}
        if stored:
            answer["00081199"] = {"vr": "SQ", "Value": stored}
        if failed:
            answer["00081198"] = {"vr": "SQ", "Value": failed}
        if body.is_whole:
            self.close_connection = False
        self._answer(status, json.dumps(answer).encode(), "application/dicom+json")

    # --- who asks, and how it is answered ------------------------------------------------------------------

    def _is_known(self) -> bool:
        scheme, _, said = self.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                said = base64.b64decode(said, validate=True).decode().partition(":")[2]
            except (binascii.Error, UnicodeDecodeError):
                return False
        return hmac.compare_digest(said.strip().encode(), self.server.key.encode())

    def _ask_for_key(self) -> None:
        self.close_connection = True
        self._problem(
            401,
            "The box's key is asked for.",
            {"WWW-Authenticate": 'Basic realm="edge box", charset="UTF-8"'},
        )

    def _json(self, status: int, value: object) -> None:
        self._answer(status, json.dumps(value, ensure_ascii=False).encode(), "application/json")

    def _problem(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        value = json.dumps({"status": status, "detail": detail}).encode()
        more = {"Retry-After": "30"} if status in (503, 507) else {}
        self._answer(status, value, "application/problem+json", {**more, **(headers or {})})

    def _answer(self, status: int, body: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)


class _Body:
    """A request's body, of which not more is read than was announced."""

    def __init__(self, read: Callable[[int], bytes], length: int) -> None:
        self._read, self._left = read, length

    @property
    def is_whole(self) -> bool:
        return self._left == 0

    def read(self, most: int) -> bytes:
        chunk = self._read(min(most, self._left))
        self._left -= len(chunk)
        return chunk


def _failure(code: int, reason: str) -> dict[str, Any]:
    return {"00081197": {"vr": "US", "Value": [code]}, "00080902": {"vr": "LT", "Value": [reason]}}
