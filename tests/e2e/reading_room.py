"""What a hospital system and a clinician do, as a test says it: post, wait, open, decide, write, sign."""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import ConsoleMessage, Page, expect
from pypdf import PdfReader

from tests.live_platform import LivePlatform

_SAVED = re.compile("Saved|已保存")


def sign_in(page: Page, username: str, password: str, at: str = "") -> None:
    """At the sign-in page, whatever its language; where that leads differs by role."""
    page.goto(f"{at}/accounts/login/")
    page.locator("main input[name=login]").fill(username)
    page.locator("main input[name=password]").fill(password)
    page.keyboard.press("Enter")
    expect(page.locator(".shell-person")).to_be_attached()


def begin_report(page: Page, fields: dict[str, str]) -> None:
    """Begin the report in the case page, write its fields and wait until it has saved itself."""
    page.locator("#tab-report").click()
    page.locator("form[action$=start] button").first.click()
    for name, value in fields.items():
        field = page.locator(f"#report-{name}")
        if field.evaluate("element => element.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)
    expect(page.locator("[data-status]")).to_contain_text(_SAVED)


class HospitalSystem:
    """A sender with a bearer token."""

    def __init__(self, platform: LivePlatform) -> None:
        self.client = httpx.Client(
            base_url=platform.url,
            headers={"Authorization": f"Bearer {platform.token}"},
            timeout=120,
            trust_env=False,
        )

    def post(self, study: dict[str, Any], files: Iterable[Path]) -> str:
        """Post a study as curl would; returns its UID."""
        parts: list[Any] = [("study", (None, json.dumps(study), "application/json"))]
        parts += [("files", (path.name, path.read_bytes(), "application/octet-stream")) for path in files]
        response = self.client.post("/api/v1/studies", files=parts)
        assert response.status_code == 201, response.text
        return str(response.json()["study_instance_uid"])

    def answer(self, uid: str) -> dict[str, Any]:
        response = self.client.get(f"/api/v1/studies/{uid}")
        assert response.status_code == 200, response.text
        return dict(response.json())

    def wait_for_analysis(self, uid: str, seconds: float = 180) -> dict[str, Any]:
        """The study's answer when every job has ended."""
        deadline = time.monotonic() + seconds
        while (answer := self.answer(uid))["state"] != "analysed":
            assert time.monotonic() < deadline, f"not analysed after {seconds} s: {answer['jobs']}"
            time.sleep(0.5)
        return answer


class ReadingRoom:
    """A clinician at the browser. What the pages complain of on the console is kept in `complaints`."""

    def __init__(self, page: Page, user: dict[str, str]) -> None:
        self.page, self.user = page, user
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._on_console)

    def sign_in(self) -> None:
        sign_in(self.page, self.user["username"], self.user["password"])
        expect(self.page).to_have_url(f"{self._base}/worklist/")

    def open_from_worklist(self, patient_id: str) -> None:
        """Find the patient in the worklist, see that the model has spoken, and open the case."""
        row = self.page.get_by_role("row").filter(has_text=patient_id)
        expect(row).to_have_count(1)
        # Phantoms of mammograms are unlike the films that the network has learnt from, and it says so.
        expect(row.locator(".worklist__ai")).to_contain_text(re.compile(r"\d|No verdict"))
        link = row.locator(".worklist__link")
        name = link.inner_text().strip()
        link.click()
        expect(self.page.get_by_role("heading", level=1)).to_have_text(name)

    def wait_for_images(self, number: int = 1) -> None:
        """Wait until the viewers have drawn."""
        expect(self.page.locator("#panes canvas").nth(number - 1)).to_be_visible(timeout=60_000)

    def decide(self) -> int:
        """Accept the model's first finding, reject the others with a reason. Returns their number.

        Fainter marks lie folded and ask for no decision.
        """
        undecided = self.page.locator('.finding[data-verdict="undecided"]:visible')
        number = undecided.count()
        for left in range(number, 0, -1):
            if left == number:
                undecided.first.get_by_role("button", name="Accept").click()
            else:
                undecided.first.get_by_role("button", name="Reject").click()
                self.page.locator("#reject-reason").fill("Artefact of the phantom")
                self.page.get_by_role("dialog").get_by_role("button", name="Reject finding").click()
            expect(undecided).to_have_count(left - 1)
        return number

    def start_report(self, fields: dict[str, str]) -> None:
        begin_report(self.page, fields)

    def sign(self, password: str) -> None:
        self.page.get_by_role("button", name="Sign…").click()
        dialog = self.page.get_by_role("dialog")
        dialog.get_by_label("Your password").fill(password)
        dialog.get_by_role("button", name="Sign", exact=True).click()

    def signed_report(self) -> str:
        """The signed report's words on screen."""
        article = self.page.locator("article.signed")
        expect(article).to_be_visible(timeout=30_000)
        return article.inner_text()

    def pdf_text(self) -> str:
        """The words of the signed report's PDF."""
        address = self.page.locator("article.signed a", has_text="PDF").get_attribute("href")
        response = self.page.context.request.get(f"{self._base}{address}")
        assert response.headers["content-type"] == "application/pdf"
        return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(response.body())).pages)

    def audit_trail(self) -> str:
        """The words of the study's audit trail."""
        self.page.get_by_text("Audit trail of this study").click()
        table = self.page.locator("table.report__trail-table")
        expect(table).to_be_visible()
        return table.inner_text()

    @property
    def _base(self) -> str:
        return "/".join(self.page.url.split("/")[:3])

    def _on_console(self, message: ConsoleMessage) -> None:
        # A decision breaks off the page's own poll, and htmx says so as if it were an error.
        if message.type == "error" and not message.text.startswith(("htmx:afterRequest", "htmx:sendAbort")):
            self.complaints.append(f"{message.text} ({message.location.get('url', '')})")
