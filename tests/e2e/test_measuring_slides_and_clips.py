"""What is measured in a slide keeps its place and length through every zoom; what is measured in a clip is on its frame
and on no other. Both are there again after a reload."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Locator, Page, expect

from imaging.phantoms import histology, ultrasound
from tests.e2e.reading_room import HospitalSystem, ReadingRoom
from tests.e2e.test_views_and_measurements import drag, drawn, lines, opened, saved, words
from tests.live_platform import LivePlatform

pytestmark = [pytest.mark.timeout(600), pytest.mark.long]
SEED = 431


def post(platform: LivePlatform, modality: str, path: Path) -> str:
    study = {
        "modality": modality,
        "accession_number": f"MEASURED-{uuid4().hex[:8]}",
        "patient": {"id": f"MEASURED-{modality}", "name": "Demo^Phantom"},
    }
    return HospitalSystem(platform).post(study, [path])


def span(pane: Locator) -> float:
    """How long the first length is on the screen. Read at once: whatever moves in a slide is drawn anew."""
    length: float = pane.locator(".drawn--length [data-end]").evaluate_all(
        """ends => { const [a, b] = ends.map(end => end.getBoundingClientRect());
                     return Math.hypot(a.x - b.x, a.y - b.y); }"""
    )
    return length


def zoomed(page: Page, pane: Locator) -> None:
    box: Any = pane.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.wheel(0, -400)


def test_a_length_in_a_slide_keeps_its_place_through_zooms_and_a_reload(
    live_platform: LivePlatform, page: Page, tmp_path: Path
) -> None:
    path = tmp_path / "slide.tif"
    histology.write_slide(histology.slide(SEED, "malignant"), path)
    room = ReadingRoom(page, live_platform.user("pathologist"))
    room.sign_in()
    opened(page, post(live_platform, "SM", path), 1)
    pane = page.locator(".pane")
    pane.click(position={"x": 40, "y": 250})
    page.keyboard.press("m")
    with saved(page):
        drag(page, pane, (0.45, 0.45), (0.55, 0.55))
    expect(pane.locator(".length__text")).to_have_text(re.compile(r"^[\d.]+ (µm|mm)$"))
    said = words(pane)
    expect(lines(page)).to_have_count(1, timeout=15_000)
    expect(lines(page).first).to_contain_text(said[0])
    before = span(pane)
    zoomed(page, pane)
    # Drawn with the slide: longer on the screen, as long in the tissue.
    page.wait_for_timeout(1500)
    assert span(pane) > 1.2 * before
    assert words(pane) == said
    page.reload()
    drawn(page, 1)
    expect(pane.locator(".length__text")).to_have_text(said)
    assert room.complaints == []


def test_a_length_in_a_clip_is_on_its_frame_only(
    live_platform: LivePlatform, page: Page, tmp_path: Path
) -> None:
    path = tmp_path / "clip.dcm"
    ultrasound.write_dicom(ultrasound.phantom(SEED, "benign"), path, frames=5, PatientID="MEASURED-US")
    room = ReadingRoom(page, live_platform.user("radiologist"))
    room.sign_in()
    opened(page, post(live_platform, "US", path), 1)
    pane, position = page.locator(".pane"), page.locator(".cine .num").first
    slider = pane.get_by_role("slider", name="Frame")

    def go_to(frame: int) -> None:
        slider.evaluate(
            "(slider, frame) => { slider.value = frame; slider.dispatchEvent(new Event('input')); }",
            str(frame),
        )
        expect(position).to_have_text(f"{frame} / 5", timeout=20_000)

    go_to(3)
    pane.click(position={"x": 40, "y": 250})
    page.keyboard.press("m")
    with saved(page):
        drag(page, pane, (0.4, 0.4), (0.6, 0.4))
    expect(pane.locator(".length__text")).to_have_text(re.compile(r"^[\d.]+ mm$"))
    said = words(pane)
    expect(lines(page)).to_have_count(1, timeout=15_000)
    expect(lines(page).first).to_contain_text("frame 3")
    for frame in (2, 4, 1):
        go_to(frame)
        expect(pane.locator(".length__text")).to_have_count(0)
    # From the list, back to its frame.
    lines(page).first.locator("[data-do=select]").click()
    expect(position).to_have_text("3 / 5", timeout=20_000)
    expect(pane.locator(".length__text")).to_have_text(said)
    page.wait_for_timeout(800)
    page.reload()
    drawn(page, 1)
    # The clip opens on the frame at which it was left, with what is measured there.
    expect(position).to_have_text("3 / 5", timeout=20_000)
    expect(pane.locator(".length__text")).to_have_text(said)
    go_to(5)
    expect(pane.locator(".length__text")).to_have_count(0)
    assert room.complaints == []
