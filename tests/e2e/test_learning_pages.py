"""Consent, a version of a data set and what learns from it at the browser: by keyboard, by axe, at 320 px, in Chinese.
The web server and PostgreSQL are the real ones; tests/learning/ follows the training itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from cad_platform.core.actor import Actor
from tests import factories
from tests.e2e.pictures import picture
from tests.e2e.test_life_pages import at, is_wider_than_its_window
from tests.e2e.test_reading_by_keyboard import violations
from tests.web.hospital import Hospital
from tests.web_server import WebServer, web_server

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture
def server(transactional_db: None, tmp_path: Path, settings: Any) -> Iterator[WebServer]:
    with web_server(tmp_path / "state", CAD_STORAGE_URL=settings.STORAGE_URL) as running:
        yield running


def test_from_a_consent_to_a_training(server: WebServer, chromium: Browser, axe_source: str) -> None:
    hospital = Hospital()
    patient = hospital.study.patient
    assert patient is not None
    factories.signed_rows(
        hospital.study, Actor.of_user(hospital.reader), {"kind": "imaging", "assessment": "2"}
    )

    lead = at(server, chromium, hospital.lead)
    lead.goto("/learning/")
    assert violations(lead, axe_source) == ""
    lead.get_by_label("Modality").select_option(hospital.study.modality)
    lead.get_by_role("button", name="Make the next version").press("Enter")
    expect(lead.get_by_text("There is nothing to learn from")).to_be_visible()
    assert violations(lead, axe_source) == ""

    reader = at(server, chromium, hospital.reader)
    reader.goto("/learning/consents/")
    expect(reader.get_by_text("Nothing is recorded")).to_be_visible()
    assert violations(reader, axe_source) == ""
    reader.get_by_label("Patient ID").fill(patient.patient_id)
    reader.get_by_label("What she says").select_option("yes")
    reader.get_by_role("button", name="Record").press("Enter")
    expect(reader.get_by_text("The consent is recorded.")).to_be_visible()
    assert patient.patient_id not in reader.url
    assert violations(reader, axe_source) == ""

    lead.get_by_role("button", name="Make the next version").press("Enter")
    expect(lead.get_by_text("The version is made.")).to_be_visible()
    expect(lead.get_by_role("heading", name="What is not known")).to_be_visible()
    assert violations(lead, axe_source) == ""
    address = lead.url.removeprefix(server.url)

    administrator = at(server, chromium, hospital.administrator)
    administrator.goto(address)
    administrator.get_by_label("Recipe").select_option("byra2021_deep_representation_scaling")
    administrator.get_by_role("button", name="Begin a training").press("Enter")
    expect(administrator.get_by_text("The training waits for a worker.")).to_be_visible()
    assert violations(administrator, axe_source) == ""
    picture(administrator, "learning-en")
    administrator.get_by_role("button", name="Cancel the training").press("Enter")
    administrator.get_by_role("button", name="Go on with it").wait_for()

    narrow = at(server, chromium, hospital.lead, viewport={"width": 320, "height": 800}, locale="zh-CN")
    for page in ("/learning/", "/learning/consents/", address):
        narrow.goto(page)
        assert not is_wider_than_its_window(narrow), page
        assert violations(narrow, axe_source) == "", page
    picture(narrow, "learning-320-zh")
