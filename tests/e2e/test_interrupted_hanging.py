"""What hangs is what the reader asked for last, however often the viewer was interrupted on its way there."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Page, Route, expect

from imaging.phantoms import mammography
from tests.e2e.reading_room import HospitalSystem, ReadingRoom
from tests.live_platform import LivePlatform

pytestmark = pytest.mark.timeout(300)

FOUR_VIEWS = ["R CC", "L CC", "R MLO", "L MLO"]


def post_four_views(platform: LivePlatform, folder: Path) -> str:
    """Post a screening exam; returns its UID."""
    files = []
    patient = f"HANG-{uuid4().hex[:8]}"
    for view in mammography.exam(221, left="malignant", rows=800):
        path = folder / f"{view.laterality}-{view.view}.dcm"
        mammography.write_dicom(view, path, PatientID=patient)
        files.append(path)
    study = {
        "modality": "MG",
        "accession_number": patient,
        "patient": {"id": patient, "name": "Silva^Inês"},
    }
    return HospitalSystem(platform).post(study, files)


class HeldBack:
    """What the page asks for under these addresses waits until it is let go."""

    def __init__(self, page: Page, pattern: str) -> None:
        self._page = page
        self._waiting: list[Route] = []
        self._holds = True
        page.route(pattern, self._answer)

    def wait_for(self, number: int) -> None:
        while len(self._waiting) < number:
            self._page.wait_for_timeout(50)

    def let_go(self) -> None:
        self._holds = False
        for route in self._waiting:
            route.continue_()

    def _answer(self, route: Route) -> None:
        if self._holds:
            self._waiting.append(route)
        else:
            route.continue_()


def expect_hung(page: Page, names: list[str]) -> None:
    expect(page.locator('.pane[data-ready="true"]')).to_have_count(len(names), timeout=90_000)
    expect(page.locator(".pane__label")).to_have_text(names)
    assert page.locator("#panes > *").count() == page.locator("#panes canvas").count() == len(names)
    expect(page.locator("#view-state")).to_contain_text(" %")
    assert "NaN" not in page.locator("body").inner_text()


def test_keys_pressed_while_the_viewer_loads(live_platform: LivePlatform, page: Page, tmp_path: Path) -> None:
    uid = post_four_views(live_platform, tmp_path)
    room = ReadingRoom(page, live_platform.user("radiologist"))
    room.sign_in()
    for keys, names in (("vv", FOUR_VIEWS), ("vvv", ["R CC"])):
        viewer = HeldBack(page, "**/assets/raster_pane*")
        page.goto(f"/studies/{uid}/", wait_until="commit")
        viewer.wait_for(1)
        page.locator("#panes").focus()
        page.keyboard.type(keys)
        viewer.let_go()
        expect_hung(page, names)
        page.unroute_all()
    assert room.complaints == []


@pytest.mark.long
def test_keys_pressed_while_the_images_come(live_platform: LivePlatform, page: Page, tmp_path: Path) -> None:
    uid = post_four_views(live_platform, tmp_path)
    room = ReadingRoom(page, live_platform.user("radiologist"))
    room.sign_in()
    pixels = HeldBack(page, "**/pixels?*")
    page.goto(f"/studies/{uid}/")
    pixels.wait_for(4)
    page.locator(".pane").first.focus()
    page.keyboard.press("v")
    expect(page.locator(".pane")).to_have_count(1)
    page.keyboard.press("v")
    expect(page.locator(".pane")).to_have_count(4)
    pixels.let_go()
    expect_hung(page, FOUR_VIEWS)
    for _ in range(5):
        page.keyboard.press("v")
    expect_hung(page, ["R CC"])
    assert room.complaints == []
