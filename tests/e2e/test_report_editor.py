"""Two people at one report, an addendum, and the administrators' pages; every axe rule is on."""

from __future__ import annotations

import re
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.lost_and_found import kept_texts
from tests.e2e.reading_room import ReadingRoom, sign_in
from tests.e2e.test_reading_by_keyboard import post_ultrasound, violations
from tests.live_platform import LivePlatform

pytestmark = pytest.mark.timeout(300)


def test_two_writers_are_told_of_each_other_and_no_text_is_lost(
    live_platform: LivePlatform, chromium: Browser, page: Page, tmp_path: Path, axe_source: str
) -> None:
    patient = {"id": f"PAIR-{uuid4().hex[:6]}", "name": "Ferreira^Inês", "sex": "F"}
    uid = post_ultrasound(live_platform, tmp_path, 301, patient)
    editor = f"/reports/study/{uid}/editor"
    radiologist = live_platform.user("radiologist")
    ReadingRoom(page, radiologist).sign_in()
    page.goto(editor)
    page.get_by_role("button", name="Start the report").click()
    page.get_by_label("Indication").fill("Palpable lump.")
    expect(page.locator("[data-status]")).to_contain_text("Saved")
    assert violations(page, axe_source) == ""

    context = chromium.new_context(base_url=live_platform.url)
    other = context.new_page()
    ReadingRoom(other, live_platform.user("sonographer")).sign_in()
    other.goto(editor)
    expect(other.locator("[data-writers]")).to_contain_text("is writing too")
    page.get_by_label("Comparison").focus()
    other.get_by_label("Impression").fill("From the sonographer.")
    expect(other.locator("[data-status]")).to_contain_text("Saved")
    context.close()

    page.get_by_label("Impression").fill("From the radiologist.")
    expect(page.locator("[data-conflict]")).to_be_visible()
    assert violations(page, axe_source) == ""
    page.get_by_role("button", name="Keep both texts").click()
    expect(page.get_by_label("Impression")).to_have_value("From the sonographer.\n\nFrom the radiologist.")

    # What is missing is listed, and leads to its field.
    page.get_by_role("button", name="Sign…").click()
    page.get_by_role("link", name="Choose the BI-RADS assessment of the exam.").click()
    expect(page.get_by_label("Whole exam")).to_be_focused()
    page.get_by_label("Left breast").select_option("4A")
    expect(page.get_by_label("Whole exam")).to_have_value("4A")
    expect(page.locator("[name=recommendation]")).to_have_value("tissue_diagnosis")

    room = ReadingRoom(page, radiologist)
    room.sign(radiologist["password"])
    assert "4A – low suspicion for malignancy" in room.signed_report()
    assert violations(page, axe_source) == ""

    page.get_by_role("button", name="Write an addendum").click()
    page.locator("#report-reason").fill("Earlier images arrived.")
    page.locator("#report-text").fill("Earlier images arrived; unchanged since 2024.")
    expect(page.locator("[data-status]")).to_contain_text("Saved")
    room.sign(radiologist["password"])
    expect(page.locator("article.signed")).to_have_count(2, timeout=30_000)
    expect(page.locator("article.signed").first).to_contain_text("unchanged since 2024")
    assert kept_texts(page) == 0


def test_who_is_signed_out_while_writing_signs_in_over_the_page_and_goes_on(
    live_platform: LivePlatform, page: Page, tmp_path: Path
) -> None:
    patient = {"id": f"OUT-{uuid4().hex[:6]}", "name": "Ferreira^Inês", "sex": "F"}
    uid = post_ultrasound(live_platform, tmp_path, 302, patient)
    radiologist = live_platform.user("radiologist")
    ReadingRoom(page, radiologist).sign_in()
    page.goto(f"/reports/study/{uid}/editor")
    page.get_by_role("button", name="Start the report").click()
    expect(page.get_by_label("Impression")).to_be_visible()

    # As where the session has run out: the browser has a cookie that the server does not know any more.
    cookies = [cookie for cookie in page.context.cookies() if "session" in cookie["name"]]
    assert len(cookies) == 1
    page.context.add_cookies([{**cookies[0], "value": "gone"}])
    page.get_by_label("Impression").fill("Written while signed out.")
    cover = page.locator("#session-cover[open]")
    cover.locator("input[type=password]").fill(radiologist["password"])
    cover.locator("button[type=submit]").click()
    expect(page.locator("#session-cover")).to_be_hidden()
    expect(page.locator("[data-status]")).to_contain_text("Saved")
    expect(page.get_by_label("Impression")).to_have_value("Written while signed out.")
    expect(page.locator("[data-conflict]")).to_be_hidden()
    page.reload()
    expect(page.get_by_label("Impression")).to_have_value("Written while signed out.")


def test_the_administrators_pages_work_by_keyboard_and_pass_axe(
    live_platform: LivePlatform, page: Page, axe_source: str
) -> None:
    administrator = live_platform.user("administrator")
    sign_in(page, administrator["username"], administrator["password"])
    expect(page.get_by_role("heading", level=1, name="Jobs")).to_be_visible()
    for address in ("/jobs/", "/models/", "/accounts/users/", "/accounts/users/new/", "/audit/"):
        page.goto(address)
        assert violations(page, axe_source) == "", address
    for address in ("/models/", "/accounts/users/"):
        page.goto(address)
        page.locator("tbody th a").first.focus()
        page.keyboard.press("Enter")
        page.wait_for_url(f"**{address}*/")
        assert violations(page, axe_source) == "", page.url

    name = f"Gateway {uuid4().hex[:6]}"
    page.goto("/accounts/tokens/")
    page.get_by_label("Name", exact=True).focus()
    page.keyboard.type(name)
    page.get_by_label("Acts for").select_option(index=1)
    page.get_by_label("Read studies").focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Make the token").focus()
    page.wait_for_timeout(100)  # nearer to one another keys are dictated text
    page.keyboard.press("Enter")
    expect(page.get_by_label("Token", exact=True)).to_have_value(re.compile(r"^cad_[\w-]{40,}$"))
    assert violations(page, axe_source) == ""
    page.get_by_role("button", name=f"Revoke {name}").press("Enter")
    expect(page.get_by_role("row").filter(has_text=name)).to_contain_text("Revoked")


def test_the_pages_speak_chinese_once_it_is_chosen(live_platform: LivePlatform, page: Page) -> None:
    ReadingRoom(page, live_platform.user("radiologist")).sign_in()
    page.get_by_role("button", name="简体中文").click()
    expect(page.get_by_role("heading", level=1, name="工作列表")).to_be_visible()
    assert page.locator("html").get_attribute("lang") == "zh-hans"
