"""A session that ends, is locked or passes to another in the middle of something: renewed over the page, and everything
goes through, once, under the right name.

A real web server on the tests' database and a real Chromium; models and queues have no part in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Route, expect

from cad_platform.accounts import services
from cad_platform.accounts.models import Role, SessionActivity, Site, User
from cad_platform.analysis.models import Finding
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.reading.models import FindingDecision
from cad_platform.reporting.models import Report
from cad_platform.studies.models import Study
from tests import factories as make
from tests.e2e import reading_room
from tests.e2e.test_reading_by_keyboard import violations
from tests.web_server import WebServer, web_server

pytestmark = [pytest.mark.timeout(300), pytest.mark.django_db(transaction=True)]

SLOW = 40_000


@pytest.fixture(scope="module")
def server(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    with web_server(tmp_path_factory.mktemp("web")) as running:
        yield running


@pytest.fixture
def context(chromium: Browser, server: WebServer) -> Iterator[BrowserContext]:
    made = chromium.new_context(base_url=server.url, viewport={"width": 1280, "height": 800})
    made.set_default_timeout(SLOW)
    made.set_default_navigation_timeout(SLOW)
    expect.set_options(timeout=SLOW)
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


@pytest.fixture
def hospital(server: WebServer, transactional_db: None) -> Site:
    return make.site()


@pytest.fixture
def anna(hospital: Site) -> User:
    return make.user(Role.RADIOLOGIST, hospital, first_name="Anna", last_name="Aho", username="a.aho")


@pytest.fixture
def bert(hospital: Site) -> User:
    return make.user(Role.RADIOLOGIST, hospital, first_name="Bert", last_name="Blom", username="b.blom")


@pytest.fixture
def study(hospital: Site) -> Study:
    """A mammogram with one mark that nobody decided yet."""
    made = make.study(hospital)
    image = make.instance(made)
    make.finding(image, make.succeeded_job(made))
    return made


def sign_in(page: Page, user: User, password: str = make.PASSWORD) -> None:
    reading_room.sign_in(page, user.username, password)
    expect(page.locator(".shell-person")).to_contain_text(user.printed_name)


def end_sessions() -> None:
    Session.objects.all().delete()


def cover(page: Page) -> Locator:
    return page.locator("#session-cover[open]")


def give_password(page: Page, label: str = "Password", password: str = make.PASSWORD) -> None:
    """Give the password over the page, and see the cover go."""
    field = cover(page).get_by_label(label)
    field.fill(password)
    field.press("Enter")
    expect(cover(page)).to_have_count(0)


def open_report(page: Page, study: Study) -> Locator:
    page.goto(f"/reports/study/{study.study_instance_uid}/editor")
    page.get_by_role("button", name="Start the report").click()
    impression = page.get_by_label("Impression")
    expect(impression).to_be_visible()
    return impression


def impression_kept(study: Study) -> str:
    report = Report.objects.filter(study=study).get()
    return str(report.content.get("impression", ""))


def test_a_report_is_written_on_where_its_session_ended(
    page: Page, anna: User, study: Study, axe_source: str
) -> None:
    sign_in(page, anna)
    impression = open_report(page, study)
    end_sessions()
    impression.fill("Written while the session ended.")
    expect(cover(page)).to_contain_text("Your session has ended")
    expect(cover(page)).to_contain_text("Anna Aho")
    expect(cover(page).locator("input[name=login]")).to_be_hidden()
    expect(cover(page).get_by_label("Password")).to_be_focused()
    assert violations(page, axe_source) == ""
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(cover(page)).to_be_visible()

    cover(page).get_by_label("Password").fill("not the password")
    page.keyboard.press("Enter")
    expect(cover(page).get_by_role("alert")).to_be_visible()
    give_password(page)

    expect(page.locator("[data-status]")).to_contain_text("Saved")
    assert impression_kept(study) == "Written while the session ended."
    impression.fill("And on.")
    expect(page.locator("[data-status]")).to_contain_text("Saved")
    assert impression_kept(study) == "And on."
    assert AuditEvent.objects.filter(action="user.sign_in", actor=anna, outcome="success").count() == 2
    assert AuditEvent.objects.filter(action="user.sign_in", outcome="wrong_password").count() == 1


@pytest.mark.long
def test_who_signs_in_in_another_window_uncovers_this_one_too(
    page: Page, context: BrowserContext, anna: User, study: Study
) -> None:
    sign_in(page, anna)
    impression = open_report(page, study)
    end_sessions()
    impression.fill("Written while signed out.")
    expect(cover(page)).to_be_visible()
    sign_in(context.new_page(), anna)
    page.bring_to_front()
    expect(cover(page)).to_have_count(0)
    expect(page.locator("[data-status]")).to_contain_text("Saved")
    assert impression_kept(study) == "Written while signed out."


@pytest.mark.long
def test_what_one_wrote_does_not_go_under_the_name_of_another(
    page: Page, context: BrowserContext, anna: User, bert: User, study: Study, axe_source: str
) -> None:
    sign_in(page, anna)
    impression = open_report(page, study)
    end_sessions()
    sign_in(context.new_page(), bert)
    page.bring_to_front()
    impression.evaluate(
        "field => { field.value = 'By Anna.'; field.dispatchEvent(new Event('input', {bubbles: true})) }"
    )
    expect(cover(page)).to_contain_text("Bert Blom is signed in now")
    assert violations(page, axe_source) == ""
    assert impression_kept(study) == ""

    cover(page).get_by_role("button", name="Sign in as Anna Aho").click()
    expect(cover(page)).to_contain_text("Your session has ended")
    give_password(page)
    expect(page.locator("[data-status]")).to_contain_text("Saved")
    assert impression_kept(study) == "By Anna."
    assert Report.objects.get(study=study).updated_by_id == anna.pk


@pytest.mark.long
def test_who_goes_on_as_the_other_leaves_the_page(
    page: Page, context: BrowserContext, anna: User, bert: User, study: Study
) -> None:
    sign_in(page, anna)
    impression = open_report(page, study)
    end_sessions()
    sign_in(context.new_page(), bert)
    page.bring_to_front()
    impression.evaluate(
        "field => { field.value = 'By Anna.'; field.dispatchEvent(new Event('input', {bubbles: true})) }"
    )
    page.on("dialog", lambda dialog: pytest.fail("the browser asks about leaving"))
    cover(page).get_by_role("button", name="Go on as Bert Blom").click()
    expect(page).to_have_url(re.compile(r"^http://[^/]+/worklist/$"))
    expect(page.locator(".shell-person")).to_contain_text("Bert Blom")
    assert impression_kept(study) == ""


def test_a_decision_made_as_the_session_ends_is_made_once(page: Page, anna: User, study: Study) -> None:
    sign_in(page, anna)
    page.goto(f"/studies/{study.study_instance_uid}/")
    accept = page.locator(".finding").first.get_by_role("button", name="Accept")
    expect(accept).to_be_visible()
    end_sessions()
    # As a click that comes a moment before the cover does: the page may have noticed by itself.
    accept.evaluate("button => button.click()")
    expect(cover(page)).to_be_visible()
    give_password(page)
    expect(page.locator('.finding[data-verdict="accepted"]')).to_have_count(1)
    finding = Finding.objects.get(job__study=study)
    assert FindingDecision.objects.filter(finding=finding).count() == 1


@pytest.mark.long
def test_a_decision_whose_answer_is_slow_is_sent_once(page: Page, anna: User, study: Study) -> None:
    """Of forms that a script sends, nothing is sent a second time once it is known who is signed in."""
    sign_in(page, anna)
    page.goto(f"/studies/{study.study_instance_uid}/")
    keys: list[str] = []

    def slowly(route: Route) -> None:
        keys.append(route.request.post_data or "")
        page.wait_for_timeout(2000)
        route.continue_()

    page.route("**/findings/*/decision", slowly)
    page.locator(".finding").first.get_by_role("button", name="Accept").click()
    expect(page.locator('.finding[data-verdict="accepted"]')).to_have_count(1)
    expect(page.locator(".pending")).to_have_count(0)
    assert len(keys) == 1
    assert FindingDecision.objects.count() == 1


@pytest.mark.long
def test_a_half_typed_reason_and_a_plain_form_stay(page: Page, hospital: Site) -> None:
    """An administrator's form, sent as a page: it waits for the sign-in and then goes."""
    administrator = make.user(Role.ADMINISTRATOR)
    sign_in(page, administrator)
    page.goto(f"/accounts/sites/{hospital.pk}/")
    page.get_by_label("Name", exact=True).fill("Riverside, renamed")
    end_sessions()
    page.get_by_role("button", name="Save").click()
    expect(cover(page)).to_be_visible()
    give_password(page)
    expect(page).to_have_url(f"{page.url.split('/accounts')[0]}/accounts/sites/")
    hospital.refresh_from_db()
    assert hospital.name == "Riverside, renamed"


