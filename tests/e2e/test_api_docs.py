"""The browsable documentation works in a browser under the content security policy."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage

from tests.web_server import web_server


@pytest.mark.long
def test_swagger_ui_shows_every_operation_and_violates_no_policy(
    chromium: Browser, django_db_setup: None, tmp_path: Path
) -> None:
    complaints: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type == "error":
            complaints.append(message.text)

    with web_server(tmp_path) as server:
        page = chromium.new_page()
        page.on("console", heard)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{server.url}/api/docs/")
        page.wait_for_selector("#operations-v1-post_study, [id$='post_study']", timeout=60_000)
        assert page.locator(".opblock").count() >= 10
        page.locator("[id$='post_study'] .opblock-summary-control").click()
        page.get_by_text("Idempotency-Key").first.wait_for()
        page.close()
    assert complaints == []
