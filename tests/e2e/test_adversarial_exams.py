"""Exams in which a viewer that guesses shows the wrong side, size or image, in a browser. With
`ADVERSARIAL_PICTURES`, a folder, what is seen is kept there (`docs/images/adversarial/`)."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.e2e import adversarial_exams as exams
from tests.e2e.reading_room import HospitalSystem, ReadingRoom
from tests.live_platform import LivePlatform

pytestmark = pytest.mark.timeout(400)

FOUR_VIEWS = ["R CC", "L CC", "R MLO", "L MLO"]
_LARGEST_PICTURE = 150_000
_COLOURED = 45

Opener = Callable[[Callable[[Path], exams.Exam], int], Page]


@pytest.fixture
def open_exam(live_platform: LivePlatform, page: Page, tmp_path: Path) -> Opener:
    """Post an exam, wait for its analysis, and open it: that many panes are drawn."""

    def opened(make: Callable[[Path], exams.Exam], panes: int) -> Page:
        exam = make(tmp_path)
        hospital = HospitalSystem(live_platform)
        uid = hospital.post(exam.study, exam.files)
        hospital.wait_for_analysis(uid)
        page.set_viewport_size({"width": 1280, "height": 800})
        ReadingRoom(page, live_platform.user("radiologist")).sign_in()
        page.goto(f"/studies/{uid}/")
        wait_for_panes(page, panes)
        return page

    return opened


def wait_for_panes(page: Page, number: int) -> None:
    expect(page.locator('.pane[data-ready="true"]')).to_have_count(number, timeout=90_000)


def labels(page: Page) -> list[str]:
    return page.locator(".pane__label").all_inner_texts()


def notes(page: Page) -> list[str]:
    return page.locator(".pane__label + .pane__notes").all_inner_texts()


def pane_of(page: Page, name: str) -> Locator:
    return page.locator(".pane", has=page.get_by_text(name, exact=True)).first


def keep(page: Page, name: str) -> None:
    """Keep what is seen, in few colours so that it stays small."""
    folder = os.environ.get("ADVERSARIAL_PICTURES")
    if not folder:
        return
    page.wait_for_timeout(500)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    for width in (1120, 900, 760, 620):
        picture.thumbnail((width, width))
        packed = io.BytesIO()
        in_few_colours(picture).save(packed, "png", optimize=True)
        if packed.tell() <= _LARGEST_PICTURE:
            break
    Path(folder).mkdir(parents=True, exist_ok=True)
    (Path(folder) / f"{name}.png").write_bytes(packed.getvalue())


def in_few_colours(picture: Image.Image) -> Image.Image:
    """Most of a page are greys; its few colours, which mean something, have places of the palette for themselves."""
    pixels = np.asarray(picture).reshape(-1, 3)
    is_coloured = np.ptp(pixels, axis=1) > _COLOURED
    palette: list[int] = []
    for part, places in ((pixels[~is_coloured], 56), (pixels[is_coloured], 40)):
        if len(part):
            reduced = Image.fromarray(part.reshape(1, -1, 3)).quantize(places, dither=Image.Dither.NONE)
            palette += (reduced.getpalette() or [])[: 3 * places]
    chosen = Image.new("P", (1, 1))
    chosen.putpalette(palette)
    return picture.quantize(palette=chosen, dither=Image.Dither.NONE)


def scale_bars(page: Page) -> list[int]:
    """How wide the scale bars are that can be seen."""
    widths: list[int] = page.locator(".scale-bar:not([hidden])").evaluate_all(
        "bars => bars.map(bar => bar.offsetWidth)"
    )
    return widths


def brightest(pane: Locator) -> int:
    """The brightest grey level of what a pane shows beside its words."""
    picture = Image.open(io.BytesIO(pane.screenshot())).convert("L")
    width, height = picture.size
    return int(picture.crop((0, height // 3, width, height * 2 // 3)).getextrema()[1])


def draw_length(page: Page, pane: Locator, start: tuple[float, float], end: tuple[float, float]) -> str:
    """Measure between two points, as shares of the pane; what is said of the newest length."""
    box = pane.bounding_box()
    assert box
    pane.focus()
    page.keyboard.press("m")
    for place, (x, y) in enumerate((start, end)):
        page.mouse.move(box["x"] + box["width"] * x, box["y"] + box["height"] * y, steps=3)
        page.mouse.down() if place == 0 else page.mouse.up()
    return pane.locator(".length__text").last.text_content() or ""


def test_a_side_that_post_and_header_dispute_is_a_stop_on_the_image(open_exam: Opener) -> None:
    page = open_exam(exams.swapped_side, 1)
    stop = page.locator(".pane__stop")
    expect(stop).to_be_visible()
    expect(stop).to_contain_text("L")
    assert notes(page) == [""]
    keep(page, "swapped-side")
    stop.get_by_role("button").click()
    expect(page.get_by_role("tab", selected=True)).to_have_text("Study")


@pytest.mark.long
def test_a_white_film_border_turns_no_image(open_exam: Opener) -> None:
    page = open_exam(exams.white_border, 4)
    assert labels(page) == FOUR_VIEWS
    assert notes(page) == ["", "", "", ""]
    keep(page, "white-border")


@pytest.mark.long
def test_an_image_stored_mirrored_hangs_right_and_says_so_in_every_layout(open_exam: Opener) -> None:
    page = open_exam(exams.stored_mirrored, 4)
    assert labels(page) == FOUR_VIEWS
    assert notes(page) == ["", "mirrored", "", "mirrored"]
    keep(page, "stored-mirrored")
    pane_of(page, "L CC").click()
    page.keyboard.press("v")
    wait_for_panes(page, 1)
    assert (labels(page), notes(page)) == (["L CC"], ["mirrored"])


@pytest.mark.long
def test_all_of_six_images_are_reached_from_four_views(open_exam: Opener) -> None:
    page = open_exam(exams.six_images, 4)
    assert labels(page) == FOUR_VIEWS
    expect(page.locator(".strip__image")).to_have_count(6)
    expect(page.locator(".strip__more")).to_have_text("+2")
    place = pane_of(page, "L CC").locator(".place output")
    expect(place).to_have_text("1 / 2")
    first = pane_of(page, "L CC").get_attribute("data-image")
    keep(page, "six-images")
    pane_of(page, "L CC").click()
    page.keyboard.press("PageDown")
    expect(place).to_have_text("2 / 2")
    wait_for_panes(page, 4)
    assert pane_of(page, "L CC").get_attribute("data-image") != first
    page.locator(".strip__image", has_text="L ML").last.click()
    wait_for_panes(page, 4)
    assert labels(page) == ["R CC", "L CC", "R MLO", "L ML"]


@pytest.mark.long
def test_raw_images_are_kept_aside_and_can_be_looked_at(open_exam: Opener) -> None:
    page = open_exam(exams.raw_beside_processed, 4)
    assert labels(page) == FOUR_VIEWS
    expect(page.locator(".strip__image--aside")).to_have_count(4)
    page.locator(".strip__image--aside").first.click()
    expect(page.locator(".pane__aside")).to_contain_text("Kept aside")
    wait_for_panes(page, 4)
    keep(page, "raw-beside-processed")


@pytest.mark.long
def test_a_view_without_spacing_is_seen_and_has_no_millimetres(open_exam: Opener) -> None:
    page = open_exam(exams.one_without_spacing, 4)
    assert notes(page) == ["", "no scale", "", ""]
    widths = scale_bars(page)
    assert len(widths) == 3 and max(widths) - min(widths) <= 1
    assert brightest(pane_of(page, "L CC")) > 100
    keep(page, "one-without-spacing")
    assert "px" in draw_length(page, pane_of(page, "L CC"), (0.2, 0.5), (0.5, 0.5))


@pytest.mark.long
def test_mixed_pixel_sizes_hang_at_one_scale(open_exam: Opener) -> None:
    page = open_exam(exams.mixed_pixel_sizes, 4)
    widths = scale_bars(page)
    assert len(widths) == 4 and max(widths) - min(widths) <= 1
    keep(page, "mixed-pixel-sizes")


@pytest.mark.long
def test_the_plain_views_of_an_implant_set_hang(open_exam: Opener) -> None:
    page = open_exam(exams.implants, 4)
    assert labels(page) == FOUR_VIEWS
    expect(page.locator(".strip__more")).to_have_text("+4")
    pane_of(page, "L CC").click()
    page.keyboard.press("PageDown")
    expect(page.locator(".pane__label").nth(1)).to_have_text("L CC ID")
    wait_for_panes(page, 4)
    keep(page, "implant-set")


@pytest.mark.long
def test_a_mark_on_a_clip_is_on_its_frame(open_exam: Opener) -> None:
    page = open_exam(exams.clip, 1)
    expect(page.locator(".cine__speed")).to_have_text("5 / s")
    chosen = page.locator(".finding").first.get_attribute("data-finding")
    marks = page.locator(f'[data-finding="{chosen}"] .mark__line')
    page.locator(".finding__select").first.click()
    shown = page.locator(".cine output")
    expect(shown).not_to_have_text("1 / 12")
    expect(page.locator(".finding__where").first).to_contain_text("frame")
    expect(marks).not_to_have_count(0)
    keep(page, "clip")
    box = page.locator(".pane").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 3)
    for _ in range(11):
        page.mouse.wheel(0, -120)
    expect(shown).to_have_text("1 / 12")
    expect(marks).to_have_count(0)


@pytest.mark.long
def test_a_tomosynthesis_is_gone_through_by_the_wheel(open_exam: Opener) -> None:
    page = open_exam(exams.tomosynthesis, 1)
    expect(page.locator(".cine output")).to_have_text("1 / 9")
    box = page.locator(".pane").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 3)
    for _ in range(4):
        page.mouse.wheel(0, 120)
    expect(page.locator(".cine output")).to_have_text("5 / 9")
    keep(page, "tomosynthesis")


def scale_at(page: Page, pane: Locator, x: float) -> float:
    """Millimetres a CSS pixel by the scale bar, with the pointer over this part of the pane's width."""
    box = pane.bounding_box()
    assert box
    page.mouse.move(box["x"] + x * box["width"], box["y"] + box["height"] / 2)
    bar = page.locator(".scale-bar")
    expect(bar).to_contain_text("at the pointer")
    width = float(bar.evaluate("bar => bar.getBoundingClientRect().width"))
    return float(bar.inner_text().split()[0]) / width


