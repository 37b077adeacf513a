"""The fleet's pages in Chromium, by keyboard, in both languages, through axe: hosts, versions, workers; drained and
given work again; scaled."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.administrator import OLD, Administrator
from tests.e2e.test_analysed_again import new_page
from tests.e2e.test_reading_by_keyboard import violations
from tests.live_platform import LivePlatform

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600), pytest.mark.long]


def press_until(page: Page, name: str) -> None:
    """By Tab to the control of that name, and Enter."""
    wanted = page.get_by_role("button", name=name)
    for _ in range(80):
        if wanted.evaluate("element => element === document.activeElement"):
            page.keyboard.press("Enter")
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{name} is not reached by keyboard")


def test_an_administrator_sees_drains_and_scales_a_host(
    live_platform: LivePlatform, chromium: Browser, axe_source: str
) -> None:
    page = new_page(chromium, live_platform)
    administrator = Administrator(page, live_platform)
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Models").click()
    page.get_by_role("navigation", name="Models").get_by_role("link", name="Fleet").click()
    expect(page.get_by_role("heading", name="Fleet")).to_be_visible()
    expect(page.locator("#hosts")).to_contain_text("Ready", timeout=60_000)
    assert violations(page, axe_source) == ""

    # The list renews itself, and keeps what is open below it.
    page.get_by_text("Add a model server").click()
    page.get_by_label("Address", exact=True).fill("nowhere")
    with page.expect_response("**/fleet/rows"):
        pass
    expect(page.get_by_label("Address", exact=True)).to_have_value("nowhere")
    page.get_by_role("button", name="Add the model server").click()
    expect(page.get_by_text("is no address of a model server")).to_be_visible()
    assert violations(page, axe_source) == ""

    page.locator("#hosts").get_by_role("link").first.click()
    expect(page.get_by_text(f"ultrasound {OLD}").first).to_be_visible()
    expect(page.get_by_text("READY").first).to_be_visible(timeout=30_000)
    assert violations(page, axe_source) == ""

    press_until(page, "Drain")
    expect(page.get_by_text("Draining")).to_be_visible()
    assert violations(page, axe_source) == ""
    deadline = time.monotonic() + 150
    while "Nothing is in flight, as its counters show" not in page.locator("main").inner_text():
        assert time.monotonic() < deadline, page.locator("main").inner_text()
        time.sleep(5)
        page.reload()
    press_until(page, "Give it work again")
    expect(page.get_by_text("Draining")).to_have_count(0)

    page.get_by_text("Change ultrasound").first.click()
    form = page.locator("form[action$='/scale']").filter(visible=True)
    form.get_by_label("at most").fill("2")
    form.get_by_label("Workers at least").fill("2")
    form.get_by_role("button", name="Scale").click()
    expect(page.get_by_text("The model server was told")).to_be_visible()
    assert violations(page, axe_source) == ""
    deadline = time.monotonic() + 90
    while administrator.workers("ultrasound") != 2:
        assert time.monotonic() < deadline
        time.sleep(2)


def test_in_chinese_and_narrow(live_platform: LivePlatform, chromium: Browser, axe_source: str) -> None:
    page = new_page(chromium, live_platform)
    Administrator(page, live_platform)
    page.set_viewport_size({"width": 320, "height": 700})
    page.context.set_extra_http_headers({"Accept-Language": "zh-Hans"})
    for path in ("/fleet/",):
        page.goto(path)
        assert violations(page, axe_source) == ""
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
    page.locator("#hosts").get_by_role("link").first.click()
    assert violations(page, axe_source) == ""
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
