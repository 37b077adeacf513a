"""What axe cannot see: pages at 320 CSS pixels, marks without colour, labels and bars on any background; and axe itself
on every page, in both languages, wide and narrow."""

from __future__ import annotations

import io
import re
from itertools import combinations

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from embedded.state import REPOSITORY
from imaging.phantoms import histology, mammography
from tests.e2e.reading_room import HospitalSystem, ReadingRoom, sign_in
from tests.e2e.test_reading_by_keyboard import post_ultrasound, violations, wait_for_panes
from tests.live_platform import LivePlatform

pytestmark = pytest.mark.timeout(600)

STATES = ("undecided", "accepted", "reader", "rejected")


def luminance(colour: tuple[float, float, float]) -> float:
    """Relative luminance (WCAG 2.2) of a colour of 0 to 255."""
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (value / 255 for value in colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def without_green_cones(colour: tuple[float, ...]) -> tuple[float, ...]:
    """What a deuteranope sees of a colour (Machado, Oliveira & Fernandes 2009, severity 1; sRGB as it is)."""
    matrix = (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    )
    return tuple(sum(weight * part for weight, part in zip(row, colour, strict=True)) for row in matrix)


def token(name: str) -> tuple[int, ...]:
    text = (REPOSITORY / "frontend" / "src" / "styles" / "tokens.css").read_text()
    found = re.search(rf"--{name}: #([0-9a-f]{{6}});", text)
    assert found is not None
    return tuple(bytes.fromhex(found[1]))


def test_the_colours_of_marks_differ_for_who_sees_no_green_and_none_is_the_green_of_good() -> None:
    names = ("mark", "mark-accepted", "mark-own", "mark-rejected")
    for one, other in combinations(names, 2):
        seen = [without_green_cones(token(name)) for name in (one, other)]
        apart = sum((a - b) ** 2 for a, b in zip(*seen, strict=True)) ** 0.5
        assert apart > 45, (one, other, apart)
    for name in names:
        red, green, blue = token(name)
        assert not (green > red + 15 and green > blue + 15), f"{name} says “good”"


def grey_profile(page: Page, state: str) -> tuple[float, float]:
    """Of the legend's sample of a mark, in greys: how much of its outline is bright, and how broad the line is."""
    sample = page.locator(f"#mark-legend .mark--{state} .mark__line")
    box = sample.bounding_box()
    assert box
    clip = {"x": box["x"] - 6, "y": box["y"] - 6, "width": box["width"] + 12, "height": box["height"] + 12}
    picture = Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("L")
    middle = picture.width // 2
    column = [picture.getpixel((middle + step, y)) for step in range(-14, 15) for y in range(12)]
    bright = sum(1 for value in column if value > 150) / len(column)
    # Across the line where it is at its brightest: one peak, or the two of a double line.
    across = max(
        ([picture.getpixel((middle + step, y)) > 140 for y in range(14)] for step in range(-14, 15)), key=sum
    )
    peaks = sum(1 for before, now in zip([False, *across], across, strict=False) if now and not before)
    return round(bright, 2), peaks


@pytest.fixture(scope="module")
def cases(live_platform: LivePlatform, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("narrow")
    hospital = HospitalSystem(live_platform)
    uids = {
        "US": post_ultrasound(live_platform, folder, 221, {"id": "NARROW", "name": "Gruber^Mia", "sex": "F"})
    }
    files = []
    for view in mammography.exam(913, left="malignant", rows=800):
        path = folder / f"{view.laterality}-{view.view}.dcm"
        mammography.write_dicom(view, path, PatientID="NARROW-MG")
        files.append(path)
    patient = {"id": "NARROW-MG", "name": "Costa^Rita"}
    uids["MG"] = hospital.post({"modality": "MG", "accession_number": "NARROW-MG", "patient": patient}, files)
    slide = folder / "slide.tif"
    histology.write_slide(histology.slide(916, "malignant"), slide)
    patient = {"id": "NARROW-SM", "name": "Fodor^Anna"}
    uids["SM"] = hospital.post(
        {"modality": "SM", "accession_number": "NARROW-SM", "patient": patient}, [slide]
    )
    return uids


def test_marks_differ_in_greys(live_platform: LivePlatform, page: Page, cases: dict[str, str]) -> None:
    ReadingRoom(page, live_platform.user("radiologist")).sign_in()
    page.goto(f"/studies/{cases['US']}/")
    wait_for_panes(page, 1)
    page.locator("#mark-legend summary").click()
    page.locator("#mark-legend").scroll_into_view_if_needed()
    profiles = {state: grey_profile(page, state) for state in STATES}
    assert profiles["accepted"][1] == 2, profiles
    assert all(profiles[state][1] == 1 for state in ("undecided", "reader", "rejected")), profiles
    # Of the three single lines one is whole, one has gaps, one is dots.
    whole, dashes, dots = (profiles[state][0] for state in ("undecided", "reader", "rejected"))
    assert dots < 0.75 * whole and dots < 0.75 * dashes, profiles
    line = page.locator("#mark-legend .mark__line").evaluate_all(
        "all => all.map(each => getComputedStyle(each).strokeDasharray + getComputedStyle(each).strokeWidth)"
    )
    assert len(set(line)) == len(STATES)


@pytest.mark.long
@pytest.mark.parametrize(
    "background", ["#000", "#fff", "#808080", "repeating-linear-gradient(45deg,#000 0 3px,#fff 3px 6px)"]
)
def test_bar_and_text_are_read_on_any_background(
    live_platform: LivePlatform, page: Page, cases: dict[str, str], background: str
) -> None:
    ReadingRoom(page, live_platform.user("radiologist")).sign_in()
    page.goto(f"/studies/{cases['MG']}/")
    wait_for_panes(page, 4)
    page.locator(".pane__view").evaluate_all(
        """(views, background) => views.forEach((view) => {
            view.style.background = background;
            for (const part of view.children) part.style.visibility = 'hidden';
        })""",
        background,
    )
    pane = page.locator(".pane").first
    for part in (".scale-bar", ".scale-bar span", ".pane__label"):
        picture = Image.open(io.BytesIO(pane.locator(part).first.screenshot())).convert("RGB")
        pixels = sorted(picture.getdata(), key=luminance)
        # The darkest and the brightest twentieth: the plate, and what is written on it.
        few = max(len(pixels) // 20, 1)
        dark, bright = pixels[few], pixels[-few]
        assert contrast(dark, bright) >= 4.5, (part, dark, bright)
        assert luminance(bright) > 0.6, (part, bright)


@pytest.mark.long
def test_labels_stay_whole_and_apart_through_zoom_and_pan(
    live_platform: LivePlatform, page: Page, cases: dict[str, str]
) -> None:
    ReadingRoom(page, live_platform.user("radiologist")).sign_in()
    page.goto(f"/studies/{cases['US']}/")
    wait_for_panes(page, 1)
    pane = page.locator(".pane")
    pane.focus()
    for key in ("+", "+", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowUp", "x", "+", "ArrowLeft", "f"):
        page.keyboard.press(key)
        page.wait_for_timeout(120)
        frame = pane.bounding_box()
        assert frame
        boxes = [
            each.bounding_box()
            for each in page.locator(".mark[data-state] .mark__tag").all()
            if each.is_visible()
        ]
        for box in boxes:
            assert box and box["x"] >= frame["x"] - 1 and box["y"] >= frame["y"] - 1
            assert box["x"] + box["width"] <= frame["x"] + frame["width"] + 1
            assert box["y"] + box["height"] <= frame["y"] + frame["height"] + 1


def expect_to_reflow(page: Page, where: str) -> None:
    """Nothing is wider than the window, and no text is cut by it."""
    assert page.evaluate("document.documentElement.scrollWidth") <= 320, where


@pytest.mark.parametrize("language", [pytest.param("en", marks=pytest.mark.long), "zh-hans"])
def test_a_readers_pages_reflow_and_pass_axe(
    live_platform: LivePlatform, chromium: Browser, cases: dict[str, str], axe_source: str, language: str
) -> None:
    context = chromium.new_context(base_url=live_platform.url, viewport={"width": 320, "height": 640})
    context.add_cookies([{"name": "django_language", "value": language, "url": live_platform.url}])
    page = context.new_page()
    page.goto("/accounts/login/")
    expect_to_reflow(page, "sign-in")
    assert violations(page, axe_source) == ""
    user = live_platform.user("radiologist")
    page.locator("input[name=login]").fill(user["username"])
    page.locator("input[name=password]").fill(user["password"])
    page.keyboard.press("Enter")
    page.wait_for_url("**/worklist/")
    expect_to_reflow(page, "worklist")
    row = page.locator(".worklist__row").first
    for part in row.locator(".worklist__ai, .tag, .worklist__waiting").all():
        box = part.bounding_box()
        assert part.is_visible() and box and box["x"] + box["width"] <= 320
    for width in (320, 1280):
        page.set_viewport_size({"width": width, "height": 640})
        for address in (
            "/worklist/",
            "/accounts/keyboard/",
            "/accounts/password/change/",
            "/patients/reviews/",
            "/reanalyses/",
            f"/studies/{cases['MG']}/",
            f"/studies/{cases['US']}/",
        ):
            page.goto(address)
            if "/studies/" in address:
                expect(page.locator('.pane[data-ready="true"]').first).to_be_attached(timeout=90_000)
                for tab in page.get_by_role("tab").all():
                    tab.click()
                    page.wait_for_load_state("networkidle")
                    if width == 320:
                        expect_to_reflow(page, address)
                    assert violations(page, axe_source) == "", (address, width)
                panes = [
                    box["x"] for box in (each.bounding_box() for each in page.locator(".pane").all()) if box
                ]
                assert width != 320 or len(set(panes)) == 1, "panes stand below one another"
            if width == 320:
                expect_to_reflow(page, address)
            assert violations(page, axe_source) == "", (address, width)
        page.locator("[data-opens=shortcuts]").click()
        if width == 320:
            expect_to_reflow(page, "shortcuts")
        assert violations(page, axe_source) == "", "shortcuts"
    context.close()


@pytest.mark.long
@pytest.mark.parametrize("language", ["en", "zh-hans"])
def test_an_administrators_pages_reflow_and_pass_axe(
    live_platform: LivePlatform, chromium: Browser, axe_source: str, language: str
) -> None:
    context = chromium.new_context(base_url=live_platform.url, viewport={"width": 320, "height": 640})
    context.add_cookies([{"name": "django_language", "value": language, "url": live_platform.url}])
    page = context.new_page()
    user = live_platform.user("administrator")
    sign_in(page, user["username"], user["password"])
    addresses = [
        "/jobs/", "/jobs/many/retry", "/jobs/many/cancel", "/jobs/many/again", "/fleet/",
        "/models/", "/models/health/", "/accounts/users/", "/accounts/users/new/", "/accounts/sites/",
        "/accounts/tokens/", "/webhooks/", "/audit/", "/accounts/keyboard/", "/reanalyses/",
    ]  # fmt: skip
    for address in ("/jobs/", "/models/", "/fleet/", "/accounts/users/", "/accounts/sites/"):
        page.goto(address)
        link = page.locator("tbody th a, tbody td a").first
        if link.count():
            addresses.append(link.get_attribute("href") or address)
    for width in (320, 1280):
        page.set_viewport_size({"width": width, "height": 640})
        for address in addresses:
            page.goto(address)
            if width == 320:
                expect_to_reflow(page, address)
            assert violations(page, axe_source) == "", (address, width)
    context.close()