@pytest.mark.long
def test_lengths_go_by_the_region_that_they_lie_in(open_exam: Opener) -> None:
    page = open_exam(exams.two_depths, 1)
    pane = page.locator(".pane")
    expect(page.locator(".scale-bar")).to_contain_text("in the middle")
    assert scale_at(page, pane, 0.75) == pytest.approx(2 * scale_at(page, pane, 0.25), rel=0.02)
    left = draw_length(page, pane, (0.2, 0.4), (0.3, 0.4))
    right = draw_length(page, pane, (0.7, 0.4), (0.8, 0.4))
    across = draw_length(page, pane, (0.4, 0.6), (0.6, 0.6))
    expect(page.locator(".measurement")).to_have_count(3)
    keep(page, "two-region-ultrasound")
    assert left.endswith(" mm") and right.endswith(" mm")
    assert float(right.split()[0]) == pytest.approx(2 * float(left.split()[0]), rel=0.02)
    assert across.endswith("px (not calibrated here)")


@pytest.mark.long
def test_pixels_that_are_not_square_are_drawn_and_measured_in_their_shape(open_exam: Opener) -> None:
    page = open_exam(exams.unequal_pixels, 1)
    pane = page.locator(".pane")
    box = pane.bounding_box()
    assert box
    across = draw_length(page, pane, (0.4, 0.4), (0.5, 0.4))
    # Where the first ends a press would move that end.
    down = draw_length(page, pane, (0.6, 0.4), (0.6, 0.4 + 0.1 * box["width"] / box["height"]))
    expect(page.locator(".measurement")).to_have_count(2)
    keep(page, "unequal-pixels")
    assert float(across.split()[0]) == pytest.approx(float(down.split()[0]), rel=0.02)