def test_a_workplace_where_nobody_moves_is_covered_and_unlocked(
    page: Page, anna: User, study: Study, axe_source: str
) -> None:
    page.clock.install()
    sign_in(page, anna)
    impression = open_report(page, study)
    impression.fill("Before the lock.")
    expect(page.locator("[data-status]")).to_contain_text("Saved")
    SessionActivity.objects.update(active_at=timezone.now() - timedelta(minutes=15, seconds=1))
    page.clock.fast_forward("15:01")
    expect(cover(page)).to_contain_text("This workplace is locked")
    assert page.title() == "This workplace is locked"
    # Nothing of the case is to be seen, whatever layer it is in.
    assert page.get_by_label("Impression").is_visible() is False
    assert page.evaluate("getComputedStyle(document.querySelector('main')).visibility") == "hidden"
    assert violations(page, axe_source) == ""
    give_password(page, "Your password")
    expect(impression).to_have_value("Before the lock.")
    assert "locked" not in page.title()
    impression.fill("After it.")
    expect(page.locator("[data-status]")).to_contain_text("Saved")
    assert impression_kept(study) == "After it."
    actions = (
        AuditEvent.objects.filter(action__startswith="user.").order_by("pk").values_list("action", flat=True)
    )
    assert list(actions) == ["user.sign_in", "user.lock", "user.unlock_session"]


