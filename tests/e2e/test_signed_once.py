"""What is typed into the sign dialog outlives a crash, but for the password; a signature whose answer got lost is shown
as given, and is not given twice.

A real web server on the tests' database and a real Chromium.
"""

from __future__ import annotations

import os
import signal

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from cad_platform.accounts.models import User
from cad_platform.reporting.models import Report, Signature
from cad_platform.studies.models import Study
from tests import factories as make
from tests.e2e.test_nothing_signed_against_itself import (  # noqa: F401 (fixtures)
    CASES,
    context,
    opened,
    reader,
    server,
    study,
    write_against_itself,
)
from tests.web_server import WebServer

pytestmark = [pytest.mark.timeout(300), pytest.mark.django_db(transaction=True)]

REASON = "Both breasts are sampled, as was agreed with the surgeon."


def open_dialog(page: Page) -> None:
    page.locator("[data-action=sign]").click()
    expect(page.locator("dialog[data-dialog=sign][open]")).to_be_visible()


def give_reasons(page: Page) -> int:
    reasons = page.locator("[data-overridden] textarea")
    for number in range(reasons.count()):
        reasons.nth(number).fill(f"{REASON} {number}")
    return reasons.count()


def kept_texts(page: Page) -> str:
    """All that the browser's databases hold, as JSON; the words themselves are enciphered."""
    return str(
        page.evaluate(
            """async () => {
                const rows = [];
                for (const { name } of await indexedDB.databases()) {
                    const database = await new Promise((done) => {
                        const asked = indexedDB.open(name);
                        asked.onsuccess = () => done(asked.result);
                    });
                    for (const store of database.objectStoreNames) {
                        const asked = database.transaction(store).objectStore(store).getAll();
                        rows.push(...(await new Promise((done) => (asked.onsuccess = () => done(asked.result)))));
                    }
                    database.close();
                }
                return JSON.stringify(rows);
            }"""
        )
    )


@pytest.mark.long
def test_reasons_outlive_a_crash_and_the_password_does_not(
    context: BrowserContext,  # noqa: F811
    server: WebServer,  # noqa: F811
    reader: User,  # noqa: F811
    study: Study,  # noqa: F811
) -> None:
    page = opened(context, server, reader, study, "en")
    write_against_itself(page, CASES["en"])
    open_dialog(page)
    count = give_reasons(page)
    page.locator("#sign-password").fill("a password of mine")
    page.wait_for_timeout(500)
    assert " sign " in kept_texts(page)

    # The tab is gone, as after a crash; another opens the case.
    page.goto("about:blank")
    page.close(run_before_unload=False)
    page = context.new_page()
    page.goto(f"/studies/{study.study_instance_uid}/")
    page.locator("#tab-report").click()
    expect(page.locator("#report-impression")).to_have_value(CASES["en"])
    open_dialog(page)
    for number in range(count):
        expect(page.locator("[data-overridden] textarea").nth(number)).to_have_value(f"{REASON} {number}")
    expect(page.locator("#sign-password")).to_have_value("")
    expect(page.locator("[data-overridden]")).to_contain_text("it was not sent")

    page.locator("#sign-password").fill(make.PASSWORD)
    page.locator("dialog[open] button[type=submit]").click()
    expect(page.locator("article.signed")).to_contain_text(REASON)
    page.wait_for_timeout(500)
    assert " sign " not in kept_texts(page), "what is signed is not kept any more"


def sign_with_lost_answer(page: Page) -> None:
    """The server signs, and the connection is cut before its answer comes."""

    def cut(route: Route) -> None:
        route.fetch()
        route.abort("connectionreset")

    page.route("**/sign", cut)
    page.locator("#sign-password").fill(make.PASSWORD)
    page.locator("dialog[open] button[type=submit]").click()


def filled(page: Page) -> None:
    choices = {"density": "b", "right": "4C", "left": "2", "assessment": "4C"}
    for name, code in {**choices, "recommendation": "tissue_diagnosis"}.items():
        page.locator(f"#report-{name}").select_option(code)
    page.locator("#report-indication").fill("Screening.")
    page.locator("#report-impression").fill("Suspicious mass of the right breast.")


