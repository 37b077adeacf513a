"""Leaderboard and reader studies at the browser: filters and a table by keyboard, by axe, at 320 px, in Chinese."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from cad_platform.accounts.models import Role
from inference.runtime.store import DEFAULT_STORE, read_manifest
from tests import factories
from tests.e2e.pictures import picture
from tests.e2e.test_life_pages import at, is_wider_than_its_window
from tests.e2e.test_reading_by_keyboard import violations
from tests.quality.test_reader_studies import van_dyke
from tests.quality.test_signed_readings import practice
from tests.web_server import WebServer, web_server

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(1500)]


@pytest.fixture
def server(transactional_db: None, tmp_path: Path, settings: Any) -> Iterator[WebServer]:
    with web_server(tmp_path / "state", CAD_STORAGE_URL=settings.STORAGE_URL) as running:
        yield running


def test_leaderboard_and_a_reader_study(
    server: WebServer, chromium: Browser, axe_source: str, tmp_path: Path
) -> None:
    for name, modality in (("ultrasound", "US"), ("mammography", "MG"), ("histopathology", "SM")):
        version = factories.model_version(name, modality, read_manifest(name).version)
        version.metrics = json.loads((DEFAULT_STORE / name / version.version / "metrics.json").read_text())
        version.save()
    page = at(server, chromium, factories.user(Role.ADMINISTRATOR))
    page.goto("/models/")
    page.get_by_role("link", name="Leaderboard").press("Enter")
    expect(page.get_by_role("heading", name="Leaderboard")).to_be_visible()
    assert violations(page, axe_source) == ""
    picture(page.locator("main"), "leaderboard-en")
    page.get_by_label("Measure").select_option("accuracy")
    with page.expect_navigation():
        page.get_by_role("button", name="Show").press("Enter")
    expect(page.get_by_text("leaky: images divided, not patients").first).to_be_visible()
    assert violations(page, axe_source) == ""
    differs = page.locator("tbody details").first
    expect(differs.locator("li").first).to_be_hidden()
    differs.locator("summary").press("Enter")
    expect(differs.locator("li").first).to_be_visible()
    whole = (
        "() => { const t = document.querySelector('.table-scroll'); return t.scrollWidth <= t.clientWidth }"
    )
    page.set_viewport_size({"width": 1400, "height": 900})
    assert page.evaluate(whole), "its last column is cut"
    page.set_viewport_size({"width": 320, "height": 900})
    assert not is_wider_than_its_window(page)
    page.set_viewport_size({"width": 1280, "height": 900})

    table = tmp_path / "readings.csv"
    table.write_text(van_dyke("reader 6,SE MRI,case 0,0,3"))
    page.get_by_role("link", name="Reader studies").press("Enter")
    expect(page.get_by_role("heading", name="Studies with several readers")).to_be_visible()
    assert violations(page, axe_source) == ""
    page.get_by_label("Name of the study").fill("Cine MRI against spin echo")
    page.get_by_label("Table (CSV)").set_input_files(table)
    page.get_by_role("button", name="Analyse it").press("Enter")
    expect(page.get_by_text("every reader must read every case")).to_be_visible()
    assert violations(page, axe_source) == ""
    table.write_text(van_dyke())
    page.get_by_label("Table (CSV)").set_input_files(table)
    page.get_by_label("Each case was read by one reader").check()
    page.get_by_role("button", name="Analyse it").press("Enter")
    expect(page.get_by_text("is read by reader 1 and by reader 2")).to_be_visible()
    assert violations(page, axe_source) == ""
    picture(page.locator("main"), "reader-studies-form")
    page.get_by_label("Table (CSV)").set_input_files(table)
    page.get_by_label("Every reader has read every case").check()
    page.get_by_role("button", name="Analyse it").press("Enter")
    expect(page.get_by_text("are not told apart")).to_be_visible()
    assert violations(page, axe_source) == ""
    picture(page.locator("main"), "reader-study-en")
    with page.expect_download() as told:
        page.get_by_role("link", name="The report as text").press("Enter")
    assert "| reader 4 | 0.973 [" in told.value.path().read_text()
    page.set_viewport_size({"width": 320, "height": 900})
    assert not is_wider_than_its_window(page)
    study = page.url
    page.context.close()

    page = at(server, chromium, factories.user(Role.ADMINISTRATOR), locale="zh-CN")
    page.goto(study)
    expect(page.get_by_text("未见差异")).to_be_visible()
    assert violations(page, axe_source) == ""
    picture(page.locator("main"), "reader-study-zh")
    page.goto("/models/leaderboard/?measure=accuracy")
    assert violations(page, axe_source) == ""
    picture(page.locator("main"), "leaderboard-zh")


def test_a_reader_study_of_signed_reports(server: WebServer, chromium: Browser, axe_source: str) -> None:
    site = factories.site()
    for _ in range(2):  # four readers
        practice(site, factories.model_version("ultrasound", "US", "3.0.0"))
    administrator = factories.user(Role.ADMINISTRATOR)
    page = at(server, chromium, administrator)
    page.goto("/quality/reader-studies/")
    page.get_by_role("link", name="From signed reports…").press("Enter")
    expect(page.get_by_role("heading", name="Reader study of signed reports")).to_be_visible()
    assert violations(page, axe_source) == ""
    page.get_by_label("Name of the study").fill("Practice")
    page.get_by_label("Model version").select_option("ultrasound 3.0.0")
    page.get_by_label("Site").select_option(site.name)
    page.get_by_label("What readers had in view").select_option("with no model's answer in view")
    page.get_by_role("button", name="Analyse them").press("Enter")
    expect(page.get_by_text("Two readers at least are wanted")).to_be_visible()
    assert violations(page, axe_source) == ""
    page.get_by_label("What readers had in view").select_option("with this version's answer in view")
    page.get_by_role("button", name="Analyse them").press("Enter")
    expect(page.get_by_text("BI-RADS and ultrasound 3.0.0 are not told apart")).to_be_visible()
    assert violations(page, axe_source) == ""
    picture(page.locator("main"), "reader-study-signed-en")
    with page.expect_download() as told:
        page.get_by_role("link", name="The table as CSV").press("Enter")
    assert told.value.path().read_text().startswith("reader,modality,case")
    page.set_viewport_size({"width": 320, "height": 900})
    assert not is_wider_than_its_window(page)
    study = page.url
    page.context.close()
    page = at(server, chromium, administrator, locale="zh-CN")
    page.goto(study)
    expect(page.get_by_text("由已签署的报告得出")).to_be_visible()
    picture(page.locator("main"), "reader-study-signed-zh")
    assert violations(page, axe_source) == ""
