"""An amendment in the browser: it asks why and says what it changes; its original says so on screen and in its PDF."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect
from pypdf import PdfReader

from tests.e2e.reading_room import HospitalSystem, ReadingRoom
from tests.e2e.test_reading_by_keyboard import post_ultrasound, violations
from tests.live_platform import LivePlatform

pytestmark = pytest.mark.timeout(600)


def saved(page: Page) -> None:
    expect(page.locator("[data-status]")).to_contain_text("Saved", timeout=30_000)


@pytest.mark.long
def test_an_amendment_marks_its_original_on_screen_and_on_each_page(
    live_platform: LivePlatform, page: Page, tmp_path: Path, axe_source: str
) -> None:
    patient = {"id": f"AMD-{uuid4().hex[:6]}", "name": "Lindqvist^Maja", "sex": "F"}
    uid = post_ultrasound(live_platform, tmp_path, 311, patient)
    radiologist = live_platform.user("radiologist")
    room = ReadingRoom(page, radiologist)
    room.sign_in()
    page.goto(f"/reports/study/{uid}/editor")
    page.get_by_role("button", name="Start the report").click()
    page.locator("#report-indication").fill("Palpable lump of the left breast.")
    page.locator("#report-right").select_option("1")
    page.locator("#report-left").select_option("4C")
    page.locator("#report-assessment").select_option("4C")
    page.locator("#report-recommendation").select_option("tissue_diagnosis")
    page.locator("#report-impression").fill("Suspicious mass of the left breast. Biopsy is advised.")
    saved(page)
    room.sign(radiologist["password"])
    original = page.locator("article.signed").first
    expect(original).to_contain_text("4C – high suspicion", timeout=60_000)

    # What is left out is asked for: the reason, and all that follows from the new category.
    page.get_by_role("button", name="Write an addendum").click()
    expect(page.locator("[data-field=left]")).to_contain_text("Now: 4C – high suspicion")
    page.locator("#report-text").fill("Core biopsy: fibroadenoma, concordant with the images.")
    page.locator("#report-left").select_option("2")
    page.locator("#report-assessment").select_option("2")
    saved(page)
    page.get_by_role("button", name="Sign…").click()
    errors = page.locator("[data-errors]")
    expect(errors).to_contain_text("Say why something is added to the signed report.", timeout=30_000)
    page.locator("#report-reason").fill("The biopsy was benign.")
    page.locator("#report-recommendation").select_option("routine")
    page.locator("#report-impression").fill("Fibroadenoma of the left breast.")
    saved(page)
    assert violations(page, axe_source) == ""
    room.sign(radiologist["password"])

    articles = page.locator("article.signed")
    expect(articles).to_have_count(2, timeout=60_000)
    addendum, original = articles.first, articles.nth(1)
    expect(addendum.locator("del").filter(has_text="Suspicious mass")).to_have_count(1)
    expect(addendum.locator("ins").filter(has_text="Fibroadenoma")).to_have_count(1)
    expect(addendum).to_contain_text("The biopsy was benign.")
    banner = original.locator(".signed__amended")
    expect(banner).to_contain_text("Left breast: 4C → 2; BI-RADS 4C → 2")
    expect(original).to_contain_text("Superseded in part")
    assert violations(page, axe_source) == ""
    banner.get_by_role("link", name="Read the addendum").click()
    expect(addendum.locator("h2")).to_be_in_viewport()

    address = original.get_by_role("link", name="PDF").get_attribute("href") or ""
    copy = PdfReader(BytesIO(page.request.get(address).body()))
    signed = PdfReader(BytesIO(page.request.get(address + "?as=signed").body()))
    assert len(copy.pages) == len(signed.pages)
    for stamped, as_signed in zip(copy.pages, signed.pages, strict=True):
        assert "BI-RADS 4C → 2" in " ".join(stamped.extract_text().split())
        assert "Amended" not in as_signed.extract_text()
        assert "Lindqvist, Maja" in as_signed.extract_text() and patient["id"] in as_signed.extract_text()

    answer = HospitalSystem(live_platform).answer(uid)
    assert (answer["report"]["category"], answer["reports"][0]["content"]["assessment"]) == ("2", "4C")
    page.goto("/worklist/?state=all")
    row = page.get_by_role("row").filter(has_text=patient["id"])
    expect(row).to_contain_text("BI-RADS 2")
    expect(row).to_contain_text("Amended")

    page.context.set_extra_http_headers({"Accept-Language": "zh-hans"})
    page.context.add_cookies([{"name": "django_language", "value": "zh-hans", "url": live_platform.url}])
    page.goto(f"/reports/study/{uid}/editor")
    expect(page.locator(".signed__amended")).to_contain_text("左乳：4C → 2")
    assert violations(page, axe_source) == ""