@pytest.mark.long
def test_a_new_tab_of_a_locked_workplace_is_locked_and_unlocks_all(
    page: Page, context: BrowserContext, anna: User, axe_source: str
) -> None:
    sign_in(page, anna)
    page.get_by_role("button", name="Lock this workplace").click()
    expect(cover(page)).to_contain_text("This workplace is locked")
    tab = context.new_page()
    tab.goto("/worklist/?state=open")
    expect(tab.get_by_role("heading", level=1)).to_have_text("This workplace is locked")
    assert violations(tab, axe_source) == ""
    tab.get_by_label("Your password").fill(make.PASSWORD)
    tab.get_by_role("button", name="Unlock").click()
    expect(tab).to_have_url(f"{tab.url.split('/accounts')[0].split('/worklist')[0]}/worklist/?state=open")
    page.bring_to_front()
    expect(cover(page)).to_have_count(0)


@pytest.mark.long
def test_another_takes_a_locked_workplace_over(page: Page, anna: User, bert: User, study: Study) -> None:
    sign_in(page, anna)
    open_report(page, study)
    page.get_by_role("button", name="Lock this workplace").click()
    page.on("dialog", lambda dialog: pytest.fail("the browser asks about leaving"))
    cover(page).get_by_role("button", name="Somebody else signs in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in to the reading room")
    sign_in(page, bert)
    assert AuditEvent.objects.filter(action="user.sign_out", actor=anna).count() == 1
    assert impression_kept(study) == ""


def test_a_first_sign_in_leads_to_a_password_of_one_s_own(
    page: Page, hospital: Site, axe_source: str
) -> None:
    administrator = Actor.of_user(make.user(Role.ADMINISTRATOR))
    user = services.create_user(
        administrator,
        username="dr.new",
        password="given by somebody 1",  # pragma: allowlist secret
        role=Role.RADIOLOGIST,
        site=hospital,
    )
    sign_in(page, user, "given by somebody 1")
    expect(page.get_by_role("heading", level=1)).to_have_text("Choose a password of your own")
    assert violations(page, axe_source) == ""
    page.goto("/worklist/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Choose a password of your own")
    for label in ("New password", "New password, once more"):
        page.get_by_label(label, exact=True).fill("nobody else knows 2")
    page.get_by_role("button", name="Set my password").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Worklist")
    page.goto("/accounts/login/")
    expect(page.get_by_role("heading", level=1)).to_have_text("Worklist")
