"""The worklist and the case page in a browser: read by keyboard alone, accessible, hung as they should be."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Page, Route, expect

from imaging.phantoms import histology, mammography, ultrasound
from tests.e2e.reading_room import HospitalSystem, ReadingRoom
from tests.live_platform import LivePlatform

pytestmark = pytest.mark.timeout(300)


def post_ultrasound(platform: LivePlatform, folder: Path, seed: int, patient: dict[str, str]) -> str:
    """Post a phantom with a lesion and wait for its analysis; returns the UID."""
    path = folder / f"ultrasound-{seed}.png"
    ultrasound.write_png(ultrasound.phantom(seed, "malignant"), path)
    hospital = HospitalSystem(platform)
    study = {"modality": "US", "accession_number": f"KEYS-{uuid4().hex[:8]}", "patient": patient}
    uid = hospital.post(study, [path])
    hospital.wait_for_analysis(uid)
    return uid


def violations(page: Page, axe_source: str) -> str:
    """What axe finds with every rule on, as text; empty when nothing."""
    page.evaluate(axe_source)
    found: list[dict[str, Any]] = page.evaluate(
        "async () => (await axe.run(document, {resultTypes: ['violations']})).violations"
    )
    return "\n".join(
        f"{rule['id']}: {node['target']} {node['failureSummary']}" for rule in found for node in rule["nodes"]
    )


def wait_for_panes(page: Page, number: int) -> None:
    expect(page.locator('.pane[data-ready="true"]')).to_have_count(number, timeout=90_000)


def test_a_case_is_read_by_keyboard_alone(live_platform: LivePlatform, page: Page, tmp_path: Path) -> None:
    patient_id = f"KEYS-{uuid4().hex[:6]}"
    post_ultrasound(live_platform, tmp_path, 201, {"id": patient_id, "name": "Ångström^Tove", "sex": "F"})
    room = ReadingRoom(page, live_platform.user("radiologist"))
    room.sign_in()
    keys = page.keyboard

    # The first link leads past the navigation; the search narrows the list and leaves no trace in the address.
    keys.press("Tab")
    keys.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    while not page.locator("#search").evaluate("field => field === document.activeElement"):
        keys.press("Tab")
    keys.type(f"tove {patient_id}")
    row = page.locator(".worklist__link")
    expect(row).to_have_count(1)
    assert "tove" not in page.url.lower()
    keys.press("ArrowDown")
    expect(row).to_be_focused()
    # From a row a key leads back to the search.
    keys.press("/")
    expect(page.locator("#search")).to_be_focused()
    keys.press("ArrowDown")
    expect(row).to_be_focused()
    page.wait_for_timeout(100)  # nearer to one another keys are dictated text
    keys.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Ångström, Tove")
    wait_for_panes(page, 1)
    keys.press("F6")
    expect(page.locator(".pane")).to_be_focused()

    first = page.locator(".finding").first
    keys.press("n")
    expect(first).to_have_class(re.compile("finding--selected"))
    expect(page.locator(".mark--selected").first).to_be_attached()
    keys.press("a")
    expect(first).to_have_attribute("data-verdict", "accepted")
    # A decision goes on to the next finding that waits for one, where the model marked another.
    while "finding--selected" not in (first.get_attribute("class") or ""):
        keys.press("p")
    keys.press("u")
    expect(first).to_have_attribute("data-verdict", "undecided")

    expect(page.locator(".pane")).to_be_focused()

    # A rejection asks why; a digit takes a frequent reason.
    keys.press("n")
    keys.press("p")
    keys.press("r")
    expect(page.get_by_role("dialog")).to_be_visible()
    keys.press("3")
    expect(page.locator("#reject-reason")).not_to_have_value("")
    reason = page.locator("#reject-reason").input_value()
    keys.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator('.finding[data-verdict="rejected"]')).to_contain_text(reason)
    assert room.complaints == []


def test_a_decision_does_not_wait_for_what_the_page_asks_by_itself(
    live_platform: LivePlatform, page: Page, tmp_path: Path
) -> None:
    uid = post_ultrasound(live_platform, tmp_path, 203, {"id": "KEYS-3", "name": "Dahl^Eva", "sex": "F"})
    room = ReadingRoom(page, live_platform.user("radiologist"))
    room.sign_in()
    page.goto(f"/studies/{uid}/")
    wait_for_panes(page, 1)
    first = page.locator(".finding").first
    page.locator(".pane").focus()
    page.keyboard.press("n")
    expect(first).to_have_class(re.compile("finding--selected"))

    unanswered: list[Route] = []
    page.route(f"**/studies/{uid}/live*", lambda route: unanswered.append(route))
    with page.expect_request(f"**/studies/{uid}/live*"):
        page.evaluate("document.dispatchEvent(new CustomEvent('cad:poll'))")
    page.keyboard.press("a")
    expect(first).to_have_attribute("data-verdict", "accepted")
    assert unanswered and room.complaints == []


def test_a_box_is_moved_and_a_finding_drawn_with_the_pointer(
    live_platform: LivePlatform, page: Page, tmp_path: Path
) -> None:
    uid = post_ultrasound(live_platform, tmp_path, 202, {"id": "KEYS-2", "name": "Bakke^Ida", "sex": "F"})
    room = ReadingRoom(page, live_platform.user("radiologist"))
    room.sign_in()
    page.goto(f"/studies/{uid}/")
    wait_for_panes(page, 1)
    pane = page.locator(".pane").bounding_box()
    assert pane
    findings = page.locator(".finding")
    before = findings.count()

    page.locator(".pane").focus()
    page.keyboard.press("d")
    expect(page.locator("#edit-bar")).to_be_visible()
    page.mouse.move(pane["x"] + pane["width"] * 0.4, pane["y"] + pane["height"] * 0.4)
    page.mouse.down()
    page.mouse.move(pane["x"] + pane["width"] * 0.55, pane["y"] + pane["height"] * 0.5, steps=4)
    page.mouse.up()
    page.get_by_label("Label").select_option("cyst")
    page.get_by_role("button", name="Save").click()
    expect(findings).to_have_count(before + 1)
    added = findings.last
    expect(added).to_contain_text("Cyst")

    added.get_by_role("button", name="Edit").click()
    start = json.loads(page.locator("#findings-json").inner_text())[-1]["box"]
    grip = page.locator('.edit [data-grip="move"]').bounding_box()
    assert grip
    page.mouse.move(grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2)
    page.mouse.down()
    page.mouse.move(grip["x"] + grip["width"] / 2 + 40, grip["y"] + grip["height"] / 2 + 20, steps=4)
    page.mouse.up()
    page.locator("#edit-reason").fill("Wrong place")
    page.get_by_role("button", name="Save").click()
    expect(added).to_have_attribute("data-verdict", "edited")
    moved = json.loads(page.locator("#findings-json").inner_text())[-1]["box"]
    assert moved[0] > start[0] and moved[1] > start[1]
    assert moved[2] - moved[0] == pytest.approx(start[2] - start[0], abs=0.3)
    assert room.complaints == []


def test_four_views_hang_back_to_back(live_platform: LivePlatform, page: Page, tmp_path: Path) -> None:
    files = []
    for view in reversed(mammography.exam(213, left="malignant", rows=800)):
        path = tmp_path / f"{view.laterality}-{view.view}.dcm"
        mammography.write_dicom(view, path, PatientID="KEYS-MG")
        files.append(path)
    study = {
        "modality": "MG",
        "accession_number": "KEYS-MG",
        "patient": {"id": "KEYS-MG", "name": "Costa^Rita"},
    }
    uid = HospitalSystem(live_platform).post(study, files)
    room = ReadingRoom(page, live_platform.user("radiologist"))
    room.sign_in()
    page.goto(f"/studies/{uid}/")
    wait_for_panes(page, 4)
    assert page.locator(".pane__label").all_inner_texts() == ["R CC", "L CC", "R MLO", "L MLO"]
    places = [box for box in (pane.bounding_box() for pane in page.locator(".pane").all()) if box]
    assert places[0]["x"] < places[1]["x"] and places[0]["y"] < places[2]["y"]
    # One scale for all: a centimetre is as long in each view.
    widths = page.locator(".scale-bar").evaluate_all("bars => bars.map(bar => bar.offsetWidth)")
    assert len(widths) == 4 and max(widths) - min(widths) <= 1
    page.locator(".pane").first.focus()
    page.keyboard.press("v")
    wait_for_panes(page, 1)
    assert room.complaints == []


def test_an_image_that_cannot_be_had_says_why_and_comes_back(
    live_platform: LivePlatform, page: Page, tmp_path: Path
) -> None:
    uid = post_ultrasound(live_platform, tmp_path, 204, {"id": "KEYS-4", "name": "Duarte^Eva", "sex": "F"})
    ReadingRoom(page, live_platform.user("radiologist")).sign_in()
    problem = json.dumps({"title": "Busy", "detail": "The decoders are busy."})

    def refuse(route: Route) -> None:
        route.fulfill(status=503, content_type="application/problem+json", body=problem)

    page.route("**/pixels?*", refuse)
    page.goto(f"/studies/{uid}/")
    expect(page.locator(".pane__status")).to_contain_text("The decoders are busy.")
    page.unroute("**/pixels?*", refuse)
    page.get_by_role("button", name="Try again").click()
    wait_for_panes(page, 1)


def test_every_page_of_a_reader_passes_axe(
    live_platform: LivePlatform, page: Page, tmp_path: Path, axe_source: str
) -> None:
    uid = post_ultrasound(live_platform, tmp_path, 205, {"id": "KEYS-5", "name": "Evans^Mair", "sex": "F"})
    page.goto("/accounts/login/")
    assert violations(page, axe_source) == ""
    page.goto("/there-is-no-such-page")
    assert violations(page, axe_source) == ""
    room = ReadingRoom(page, live_platform.user("radiologist"))
    room.sign_in()
    assert violations(page, axe_source) == ""
    page.goto("/worklist/?state=quarantined")
    assert violations(page, axe_source) == ""
    page.goto("/accounts/password/change/")
    assert violations(page, axe_source) == ""
    page.goto(f"/studies/{uid}/")
    wait_for_panes(page, 1)
    page.locator(".pane").focus()
    page.keyboard.press("n")
    page.keyboard.press("o")
    assert violations(page, axe_source) == "", "findings and heat map"
    page.keyboard.press("e")
    expect(page.locator("#edit-bar")).to_be_visible()
    assert violations(page, axe_source) == "", "editing"
    page.keyboard.press("Escape")
    expect(page.locator(".pane")).to_be_focused()
    page.keyboard.press("r")
    expect(page.get_by_role("dialog")).to_be_visible()
    assert violations(page, axe_source) == "", "rejecting"
    page.keyboard.press("Escape")
    for tab in ("Report", "Study"):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_load_state("networkidle")
        assert violations(page, axe_source) == "", tab
    page.locator(".pane").focus()
    page.keyboard.press("?")
    expect(page.locator("#shortcuts")).to_be_visible()
    assert violations(page, axe_source) == "", "shortcuts"


@pytest.mark.long
def test_a_slide_zooms_with_scale_bar_and_map(
    live_platform: LivePlatform, page: Page, tmp_path: Path, axe_source: str
) -> None:
    path = tmp_path / "slide.tif"
    histology.write_slide(histology.slide(216, "malignant"), path)
    study = {
        "modality": "SM",
        "accession_number": "KEYS-SM",
        "patient": {"id": "KEYS-SM", "name": "Fodor^Anna"},
    }
    uid = HospitalSystem(live_platform).post(study, [path])
    room = ReadingRoom(page, live_platform.user("pathologist"))
    room.sign_in()
    page.goto(f"/studies/{uid}/")
    wait_for_panes(page, 1)
    expect(page.locator(".navigator")).to_be_visible()
    bar = page.locator(".scale-bar")
    overview = bar.inner_text()
    page.locator(".pane").focus()
    for _ in range(6):
        page.keyboard.press("+")
    expect(bar).not_to_have_text(overview)
    assert violations(page, axe_source) == ""
    assert room.complaints == []
