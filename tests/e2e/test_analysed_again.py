"""A set of studies analysed again after another version was put into use: in Chromium, on a platform of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from imaging.phantoms import ultrasound
from tests.e2e.administrator import NEW, OLD, Administrator, add_version, take_in
from tests.e2e.reading_room import HospitalSystem, ReadingRoom
from tests.e2e.test_reading_by_keyboard import violations
from tests.live_platform import LivePlatform

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
STUDIES = 3


def post_studies(platform: LivePlatform, folder: Path) -> list[str]:
    hospital = HospitalSystem(platform)
    uids = []
    for number in range(STUDIES):
        path = folder / f"again-{number}.png"
        ultrasound.write_png(ultrasound.phantom(700 + number, "malignant"), path)
        patient = {"id": f"AGAIN-{number}", "name": "Lindqvist^Sara", "sex": "F"}
        uids.append(
            hospital.post({"modality": "US", "accession_number": f"AG-{number}", "patient": patient}, [path])
        )
    for uid in uids:
        hospital.wait_for_analysis(uid)
    return uids


def new_page(chromium: Browser, platform: LivePlatform) -> Page:
    context = chromium.new_context(base_url=platform.url, viewport={"width": 1440, "height": 900})
    context.set_default_timeout(30_000)
    return context.new_page()


@pytest.mark.long
def test_studies_of_an_earlier_version_are_analysed_again_and_keep_their_history(
    own_platform: LivePlatform,
    own_store: Path,
    chromium: Browser,
    axe_source: str,
    tmp_path: Path,
) -> None:
    uids = post_studies(own_platform, tmp_path)

    # Nothing needs it: the page says so, and offers no button.
    page = new_page(chromium, own_platform)
    room = ReadingRoom(page, own_platform.user("radiologist"))
    room.sign_in()
    page.get_by_label("Modality").select_option("US")
    expect(page.locator("#again a")).to_have_attribute("href", "/reanalyses/?state=unread&modality=US")
    page.locator("#again a").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Analyse again")
    expect(page.locator("#choice")).to_contain_text("Every study of this choice has been looked at")
    expect(page.locator("#choice button")).to_have_count(0)
    expect(page.locator("#sets")).to_contain_text("No set of studies was analysed again yet.")
    assert violations(page, axe_source) == ""
    page.get_by_label("Priority").select_option("stat")
    expect(page.locator("#choice")).to_contain_text("No study fits this choice.")
    expect(page).to_have_url(f"{own_platform.url}/reanalyses/?modality=US&priority=stat")

    # Another version is put into use. Its page offers what shows a result of the earlier one.
    add_version(own_store, NEW)
    administrator = Administrator(new_page(chromium, own_platform), own_platform)
    admin = administrator.page
    admin.goto(f"{own_platform.url}/models/")
    admin.get_by_role("button", name="Read the model store").click()
    expect(admin.get_by_role("row").filter(has_text=NEW)).to_contain_text("Uploaded")
    take_in(own_platform, NEW)
    administrator.make_default(NEW)
    offer = admin.get_by_text(f"{STUDIES} studies that are not signed yet show a result of another version.")
    expect(offer).to_be_visible()
    assert violations(admin, axe_source) == ""
    admin.get_by_role("link", name="Analyse them again").click()
    expect(admin.get_by_label("What they show now")).to_contain_text(f"another version than ultrasound {NEW}")
    button = admin.get_by_role("button", name=f"Analyse {STUDIES} studies again")
    expect(button).to_be_visible()
    admin.screenshot(path=tmp_path / "choice.png")
    assert violations(admin, axe_source) == ""

    # Asked for by keyboard; the list follows by itself until all is done, and asks no more then.
    asked: list[str] = []
    admin.on("request", lambda request: asked.append(request.url) if "/progress" in request.url else None)
    button.focus()
    admin.keyboard.press("Enter")
    expect(admin.locator("main")).to_contain_text(f"{STUDIES} studies are analysed again.")
    bar = admin.get_by_role("progressbar")
    admin.screenshot(path=tmp_path / "progress.png")
    assert violations(admin, axe_source) == ""
    expect(bar).to_have_attribute("aria-valuenow", "100", timeout=120_000)
    expect(bar).to_have_attribute("aria-valuetext", f"{STUDIES} of {STUDIES}")
    expect(admin.locator("#sets")).to_contain_text(f"{STUDIES} done")
    assert "Lindqvist" not in admin.content() and "AGAIN-" not in admin.content()
    admin.screenshot(path=tmp_path / "done.png")
    polled = len(asked)
    admin.wait_for_timeout(5000)
    assert polled > 0 and len(asked) == polled, "nothing is asked for once no set is open"
    assert violations(admin, axe_source) == ""

    set_id = admin.locator("#sets th[id]").get_attribute("id")
    admin.goto(f"{own_platform.url}/reanalyses/{str(set_id).removeprefix('set-')}/stop")
    expect(admin.locator("main")).to_contain_text("Nothing of this set waits any more.")
    assert violations(admin, axe_source) == ""

    # The results of the earlier version are history, and say so.
    hospital = HospitalSystem(own_platform)
    for uid in uids:
        jobs = {job["version"]: job for job in hospital.answer(uid)["jobs"]}
        assert {version: job["current"] for version, job in jobs.items()} == {OLD: False, NEW: True}
        assert {job["state"] for job in jobs.values()} == {"succeeded"}
    page.goto(f"{own_platform.url}/studies/{uids[0]}/")
    expect(page.locator("#live")).to_contain_text(f"v{NEW}")
    page.get_by_text("1 earlier result").click()
    expect(page.locator(".earlier")).to_contain_text(OLD)
    assert room.complaints == []
    for each in (page, admin):
        each.context.close()
