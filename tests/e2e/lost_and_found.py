"""A case, a web server that may be killed or made to hang, and readers at browsers: what the drills share (fixtures
`reading` and `anna`). The server and PostgreSQL are the real ones; models and workers are not needed."""

from __future__ import annotations

import base64
import os
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.sessions.models import Session
from playwright.sync_api import Browser, BrowserContext, Error, Page, expect

from cad_platform.accounts.models import Role, Site, User
from cad_platform.analysis.models import Finding
from cad_platform.studies.models import Study
from tests import factories
from tests.e2e.reading_room import begin_report, sign_in
from tests.web_server import WebServer, web_server

#: What happens to the reader's work is visible this soon.
VISIBLE_MS = 3000

_EVEN_GREY: dict[str, Any] = {
    "frames": 1, "samples": 1, "bits_allocated": 8, "signed": False, "photometric": "MONOCHROME2",
    "window": {"center": 128, "width": 256}, "window_function": "LINEAR", "slope": 1, "intercept": 0,
    "min": 0, "max": 255, "frames_alike": True, "windows": [], "modality_table": None, "padding": None,
    "pixel_spacing_um": 100, "lossy": False, "slide": None,
    "display": {"first": 0, "table": base64.b64encode(bytes(range(256))).decode()},
}  # fmt: skip

_COUNT_TEXTS = """() => new Promise((resolve) => {
  const opening = indexedDB.open('cad-journal');
  opening.onsuccess = () => {
    const counting = opening.result.transaction('texts').objectStore('texts').count();
    counting.onsuccess = () => { opening.result.close(); resolve(counting.result); };
  };
})"""


class Reading:
    """A site with one study of several marks and two who read it, and the server that they use."""

    def __init__(self, state: Path, marks: int = 3) -> None:
        self._state, self._stack = state, ExitStack()
        self.site: Site = factories.site()
        self.reader = self._reader("Anna", "Berg")
        self.colleague = self._reader("Carl", "Dahl")
        self.study: Study = factories.study(self.site, "MG")
        image = factories.instance(self.study)
        job = factories.succeeded_job(self.study)
        self.marks: list[Finding] = [factories.finding(image, job) for _ in range(marks)]
        self.server: WebServer = self._stack.enter_context(self._web_server())
        self._stopped = False

    def _reader(self, first: str, last: str) -> User:
        return factories.user(Role.RADIOLOGIST, self.site, first_name=first, last_name=last)

    def _web_server(self, port: int = 0) -> AbstractContextManager[WebServer]:
        # What a test puts into the storage is there.
        return web_server(self._state, port=port, CAD_STORAGE_URL=settings.STORAGE_URL)

    @property
    def address(self) -> str:
        return f"/studies/{self.study.study_instance_uid}/"

    def kill(self) -> None:
        """As a crash of the machine would."""
        self.server.process.kill()
        self.server.process.wait()

    def restart(self) -> None:
        self.server = self._stack.enter_context(self._web_server(self.server.port))

    @contextmanager
    def hung(self) -> Iterator[None]:
        """It takes connections and answers nothing until the block ends; what it was sent meanwhile it then does."""
        os.kill(self.server.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.server.process.pid, signal.SIGCONT)

    @contextmanager
    def killed(self) -> Iterator[None]:
        self.kill()
        yield
        self.restart()

    def close(self) -> None:
        self._stack.close()


