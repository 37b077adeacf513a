"""The review's report against itself (C1) in the browser: both places of each contradiction are outlined and a click
away, the dialog says in large type what is signed, and only a reason for each, which is printed, lets it be signed.

A real web server on the tests' database and a real Chromium; models and queues have no part in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BytesIO

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect
from pypdf import PdfReader

from cad_platform.accounts.models import Role, User
from cad_platform.patients.models import Patient
from cad_platform.reporting.models import Report
from cad_platform.studies.models import Study
from tests import factories as make
from tests.e2e.pictures import picture
from tests.e2e.reading_room import sign_in
from tests.e2e.test_reading_by_keyboard import violations
from tests.web_server import WebServer, web_server

pytestmark = [pytest.mark.timeout(300), pytest.mark.django_db(transaction=True)]

SLOW = 20_000
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 320, "height": 800}
CASES = {
    "en": "Mass right breast. Biopsy of the LEFT breast is advised.",
    "zh-hans": "右乳肿块。建议左乳活检。",
}
#: What the engine quotes of it.
BIOPSY = {"en": "Biopsy of the LEFT", "zh-hans": "左乳活检"}


@pytest.fixture(scope="module")
def server(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    with web_server(tmp_path_factory.mktemp("web")) as running:
        yield running


@pytest.fixture
def context(chromium: Browser, server: WebServer) -> Iterator[BrowserContext]:
    made = chromium.new_context(base_url=server.url, viewport=WIDE)  # type: ignore[arg-type]
    made.set_default_timeout(SLOW)
    expect.set_options(timeout=SLOW)
    yield made
    made.close()


@pytest.fixture
def reader(server: WebServer, transactional_db: None) -> User:
    return make.user(Role.RADIOLOGIST, make.site(), first_name="Anna", last_name="Aho", username="a.aho")


@pytest.fixture
def study(reader: User) -> Study:
    """A mammogram of both breasts with two accepted masses in the left one."""
    made = make.study(reader.site)
    views = [make.instance(made, side, "CC") for side in ("L", "R")]
    job = make.succeeded_job(made)
    for box in ([100, 200, 220, 290], [500, 600, 640, 720]):
        make.decision(make.finding(views[0], job, box=box), reader)
    return made


def opened(context: BrowserContext, server: WebServer, reader: User, study: Study, language: str) -> Page:
    """The case's report, begun, in a language."""
    context.add_cookies([{"name": "django_language", "value": language, "url": server.url}])
    page = context.new_page()
    sign_in(page, reader.username, make.PASSWORD)
    expect(page.locator(".shell-person")).to_contain_text(reader.printed_name)
    page.goto(f"/studies/{study.study_instance_uid}/")
    page.locator("#tab-report").click()
    page.locator("form[action$=start] button").first.click()
    expect(page.locator("#report-impression")).to_be_visible()
    return page


def write_against_itself(page: Page, impression: str) -> None:
    choices = {"right": "4C", "left": "1", "assessment": "4C", "recommendation": "tissue_diagnosis"}
    for name, code in {"density": "b", **choices}.items():
        page.locator(f"#report-{name}").select_option(code)
    page.locator("#report-indication").fill("Screening." if impression.isascii() else "筛查。")
    page.locator("#report-impression").fill(impression)


def reason(number: int, language: str) -> str:
    """One that differs from the others, in the language of the report."""
    return f"Agreed with the surgeon ({number})." if language == "en" else f"已与外科医生商定（{number}）。"


def stops_of(page: Page) -> Locator:
    return page.locator("[data-contradiction-list] .contradiction--stop")


