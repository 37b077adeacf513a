"""How a reader leaves an image, and what is measured in it, is there again: after another layout, a reload, a tab that
died, for the same reader at another workstation, and for nobody else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from imaging.phantoms import mammography, ultrasound
from tests.e2e.reading_room import HospitalSystem, ReadingRoom
from tests.live_platform import LivePlatform

pytestmark = pytest.mark.timeout(600)
SEED = 415
#: Of the report's lines the answer comes late, as from a busy server.
LATE_LINES = """() => {
    const asked = window.fetch;
    window.fetch = async (address, ...rest) => {
        const answer = await asked(address, ...rest);
        if (String(address).endsWith('/editor')) await new Promise((go) => setTimeout(go, 1500));
        return answer;
    };
}"""
REPORT = {
    "indication": "Palpable lump.",
    "impression": "Benign mass.",
    "right": "2",
    "left": "2",
    "assessment": "2",
    "recommendation": "routine",
}


def post_exam(platform: LivePlatform, folder: Path, seed: int) -> str:
    files = []
    for view in mammography.exam(seed, left="malignant", rows=800):
        path = folder / f"{seed}-{view.laterality}-{view.view}.dcm"
        mammography.write_dicom(view, path, PatientID=f"VIEWS-{seed}")
        files.append(path)
    study = {
        "modality": "MG",
        "accession_number": f"VIEWS-{uuid4().hex[:8]}",
        "patient": {"id": f"VIEWS-{seed}", "name": "Demo^Phantom"},
    }
    return HospitalSystem(platform).post(study, files)


def post_ultrasound(platform: LivePlatform, folder: Path, seed: int) -> str:
    path = folder / f"ultrasound-{seed}.png"
    ultrasound.write_png(ultrasound.phantom(seed, "benign"), path)
    study = {
        "modality": "US",
        "accession_number": f"VIEWS-{uuid4().hex[:8]}",
        "patient": {"id": f"VIEWS-{seed}", "name": "Demo^Phantom"},
    }
    hospital = HospitalSystem(platform)
    uid = hospital.post(study, [path])
    hospital.wait_for_analysis(uid)
    return uid


def opened(page: Page, uid: str, panes: int) -> None:
    page.goto(f"/studies/{uid}/")
    drawn(page, panes)


def drawn(page: Page, panes: int) -> None:
    expect(page.locator('.pane[data-ready="true"]')).to_have_count(panes, timeout=90_000)


def drag(page: Page, pane: Locator, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Press, move and let go, in parts of the pane."""
    box = pane.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * start[0], box["y"] + box["height"] * start[1])
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * end[0], box["y"] + box["height"] * end[1], steps=8)
    page.mouse.up()


def saved(page: Page) -> Any:
    return page.expect_response(
        lambda answer: (
            answer.request.method == "POST"
            and re.search(r"/(annotations/|view$)", answer.url) is not None
            and answer.ok
        )
    )


def lines(page: Page) -> Locator:
    return page.locator(".measurement")


def words(pane: Locator) -> list[str]:
    return pane.locator(".length__text").all_text_contents()


