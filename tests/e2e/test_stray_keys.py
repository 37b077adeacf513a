"""Stray typing changes nothing; what is chosen has the focus, and a decision does not lose it."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.reading_room import ReadingRoom
from tests.e2e.test_reading_by_keyboard import post_ultrasound, wait_for_panes
from tests.live_platform import LivePlatform

pytestmark = pytest.mark.timeout(300)

DICTATED = "An irregular area of increased density, 9 mm; axe the lower 1 2 3? no further mass. "


@pytest.fixture
def room(live_platform: LivePlatform, page: Page, tmp_path: Path) -> ReadingRoom:
    """A case with findings, open; nothing of it has the focus."""
    uid = post_ultrasound(live_platform, tmp_path, 211, {"id": "STRAY", "name": "Falk^Ada", "sex": "F"})
    room = ReadingRoom(page, live_platform.user("radiologist"))
    room.sign_in()
    page.goto(f"/studies/{uid}/")
    wait_for_panes(page, 1)
    return room


def dictate(page: Page, words: str) -> None:
    """As dictation software types: one key right after the other, however busy this machine is."""
    page.evaluate(
        """(words) => [...words].forEach((key) => {
            for (const type of ['keydown', 'keyup'])
                document.activeElement.dispatchEvent(
                    new KeyboardEvent(type, { key, bubbles: true, cancelable: true }));
        })""",
        words,
    )
    page.wait_for_timeout(200)


def state_of(page: Page) -> tuple[object, ...]:
    """What stray keys changed once: decisions, the view, the tab, forms and dialogs."""
    return (
        page.locator(".finding").evaluate_all("all => all.map(each => each.dataset.verdict)"),
        page.locator(".tool[aria-pressed]").evaluate_all("all => all.map(each => each.ariaPressed)"),
        page.locator("#view-state").inner_text(),
        page.locator("[role=tab]").evaluate_all("all => all.map(each => each.ariaSelected)"),
        page.locator("#edit-bar").is_visible(),
        page.locator("dialog[open]").count(),
        page.url,
    )


def test_typing_beside_the_image_changes_nothing(room: ReadingRoom) -> None:
    page = room.page
    # A finding is chosen, so that a key would have something to decide on.
    page.locator(".finding__select").first.click()
    expect(page.locator(".pane")).to_be_focused()
    places: list[Locator] = [
        page.locator("body"),
        page.locator("#panel-findings"),
        page.locator(".finding__select").first,
        page.locator('[data-action="accept"]').first,
        page.locator('[data-action="reject"]').first,
        page.locator('.tool[data-command="invert"]'),
        page.get_by_role("tab", name="Report"),
        page.locator("#strip"),
    ]
    before = state_of(page)
    for place in places:
        place.evaluate("each => { document.activeElement.blur(); each.focus(); }")
        dictate(page, DICTATED)
        # And typed by hand, with all the time between: but for a space, which presses the button that has the focus.
        for key in ("a", "e", "i", "r", "d", "2", "?", "PageDown"):
            page.keyboard.press(key)
        page.wait_for_timeout(200)
        assert state_of(page) == before, str(place)
    # After a dialog.
    page.locator("[data-opens=shortcuts]").click()
    page.keyboard.press("Escape")
    dictate(page, DICTATED)
    assert state_of(page) == before
    assert room.complaints == []


def test_dictated_text_on_the_image_decides_nothing(room: ReadingRoom) -> None:
    page = room.page
    page.locator(".finding__select").first.click()
    expect(page.locator(".pane")).to_be_focused()
    for words in (DICTATED, "are ", "a mass ", "due"):
        dictate(page, words)
        if page.locator("#shortcuts").is_visible():
            page.keyboard.press("Escape")
        page.locator(".pane").focus()
    verdicts = page.locator(".finding").evaluate_all("all => all.map(each => each.dataset.verdict)")
    assert set(verdicts) == {"undecided"}
    assert not page.locator("#edit-bar").is_visible() and page.locator("#reject-dialog[open]").count() == 0


@pytest.mark.long
def test_a_held_key_decides_once_and_the_focus_stays(room: ReadingRoom) -> None:
    page = room.page
    page.locator(".pane").click(position={"x": 20, "y": 80})
    expect(page.locator(".pane")).to_be_focused()
    page.keyboard.press("n")
    for _ in range(12):
        page.keyboard.down("a")
        page.wait_for_timeout(15)
    page.keyboard.up("a")
    page.wait_for_timeout(500)
    accepted = page.locator('.finding[data-verdict="accepted"]')
    assert accepted.count() <= 1
    page.wait_for_timeout(100)
    if accepted.count() == 0:
        page.keyboard.press("a")
    expect(accepted).to_have_count(1)
    expect(page.locator(".pane")).to_be_focused()


@pytest.mark.long
def test_keys_are_changed_and_switched_off_by_each_for_themselves(room: ReadingRoom) -> None:
    page = room.page
    case = page.url
    page.locator("[data-opens=shortcuts]").click()
    page.get_by_role("link", name="Change or switch off keys").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Keyboard")
    invert = page.locator("#key-invert")
    invert.focus()
    page.keyboard.press("f")
    expect(page.locator("#key-invert-error")).to_contain_text("Fit to the window")
    page.keyboard.press("y")
    expect(page.locator("#key-invert-error")).to_have_text("")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("main").get_by_role("status")).to_contain_text("Saved.")

    page.goto(case)
    wait_for_panes(page, 1)
    inverted = page.locator('.tool[data-command="invert"]')
    expect(inverted).to_have_attribute("aria-keyshortcuts", "y")
    expect(inverted).to_have_attribute("title", "Invert (Y)")
    page.locator(".pane").focus()
    page.keyboard.press("i")
    page.keyboard.press("y")
    expect(inverted).to_have_attribute("aria-pressed", "true")

    page.goto("/accounts/keyboard/")
    page.get_by_label("Single keys act").uncheck()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("main").get_by_role("status")).to_contain_text("Saved.")
    page.goto(case)
    wait_for_panes(page, 1)
    page.locator(".pane").focus()
    page.keyboard.press("y")
    page.wait_for_timeout(200)
    expect(inverted).to_have_attribute("aria-pressed", "false")
    expect(inverted).not_to_have_attribute("aria-keyshortcuts", "y")
    page.goto("/accounts/keyboard/")
    page.get_by_role("button", name="All keys as at first").click()
    expect(page.get_by_label("Single keys act")).to_be_checked()
