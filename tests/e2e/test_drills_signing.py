"""Drills with the sign dialog open: the server dies, its answer is lost, the session ends, a colleague signs. Signed
once, by who gave the password, and every word is there."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, Route, expect

from cad_platform.audit.models import AuditEvent
from cad_platform.reporting.models import Report, Signature
from tests import factories
from tests.e2e.lost_and_found import Reader, Reading, end_session

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300), pytest.mark.long]

FIELDS = {
    "indication": "Screening.",
    "density": "b",
    "impression": "No suspicious finding.",
    "right": "1",
    "left": "1",
    "assessment": "1",
    "recommendation": "routine",
}


@pytest.fixture(autouse=True)
def decided(reading: Reading) -> None:
    """Nothing but the report is to be done."""
    for mark in reading.marks:
        factories.decision(mark, reading.reader, "rejected", reason="Skin fold")


def dialog(reader: Reader) -> Any:
    return reader.page.locator('dialog[data-dialog="sign"]')


def open_dialog(reader: Reader) -> None:
    reader.write_report(FIELDS)
    reader.page.get_by_role("button", name="Sign…").click()
    expect(dialog(reader).get_by_label("Your password")).to_be_focused()


def sign(reader: Reader) -> None:
    dialog(reader).get_by_label("Your password").fill(factories.PASSWORD)
    dialog(reader).get_by_role("button", name="Sign", exact=True).click()


def signed(reader: Reader) -> Any:
    return reader.page.locator("article.signed")


def test_the_server_dies_and_the_session_ends_while_the_dialog_is_open(
    reading: Reading, anna: Reader
) -> None:
    open_dialog(anna)
    with reading.killed():
        sign(anna)
        expect(dialog(anna).get_by_role("alert")).to_be_visible(timeout=3000)
        assert not Signature.objects.exists()
    dialog(anna).get_by_label("Your password").fill(factories.PASSWORD)
    end_session(reading.reader)
    # As a press that comes a moment before the page has noticed.
    dialog(anna).locator("form").evaluate("form => form.requestSubmit()")
    anna.give_password()
    expect(signed(anna)).to_contain_text("No suspicious finding.", timeout=60_000)
    assert Signature.objects.get().signer == reading.reader
    assert AuditEvent.objects.filter(action="report.sign", outcome="success").count() == 1


def test_a_signature_whose_answer_is_lost_is_one(reading: Reading, anna: Reader) -> None:
    open_dialog(anna)

    def lose(route: Route) -> None:
        route.fetch(timeout=60_000)
        route.abort()

    anna.page.route("**/sign", lose)
    sign(anna)
    expect(signed(anna)).to_contain_text("No suspicious finding.", timeout=60_000)
    expect(dialog(anna)).to_be_hidden()
    assert Signature.objects.count() == 1


def test_two_sign_at_once_and_one_is_told(chromium: Browser, reading: Reading, anna: Reader) -> None:
    open_dialog(anna)
    carl = Reader(chromium, reading, reading.colleague)
    carl.sign_in()
    carl.open_case()
    carl.page.get_by_role("tab", name="Report").click()
    carl.page.get_by_role("button", name="Sign…").click()
    expect(dialog(carl)).to_be_visible()
    for reader in (anna, carl):
        dialog(reader).get_by_label("Your password").fill(factories.PASSWORD)
    for reader in (anna, carl):
        press = "dialog => dialog.querySelector('form').requestSubmit()"
        dialog(reader).evaluate(press)
    for reader in (anna, carl):
        expect(signed(reader)).to_contain_text("No suspicious finding.", timeout=60_000)
    assert Signature.objects.count() == 1
    signer = Signature.objects.get().signer
    loser = carl if signer == reading.reader else anna
    expect(loser.page.locator("report-section")).to_contain_text("Nothing was signed twice")
    expect(signed(loser)).to_contain_text(signer.printed_name)
    carl.close()


def test_text_of_a_draft_that_a_colleague_signed_is_shown_to_its_writer(
    reading: Reading, anna: Reader, chromium: Browser
) -> None:
    anna.write_report(FIELDS)
    carl = Reader(chromium, reading, reading.colleague)
    carl.sign_in()
    carl.open_case()
    carl.page.get_by_role("tab", name="Report").click()
    with anna.offline():
        anna.page.locator("#report-impression").fill("Written while the colleague signed.")
        anna.sees("text of the report", 5000)
        anna.page.get_by_role("button", name="Sign…").click()
        expect(anna.page.get_by_text("The dialog opens once it is")).to_have_count(1)
        carl.page.get_by_role("button", name="Sign…").click()
        sign(carl)
        expect(signed(carl)).to_be_visible(timeout=60_000)
        carl.close()
        anna.crash()
    anna.open_case()
    anna.page.get_by_role("tab", name="Report").click()
    expect(signed(anna)).to_contain_text("No suspicious finding.")
    stray = anna.page.locator("report-section .notice").filter(has_text="was not sent")
    expect(stray).to_contain_text("Written while the colleague signed.")
    report = Report.objects.get()
    assert report.content["impression"] == "No suspicious finding."