@pytest.fixture
def colleague(chromium: Browser, live_platform: LivePlatform) -> Iterator[Page]:
    """Another person's browser."""
    context = chromium.new_context(base_url=live_platform.url, viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()


@pytest.mark.long
def test_an_exam_is_there_as_it_was_left(
    live_platform: LivePlatform, page: Page, colleague: Page, tmp_path: Path
) -> None:
    uid = post_exam(live_platform, tmp_path, SEED)
    room = ReadingRoom(page, live_platform.user("radiologist"))
    room.sign_in()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    opened(page, uid, 4)
    pane = page.locator('.pane[data-laterality="L"]').first
    expect(page.locator(".pane__left")).to_have_count(0)

    # A length is kept when the pointer goes up, and said by the server in millimetres.
    pane.click(position={"x": 30, "y": 60})
    page.keyboard.press("m")
    with saved(page):
        drag(page, pane, (0.3, 0.4), (0.6, 0.4))
    expect(pane.locator(".length__text")).to_have_text(re.compile(r"^\d+\.\d mm$"))
    length = words(pane)[0]
    expect(lines(page)).to_have_count(1, timeout=15_000)
    expect(lines(page).first).to_contain_text(f"L CC · {length}")

    # Zoomed at one place: a few saves for many moves of the pointer.
    page.keyboard.press("z")
    before = len([url for url in sent if url.endswith("/view")])
    with saved(page):
        drag(page, pane, (0.5, 0.6), (0.5, 0.3))
    page.wait_for_timeout(800)
    assert len([url for url in sent if url.endswith("/view")]) - before <= 3
    state = page.locator("#view-state").inner_text()

    def is_as_left(panes: int) -> None:
        drawn(page, panes)
        expect(page.locator('.pane[data-laterality="L"]').first.locator(".length__text")).to_have_text(length)
        left = page.locator('.pane[data-laterality="L"]').first.locator(".pane__left")
        expect(left).to_contain_text("As you left it: zoomed, a part is out of sight")

    # Another layout and back.
    page.keyboard.press("v")
    is_as_left(1)
    page.keyboard.press("v")
    is_as_left(4)
    # A reload.
    page.reload()
    is_as_left(4)
    expect(page.locator("#view-state")).to_contain_text(state.split("·")[-1].strip())
    # The tab dies; another is opened.
    context = page.context
    page.close(run_before_unload=False)
    page = context.new_page()
    opened(page, uid, 4)
    is_as_left(4)

    # A colleague sees neither.
    other = ReadingRoom(
        colleague, next(user for user in live_platform.users if user["username"] == "radiologist2")
    )
    other.sign_in()
    opened(colleague, uid, 4)
    expect(colleague.locator(".length__text")).to_have_count(0)
    expect(colleague.locator(".pane__left")).to_have_count(0)

    # Reset goes back to the opening view, and that is kept too; what was measured stays.
    pane = page.locator('.pane[data-laterality="L"]').first
    with saved(page):
        pane.get_by_role("button", name="Reset").click()
    expect(page.locator(".pane__left")).to_have_count(0)
    page.reload()
    drawn(page, 4)
    expect(page.locator(".pane__left")).to_have_count(0)
    expect(page.locator(".length__text")).to_have_text([length])
    assert room.complaints == [] and other.complaints == []


def test_measurements_are_undone_deleted_and_reported(
    live_platform: LivePlatform, page: Page, tmp_path: Path
) -> None:
    uid = post_ultrasound(live_platform, tmp_path, SEED)
    room = ReadingRoom(page, live_platform.user("radiologist"))
    room.sign_in()
    opened(page, uid, 1)
    pane = page.locator(".pane")
    pane.click(position={"x": 30, "y": 200})
    page.keyboard.press("m")
    with saved(page):
        drag(page, pane, (0.3, 0.4), (0.6, 0.4))
    with saved(page):
        drag(page, pane, (0.4, 0.6), (0.4, 0.75))
    page.keyboard.press("q")
    with saved(page):
        drag(page, pane, (0.85, 0.3), (0.75, 0.45))
    note = pane.get_by_label("Note")
    expect(note).to_be_focused()
    with saved(page):
        page.keyboard.type("posterior shadow")
    page.keyboard.press("Enter")
    expect(pane.locator(".length__text")).to_have_count(3)
    expect(lines(page)).to_have_count(3, timeout=15_000)
    expect(lines(page).nth(2)).to_contain_text("posterior shadow")

    # The chosen one is deleted; undo brings it back, redo takes it again.
    pane.locator(".drawn--length .drawn__hit").nth(1).click(force=True)
    expect(pane.locator(".drawn--selected")).to_have_count(1)
    with saved(page):
        page.keyboard.press("Delete")
    expect(pane.locator(".drawn")).to_have_count(2)
    with saved(page):
        page.keyboard.press("Control+z")
    expect(pane.locator(".drawn")).to_have_count(3)
    with saved(page):
        page.keyboard.press("Control+Shift+z")
    expect(pane.locator(".drawn")).to_have_count(2)
    with saved(page):
        page.keyboard.press("Control+z")
    expect(lines(page)).to_have_count(3, timeout=15_000)

    # An end is moved; undone it is as long as before.
    first = words(pane)[0]
    end = pane.locator('.drawn--length [data-end="1"]').first.bounding_box()
    assert end
    with saved(page):
        page.mouse.move(end["x"] + end["width"] / 2, end["y"] + end["height"] / 2)
        page.mouse.down()
        page.mouse.move(end["x"] + end["width"] / 2 + 40, end["y"] + end["height"] / 2, steps=4)
        page.mouse.up()
    expect(pane.locator(".length__text").first).not_to_have_text(first)
    with saved(page):
        page.keyboard.press("Control+z")
    expect(pane.locator(".length__text").first).to_have_text(first)

    # One is deleted from the list, by key.
    lines(page).nth(1).locator("[data-do=select]").focus()
    with saved(page):
        page.keyboard.press("Delete")
    expect(lines(page)).to_have_count(2, timeout=15_000)

    # Into the report, with the reader's words behind, and out on paper.
    room.decide()
    room.start_report(REPORT)
    page.get_by_role("tab", name="Findings").click()
    for place in (0, 1):
        with saved(page):
            lines(page).nth(place).get_by_role("button", name="In the report").click()
        expect(lines(page).nth(place).locator('[data-do="report"][aria-pressed="true"]')).to_have_count(
            1, timeout=15_000
        )
    page.get_by_role("tab", name="Report").click()
    heading = page.locator(".report__heading", has_text=f"length {first}" if "mm" in first else "length")
    expect(heading).to_be_visible(timeout=15_000)
    heading.locator("xpath=following-sibling::textarea").fill("longest diameter")
    expect(page.locator("[data-status]")).to_contain_text("Saved", timeout=20_000)
    room.sign(live_platform.user("radiologist")["password"])
    signed = room.signed_report()
    assert "longest diameter" in signed and "posterior shadow" in signed
    paper = room.pdf_text()
    assert "longest diameter" in paper and "posterior shadow" in paper
    # Signed, they stay.
    page.get_by_role("tab", name="Findings").click()
    expect(lines(page).first.get_by_role("button", name="Delete")).to_have_count(0, timeout=15_000)
    assert room.complaints == []


def test_a_signature_waits_for_lines_that_are_on_their_way(
    live_platform: LivePlatform, page: Page, tmp_path: Path
) -> None:
    """Lines of findings that are renewed late come into the report before it is signed, or are refused with it; no save
    follows a signature."""
    uid = post_ultrasound(live_platform, tmp_path, SEED + 1)
    room = ReadingRoom(page, live_platform.user("radiologist"))
    room.sign_in()
    opened(page, uid, 1)
    pane = page.locator(".pane")
    pane.click(position={"x": 30, "y": 200})
    page.keyboard.press("m")
    with saved(page):
        drag(page, pane, (0.3, 0.4), (0.6, 0.4))
    room.decide()
    room.start_report(REPORT)
    expect(page.locator("[data-status]")).to_contain_text("Saved", timeout=20_000)

    page.get_by_role("tab", name="Findings").click()
    page.evaluate(LATE_LINES)
    with saved(page):
        lines(page).nth(0).get_by_role("button", name="In the report").click()
    expect(lines(page).nth(0).locator('[data-do="report"][aria-pressed="true"]')).to_have_count(
        1, timeout=15_000
    )
    page.get_by_role("tab", name="Report").click()
    room.sign(live_platform.user("radiologist")["password"])
    assert "length" in room.signed_report()
    page.wait_for_timeout(2_500)
    assert room.complaints == []
    expect(page.locator("[data-stray]")).to_have_count(0)


def test_words_are_typed_on_while_lines_are_renewed(
    live_platform: LivePlatform, page: Page, tmp_path: Path
) -> None:
    """A line that comes while somebody types takes neither the cursor nor a letter, of a finding or of their own."""
    uid = post_ultrasound(live_platform, tmp_path, SEED + 2)
    room = ReadingRoom(page, live_platform.user("radiologist"))
    room.sign_in()
    opened(page, uid, 1)
    pane = page.locator(".pane")
    pane.click(position={"x": 30, "y": 200})
    page.keyboard.press("m")
    for place in (0.4, 0.6):
        with saved(page):
            drag(page, pane, (0.3, place), (0.6, place))
    expect(lines(page)).to_have_count(2, timeout=15_000)
    room.decide()
    room.start_report(REPORT)
    headings = page.locator(".report__heading", has_text="length")

    def reported(number: int) -> None:
        page.get_by_role("tab", name="Findings").click()
        with saved(page):
            lines(page).nth(number).get_by_role("button", name="In the report").click()
        page.get_by_role("tab", name="Report").click()

    reported(0)
    expect(headings).to_have_count(1, timeout=15_000)
    page.get_by_role("button", name="Add a line").click()
    page.keyboard.type("ducts ")
    expect(page.locator("[data-status]")).to_contain_text("Saved", timeout=20_000)
    own = page.get_by_label("Another finding, in your own words")
    page.evaluate(LATE_LINES)
    reported(1)
    own.press("End")
    page.keyboard.type("are not wide", delay=200)
    expect(own).to_be_focused()
    expect(own).to_have_value("ducts are not wide")
    expect(headings).to_have_count(2, timeout=15_000)
    expect(page.locator("[data-status]")).to_contain_text("Saved", timeout=20_000)
    room.sign(live_platform.user("radiologist")["password"])
    assert "ducts are not wide" in room.signed_report()
    assert room.complaints == []