def written(page: Page) -> None:
    filled(page)
    open_dialog(page)


@pytest.mark.parametrize("turns_away", [False, True])
def test_the_dialog_comes_once_a_slow_save_is_done_unless_its_reader_turned_to_something_else(
    context: BrowserContext,  # noqa: F811
    server: WebServer,  # noqa: F811
    reader: User,  # noqa: F811
    study: Study,  # noqa: F811
    turns_away: bool,
) -> None:
    page = opened(context, server, reader, study, "en")
    filled(page)
    expect(page.locator("[data-status]")).to_contain_text("Saved")
    page.locator("#report-comparison").fill("None.")
    dialog, told = page.locator("dialog[data-dialog=sign]"), page.locator("[data-problem]")
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        page.locator("[data-action=sign]").click()
        expect(told).to_contain_text("The dialog opens once it is")
        expect(dialog).to_be_hidden()
        if turns_away:
            page.locator("#tab-findings").click()
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    if turns_away:
        expect(page.locator("[data-status]")).to_contain_text("Saved")
        page.wait_for_timeout(1000)
        expect(dialog).to_be_hidden()
    else:
        expect(page.locator("#sign-password")).to_be_focused()
    expect(told).to_be_hidden()


def test_what_the_dialog_says_of_a_slow_save_goes_once_it_is_done(
    context: BrowserContext,  # noqa: F811
    server: WebServer,  # noqa: F811
    reader: User,  # noqa: F811
    study: Study,  # noqa: F811
) -> None:
    page = opened(context, server, reader, study, "en")
    written(page)
    # As where a finding is decided in another window and its line is renewed.
    page.locator("#report-comparison").evaluate(
        "field => { field.value = 'None.'; field.dispatchEvent(new Event('input', { bubbles: true })); }"
    )
    said = page.locator("[data-sign-error]")
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        page.locator("#sign-password").fill(make.PASSWORD)
        page.locator("dialog[open] button[type=submit]").click()
        expect(said).to_contain_text("It cannot be signed yet")
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    expect(said).to_be_empty()
    assert not Signature.objects.exists(), "nothing is signed without being asked for again"
    page.locator("dialog[open] button[type=submit]").click()
    expect(said).to_contain_text("changed since you were shown it")
    page.locator("#sign-password").fill(make.PASSWORD)
    page.locator("dialog[open] button[type=submit]").click()
    expect(page.locator("article.signed")).to_contain_text("None.")


def test_a_signature_whose_answer_got_lost_is_shown_as_given(
    context: BrowserContext,  # noqa: F811
    server: WebServer,  # noqa: F811
    reader: User,  # noqa: F811
    study: Study,  # noqa: F811
) -> None:
    page = opened(context, server, reader, study, "en")
    written(page)
    sign_with_lost_answer(page)
    expect(page.locator("article.signed")).to_be_visible()
    expect(page.locator("[data-notice]")).to_contain_text("only the server's answer had got lost")
    assert Signature.objects.count() == 1


def test_whoever_signs_again_is_told_that_nothing_is_signed_twice(
    context: BrowserContext,  # noqa: F811
    server: WebServer,  # noqa: F811
    reader: User,  # noqa: F811
    study: Study,  # noqa: F811
) -> None:
    page = opened(context, server, reader, study, "en")
    written(page)
    for pattern in ("**/readiness*", "**/presence"):
        page.route(pattern, lambda route: route.abort("connectionreset"))
    sign_with_lost_answer(page)
    dialog = page.locator("dialog[data-dialog=sign][open]")
    expect(dialog.locator("[data-sign-error]")).to_contain_text("nothing is signed twice")
    assert Report.objects.get().state == Report.State.SIGNED
    page.unroute("**/sign")
    page.locator("#sign-password").fill(make.PASSWORD)
    dialog.locator("button[type=submit]").click()
    expect(page.locator("article.signed")).to_be_visible()
    expect(page.locator("[data-notice]")).to_contain_text("Nothing was signed twice")
    assert Signature.objects.count() == 1