class Reader:
    """One person at a browser of their own."""

    def __init__(self, chromium: Browser, reading: Reading, user: User) -> None:
        self.reading, self.user = reading, user
        self.context: BrowserContext = chromium.new_context(
            base_url=reading.server.url, viewport={"width": 1440, "height": 900}
        )
        self._begin()

    def _begin(self) -> None:
        self.context.set_default_timeout(20_000)
        self.page: Page = self.context.new_page()

    @classmethod
    def at(cls, context: BrowserContext, reading: Reading, user: User) -> Reader:
        """At a browser that another uses or has used: a tab of its own."""
        reader = cls.__new__(cls)
        reader.reading, reader.user, reader.context = reading, user, context
        reader._begin()
        return reader

    def has_pixels(self, pixels: bytes = b"") -> None:
        """From now on the images, which lie on no disk here, are an even grey, or these bytes."""
        image = self.reading.marks[0].instance
        size = {"rows": image.rows, "columns": image.columns}
        self.context.route("**/metadata*", lambda route: route.fulfill(json={**_EVEN_GREY, **size}))
        pixels = pixels or bytes([90]) * (image.rows * image.columns)
        self.context.route("**/pixels*", lambda route: route.fulfill(body=pixels))

    def measure(self) -> None:
        """Draw a length in the first image."""
        self.begin_to_measure()
        self.page.mouse.up()
        expect(self.page.locator(".length__text")).to_have_count(1)

    def begin_to_measure(self) -> None:
        """As far as the second end, with the button still pressed."""
        pane = self.page.locator('.pane[data-ready="true"]').first
        pane.click(position={"x": 30, "y": 300})
        self.page.keyboard.press("m")
        box = pane.bounding_box()
        assert box
        y = box["y"] + box["height"] * 0.7
        self.page.mouse.move(box["x"] + box["width"] * 0.3, y)
        self.page.mouse.down()
        self.page.mouse.move(box["x"] + box["width"] * 0.6, y, steps=6)

    def begin_a_mark(self) -> None:
        """A finding of one's own, with everything but the last press."""
        self.page.get_by_role("button", name="Mark finding").click()
        self.page.get_by_label("Label").select_option("mass")
        for name, value in {"x": 10, "y": 10, "width": 40, "height": 30}.items():
            self.page.locator(f"#edit-{name}").fill(str(value))

    def sign_in(self) -> None:
        sign_in(self.page, self.user.username, factories.PASSWORD)

    def open_case(self) -> None:
        self.page.goto(self.reading.address)
        expect(self.finding(0)).to_be_visible()

    def finding(self, number: int) -> Any:
        return self.page.locator(f'li[data-finding="{self.reading.marks[number].pk}"]')

    def write_report(self, fields: dict[str, str]) -> None:
        begin_report(self.page, fields)

    @property
    def cover(self) -> Any:
        return self.page.locator("#session-cover[open]")

    def give_password(self) -> None:
        """Over the page, once it is asked for there."""
        field = self.cover.locator("input[name=password]")
        field.fill(factories.PASSWORD)
        field.press("Enter")
        expect(self.cover).to_have_count(0)

    @property
    def banner(self) -> Any:
        return self.page.locator("#connection")

    @contextmanager
    def offline(self) -> Iterator[None]:
        """The network is cut, as by pulling the cable."""
        self.context.set_offline(True)
        yield
        self.context.set_offline(False)

    def sees(self, words: str, within_ms: float = VISIBLE_MS) -> None:
        expect(self.banner).to_contain_text(words, timeout=within_ms)

    def sees_all_there(self) -> None:
        expect(self.banner).to_contain_text("The server has everything", timeout=30_000)

    def crash(self) -> None:
        """The tab is gone without a last word; its browser lives on."""
        crashed, self.page = self.page, self.context.new_page()
        with crashed.expect_event("crash"), suppress(Error):
            # The renderer ends before it could answer.
            crashed.goto("chrome://crash")
        crashed.close()

    def close(self) -> None:
        self.context.close()


def end_session(user: User) -> None:
    """As its time would."""
    for session in Session.objects.all():
        if session.get_decoded().get("_auth_user_id") == str(user.pk):
            session.delete()


def eventually(check: Any, seconds: float = 20) -> None:
    """Wait until a check of the database holds."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.1)


def kept_texts(page: Page) -> int:
    """How many texts the browser keeps that the server may not have."""
    return int(page.evaluate(_COUNT_TEXTS))
