"""Local acceptance at the browser: known cases by a table, the verdict, two people, the site's own thresholds; by axe,
by keyboard, at 320 px, in Chinese. The web server and PostgreSQL are the real ones; the laboratory's own report stands
for what a worker measures, which tests/quality/test_acceptance_measured.py does on pixels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from cad_platform.accounts.models import Role
from cad_platform.quality import acceptance_run
from cad_platform.quality.models import Acceptance
from inference.evaluation import acceptance_report
from tests import factories
from tests.e2e.pictures import picture
from tests.e2e.test_life_pages import at, is_wider_than_its_window
from tests.e2e.test_reading_by_keyboard import violations
from tests.quality.test_acceptance import MANIFEST, reported, studies, table
from tests.quality.test_picking import known
from tests.registry.conftest import Store, store  # noqa: F401  (a fixture)
from tests.web_server import WebServer, web_server

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture
def server(transactional_db: None, tmp_path: Path, settings: Any) -> Iterator[WebServer]:
    with web_server(tmp_path / "state", CAD_STORAGE_URL=settings.STORAGE_URL) as running:
        yield running


def test_from_a_table_to_thresholds_in_force(
    server: WebServer, chromium: Browser, axe_source: str, tmp_path: Path
) -> None:
    version = factories.model_version("ultrasound", "US", MANIFEST.version)
    version.manifest = MANIFEST.model_dump(mode="json")
    version.save()
    site = factories.site()
    administrator, lead = factories.user(Role.ADMINISTRATOR), factories.user(Role.CLINICAL_LEAD, site)
    of = studies(site)
    known, wrong = tmp_path / "known.csv", tmp_path / "wrong.csv"
    known.write_text(table(of))
    wrong.write_text(table(of).replace(of[3].accession_number, "NOBODYS"))
    page = at(server, chromium, administrator)

    # The models page, whose head has two buttons.
    page.goto("/models/")
    buttons = [
        page.get_by_role("link", name="Upload a version"),
        page.get_by_role("button", name="Read the model"),
    ]
    boxes = [button.bounding_box() for button in buttons]
    assert boxes[0] is not None and boxes[1] is not None
    assert 0 < boxes[1]["x"] - (boxes[0]["x"] + boxes[0]["width"]) < 40, "side by side"
    assert violations(page, axe_source) == ""

    page.get_by_role("link", name="Acceptance").click()
    assert violations(page, axe_source) == ""
    page.get_by_label("Model version").select_option(str(version))
    page.get_by_label("Site").select_option(site.name)
    page.get_by_label("Table (CSV)").set_input_files(wrong)
    page.get_by_role("button", name="Measure it").press("Enter")
    expect(page.get_by_text("line 5: the site has no study")).to_be_visible()
    assert violations(page, axe_source) == ""
    page.get_by_label("Table (CSV)").set_input_files(known)
    page.get_by_role("button", name="Measure it").press("Enter")
    expect(page.get_by_role("progressbar")).to_be_visible()
    assert violations(page, axe_source) == ""

    # The worker's part; the page, which polls, shows the verdict by itself.
    asked = Acceptance.objects.get()
    found = reported(1.4, 100)
    acceptance_report.write(found, MANIFEST, tmp_path / "out")
    report = json.loads((tmp_path / "out" / acceptance_report.DATA).read_text())
    acceptance_run.keep(asked, "", {**report, "left_out": []})
    expect(page.get_by_role("heading", name="The shipped operating points")).to_be_visible(timeout=60_000)
    assert violations(page, axe_source) == ""
    expect(page.locator(".chart--square")).to_have_count(2)
    expect(page.get_by_text("another person signs it")).to_be_visible()
    picture(page, "acceptance-en")

    second = at(server, chromium, lead)
    second.goto(page.url.removeprefix(server.url))
    second.get_by_label("What you have looked at").fill("fifty cases of this year, as agreed")
    second.get_by_role("button", name="Sign this verdict").press("Enter")
    expect(second.get_by_text("The verdict is signed.")).to_be_visible()
    page.reload()
    page.get_by_role("button", name="Propose these thresholds").press("Enter")
    expect(page.get_by_text("Another person puts them in force")).to_be_visible()
    assert violations(page, axe_source) == ""
    second.reload()
    second.get_by_role("button", name="Put them in force").press("Enter")
    expect(second.get_by_text("In force", exact=True)).to_be_visible()
    assert violations(second, axe_source) == ""

    narrow = at(server, chromium, administrator, viewport={"width": 320, "height": 800}, locale="zh-CN")
    for address in ("/models/", "/quality/acceptance/", page.url.removeprefix(server.url)):
        narrow.goto(address)
        assert not is_wider_than_its_window(narrow), address
        assert violations(narrow, axe_source) == "", address
    expect(narrow.get_by_text("生效中", exact=True)).to_be_visible()
    picture(narrow, "acceptance-320-zh")


def test_studies_are_picked_by_keyboard(server: WebServer, chromium: Browser, axe_source: str) -> None:
    version = factories.model_version("ultrasound", "US", MANIFEST.version)
    version.manifest = MANIFEST.model_dump(mode="json")
    version.save()
    site = factories.site()
    administrator = factories.user(Role.ADMINISTRATOR)
    known(site, version, studies(site, 52))
    page = at(server, chromium, administrator)
    page.goto("/quality/acceptance/")
    page.get_by_role("link", name="Pick known studies").press("Enter")
    page.wait_for_url("**/acceptance/pick/")
    page.get_by_label("Model version").select_option(str(version))
    page.get_by_label("Site").select_option(site.name)
    assert violations(page, axe_source) == ""
    page.get_by_role("button", name="Show").press("Enter")
    expect(page.get_by_text("52 studies fit the choice.")).to_be_visible()
    expect(page.get_by_text("0 picked")).to_be_visible()
    rows = page.locator("input[name=study]")
    rows.first.press("Space")
    expect(page.get_by_text("1 picked")).to_be_visible()
    assert violations(page, axe_source) == ""
    page.get_by_role("button", name="Measure with the picked ones").press("Enter")
    expect(page.get_by_text("1 known studies; a measurement takes from 50 to 500")).to_be_visible()
    assert rows.first.is_checked(), "what was ticked is kept"
    assert violations(page, axe_source) == ""
    page.locator("[data-pick-all]").press("Space")
    expect(page.get_by_text("52 picked")).to_be_visible()
    rows.nth(3).press("Space")
    expect(page.get_by_text("51 picked")).to_be_visible()
    picture(page, "acceptance-pick-en")
    page.get_by_role("button", name="Measure with the picked ones").press("Enter")
    expect(page.get_by_role("progressbar")).to_be_visible()
    assert Acceptance.objects.get().cases.count() == 51

    narrow = at(server, chromium, administrator, viewport={"width": 320, "height": 800}, locale="zh-CN")
    narrow.goto("/quality/acceptance/pick/")
    assert not is_wider_than_its_window(narrow)
    assert violations(narrow, axe_source) == ""
