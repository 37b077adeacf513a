"""What the documents show of kept work, the lock, the session and measurements, in both languages: the pages pass axe,
and with SAFE_PICTURES=docs/images/safe they are taken anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from cad_platform.studies.models import Instance
from imaging.phantoms import mammography
from tests.e2e.lost_and_found import Reader, Reading, end_session
from tests.e2e.test_reading_by_keyboard import violations

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300), pytest.mark.long]

PICTURES = os.environ.get("SAFE_PICTURES")
SIZE = {"width": 1280, "height": 800}
NOTES = {"en": "posterior shadow", "zh": "后方声影"}
LOCK = {"en": "Lock this workplace", "zh": "锁定此工作站"}


def look(page: Page, name: str, axe_source: str) -> None:
    assert violations(page, axe_source) == ""
    if PICTURES:
        page.screenshot(path=str(Path(PICTURES) / f"{name}.png"))


@pytest.mark.parametrize("language", NOTES)
def test_kept_work_session_lock_and_measurements(
    chromium: Browser, transactional_db: None, tmp_path: Path, axe_source: str, language: str
) -> None:
    view = next(each for each in mammography.exam(911, left="malignant", rows=1000) if each.laterality == "L")
    pixels = (view.pixels / (int(view.pixels.max()) / 255)).astype("uint8")
    reading = Reading(tmp_path, marks=2)
    anna = Reader(chromium, reading, reading.reader)
    try:
        Instance.objects.update(rows=pixels.shape[0], columns=pixels.shape[1])
        reading.marks[0].instance.refresh_from_db()
        anna.has_pixels(pixels.tobytes())
        anna.sign_in()
        code = {"en": "en", "zh": "zh-hans"}[language]
        anna.context.add_cookies([{"name": "django_language", "value": code, "url": reading.server.url}])
        anna.page.set_viewport_size(SIZE)  # type: ignore[arg-type]
        anna.open_case()
        page = anna.page
        expect(page.locator('.pane[data-ready="true"]')).to_have_count(1)
        anna.measure()
        page.keyboard.press("q")
        pane: dict[str, float] = page.locator(".pane").bounding_box()  # type: ignore[assignment]
        page.mouse.move(pane["x"] + pane["width"] * 0.25, pane["y"] + pane["height"] * 0.3)
        page.mouse.down()
        page.mouse.move(pane["x"] + pane["width"] * 0.4, pane["y"] + pane["height"] * 0.42, steps=6)
        page.mouse.up()
        page.keyboard.type(NOTES[language])
        page.keyboard.press("Enter")
        expect(page.locator(".measurement")).to_have_count(2)
        page.locator(".measurement").last.scroll_into_view_if_needed()
        look(page, f"measurements-{language}", axe_source)

        with anna.offline():
            anna.finding(0).locator("[data-action=accept]").click()
            expect(anna.banner).to_be_visible(timeout=3000)
            expect(anna.finding(0).locator(".pending")).to_be_visible()
            look(page, f"kept-here-{language}", axe_source)
        expect(anna.banner).to_be_hidden(timeout=40_000)

        end_session(reading.reader)
        anna.finding(1).locator("[data-action=accept]").evaluate("button => button.click()")
        expect(anna.cover.locator("input[name=password]")).to_be_focused()
        look(page, f"session-{language}", axe_source)
        anna.give_password()

        page.get_by_role("button", name=LOCK[language]).click()
        expect(anna.cover.locator("input[name=password]")).to_be_visible()
        look(page, f"locked-{language}", axe_source)
    finally:
        anna.close()
        reading.close()