def no_sideways_scroll(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def fits(dialog: Locator) -> bool:
    """Whether who, what and the password are in sight together, and nothing is wider than the dialog."""
    return bool(
        dialog.evaluate(
            """dialog => [...dialog.querySelectorAll('[data-who], [data-decision], #sign-password')].every(part => {
                const { top, bottom, left, right } = part.getBoundingClientRect();
                return top >= 0 && bottom <= innerHeight && left >= 0 && right <= innerWidth && bottom > top;
            }) && dialog.scrollWidth <= dialog.clientWidth"""
        )
    )


def size_of(text: Locator) -> float:
    return float(text.evaluate("element => parseFloat(getComputedStyle(element).fontSize)"))


@pytest.mark.parametrize("language", ["en", pytest.param("zh-hans", marks=pytest.mark.long)])
def test_a_report_against_itself_is_signed_only_with_a_reason_for_each(
    context: BrowserContext, server: WebServer, reader: User, study: Study, axe_source: str, language: str
) -> None:
    if language != "en":
        Patient.objects.filter(pk=study.patient_id).update(name="欧阳^晓梅")
        User.objects.filter(pk=reader.pk).update(first_name="敏", last_name="王")
        reader.refresh_from_db()
    page = opened(context, server, reader, study, language)
    write_against_itself(page, CASES[language])
    stops = stops_of(page)
    expect(stops.filter(has_text="BI-RADS 1")).not_to_have_count(0)
    expect(page.locator("[data-found]")).to_be_visible()

    # Both places of each are outlined: the lines of the two masses, the left breast and the impression.
    outlined = page.locator(".is-contradicted")
    for name in ("left", "impression"):
        expect(page.locator(f'[data-field="{name}"]')).to_have_class(re.compile("is-contradicted"))
    expect(page.locator("[data-line].is-contradicted")).to_have_count(2)
    expect(outlined.first).to_have_css("outline-style", "dashed")
    short = "zh" if language != "en" else language

    for size in (WIDE, NARROW):
        page.set_viewport_size(size)  # type: ignore[arg-type]
        assert violations(page, axe_source) == "", size
        assert no_sideways_scroll(page), size
        # "Show" leads to the impression and into the left breast's category.
        words = stops.filter(has_text=BIOPSY[language])
        for number, name in enumerate(("impression", "left")):
            words.first.locator("button").nth(number).click()
            expect(page.locator(f"#report-{name}")).to_be_focused()
            expect(page.locator(f"#report-{name}")).to_be_in_viewport()

    page.set_viewport_size(WIDE)  # type: ignore[arg-type]
    page.locator("[data-action=sign]").click()
    dialog = page.locator("dialog[data-dialog=sign][open]")
    expect(dialog).to_be_visible()
    assert study.patient is not None
    expect(dialog.locator("[data-who]")).to_contain_text(study.patient.patient_id)
    expect(dialog.locator("[data-who]")).to_contain_text(study.accession_number)
    numbers = dialog.locator(".sign__number")
    assert numbers.all_inner_texts() == ["4C", "1", "4C"]
    # Large type, as WCAG counts it for bold text (14 pt), is at least 18.66 px.
    large = (".sign__number", ".sign__recommendation", "[data-who] dd")
    assert min(size_of(dialog.locator(part).first) for part in large) >= 18.66
    for size in (WIDE, NARROW):
        page.set_viewport_size(size)  # type: ignore[arg-type]
        assert violations(page, axe_source) == "", size
        assert fits(dialog) or size is NARROW, size
        assert no_sideways_scroll(page), size
        if size is WIDE:
            picture(dialog, f"sign-dialog-{short}")
    page.set_viewport_size(WIDE)  # type: ignore[arg-type]

    # It is not signed without a reason for each.
    reasons = dialog.locator("[data-overridden] textarea")
    count = reasons.count()
    assert count == stops.count() >= 3
    dialog.locator("#sign-password").fill(make.PASSWORD)
    dialog.locator("button[type=submit]").click()
    assert reasons.first.evaluate("area => area.validity.valueMissing")
    for number in range(count - 1):
        reasons.nth(number).fill(reason(number + 1, language))
    dialog.locator("button[type=submit]").click()
    expect(dialog).to_be_visible()
    assert not Report.objects.filter(state="signed").exists()

    reasons.nth(count - 1).fill(reason(count, language))
    picture(dialog, f"reason-{short}")
    dialog.locator("button[type=submit]").click()
    article = page.locator("article.signed")
    expect(article).to_be_visible()
    assert violations(page, axe_source) == ""
    address = article.get_by_role("link", name="PDF").get_attribute("href") or ""
    pages = PdfReader(BytesIO(page.request.get(address).body())).pages
    printed = "".join("".join(each.extract_text() for each in pages).split())
    for number in range(1, count + 1):
        expect(article).to_contain_text(reason(number, language))
        assert "".join(reason(number, language).split()) in printed
