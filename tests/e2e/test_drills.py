"""Further drills: two readers on one finding, two people and two tabs at one browser, a server that accepts and answers
nothing for a minute, saves that are refused. Nothing is lost, nothing doubled, and whoever lost is told."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from cad_platform.reading.models import Annotation, FindingDecision
from cad_platform.reporting.models import Report
from cad_platform.studies.models import SideConfirmation
from tests.e2e.lost_and_found import Reader, Reading, eventually, kept_texts

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(400)]

#: Everything that the browser keeps, as whoever opens its files would find it.
_RAW = """() => new Promise((resolve) => {
  const opening = indexedDB.open('cad-journal');
  opening.onsuccess = () => {
    const all = opening.result.transaction(['texts', 'sendings']);
    const rows = [];
    const latin = (value) => value instanceof ArrayBuffer
      ? String.fromCharCode(...new Uint8Array(value)) : JSON.stringify(value);
    for (const name of ['texts', 'sendings'])
      all.objectStore(name).getAll().onsuccess = ({ target }) => rows.push(...target.result.map((r) => latin(r.value)));
    all.oncomplete = () => { opening.result.close(); resolve(rows); };
  };
})"""


def raw(page: Page) -> list[str]:
    return list(page.evaluate(_RAW))


def press(reader: Reader, number: int, button: str) -> None:
    """As fast as a script can, so that two people come at the same moment."""
    reader.finding(number).get_by_role("button", name=button).evaluate("button => button.click()")


@pytest.mark.long
def test_two_readers_decide_on_one_finding_at_once(chromium: Browser, reading: Reading, anna: Reader) -> None:
    carl = Reader(chromium, reading, reading.colleague)
    carl.sign_in()
    carl.open_case()
    expect(anna.finding(0).get_by_role("button", name="Accept")).to_be_enabled()
    # What Carl sends is under way while Anna decides, so that neither has seen the other's word.
    carl.page.route("**/decision", lambda route: (carl.page.wait_for_timeout(2500), route.continue_()))
    press(carl, 0, "Reject")
    carl.page.locator("#reject-reason").fill("Skin fold")
    carl.page.get_by_role("dialog").get_by_role("button", name="Reject finding").evaluate("b => b.click()")
    press(anna, 0, "Accept")
    expect(anna.finding(0)).to_have_attribute("data-verdict", "accepted")
    carl.sees(f"{reading.reader.printed_name} decided on this finding meanwhile", 20_000)
    # The last word that counts is what both see; the other's words are kept until he takes them back or insists.
    expect(carl.finding(0)).to_have_attribute("data-verdict", "accepted", timeout=20_000)
    carl.sees("Skin fold")
    assert list(FindingDecision.objects.values_list("verdict", flat=True)) == ["accepted"]
    carl.page.unroute("**/decision")
    carl.banner.get_by_role("button", name="Try again").click()
    expect(carl.finding(0)).to_have_attribute("data-verdict", "rejected")
    expect(anna.finding(0)).to_have_attribute("data-verdict", "rejected", timeout=20_000)
    assert list(FindingDecision.objects.order_by("decided_at").values_list("verdict", flat=True)) == [
        "accepted",
        "rejected",
    ]
    carl.close()


@pytest.mark.long
def test_another_user_of_the_browser_sees_and_sends_nothing_of_the_first(
    reading: Reading, anna: Reader
) -> None:
    """One workstation: what is kept is sealed, waits for its writer, and comes under no other name."""
    anna.page.get_by_role("tab", name="Report").click()
    anna.page.get_by_role("button", name="Start the report").click()
    with anna.offline():
        anna.page.locator("#report-impression").fill("Secret-word of Anna")
        anna.page.get_by_role("tab", name="Findings").click()
        press(anna, 0, "Accept")
        anna.sees("Accept finding 1")
        eventually(lambda: kept_texts(anna.page) >= 1 and len(raw(anna.page)) >= 2)
        assert not any("Secret-word" in row or "finding" in row for row in raw(anna.page))
        anna.crash()
    anna.context.clear_cookies()
    carl = Reader.at(anna.context, reading, reading.colleague)
    carl.sign_in()
    carl.open_case()
    carl.page.get_by_role("tab", name="Report").click()
    expect(carl.page.locator("#report-impression")).to_have_value("")
    expect(carl.banner).to_be_hidden()
    assert "Secret-word" not in carl.page.content()
    assert not FindingDecision.objects.exists()
    # His sign-out asks nothing, and leaves hers.
    carl.page.get_by_role("button", name="Sign out").click()
    expect(carl.page.get_by_role("heading", level=1)).to_have_text("Sign in to the reading room")
    again = Reader.at(anna.context, reading, reading.reader)
    again.sign_in()
    eventually(lambda: FindingDecision.objects.filter(reader=reading.reader, verdict="accepted").count() == 1)
    again.open_case()
    again.page.get_by_role("tab", name="Report").click()
    expect(again.page.locator("#report-impression")).to_have_value("Secret-word of Anna")


@pytest.mark.long
def test_two_tabs_of_one_user(reading: Reading, anna: Reader) -> None:
    """What the one keeps, the other leaves alone while it lives, and sends when it has crashed; once."""
    other = Reader.at(anna.context, reading, reading.reader)
    other.open_case()
    with anna.offline():
        press(anna, 0, "Accept")
        press(other, 1, "Accept")
        anna.sees("Accept finding 1")
        other.sees("Accept finding 2")
        expect(other.banner).not_to_contain_text("finding 1")
        anna.crash()
    other.sees_all_there()
    # The crashed one's is taken over within a third of a minute.
    eventually(lambda: FindingDecision.objects.count() == 2, 60)
    for number in (0, 1):
        expect(other.finding(number)).to_have_attribute("data-verdict", "accepted", timeout=20_000)
    assert FindingDecision.objects.count() == 2


@pytest.mark.long
def test_signing_out_asks_about_unsent_work(reading: Reading, anna: Reader) -> None:
    with anna.offline():
        press(anna, 0, "Accept")
        anna.sees("Accept finding 1")
        anna.page.get_by_role("button", name="Sign out").click()
        question = anna.page.get_by_role("dialog")
        expect(question).to_contain_text("Kept here only: Accept finding 1")
        question.get_by_role("button", name="Stay").click()
        expect(question).to_have_count(0)
        anna.page.get_by_role("button", name="Sign out").click()
        expect(question).to_contain_text("Accept finding 1")
    # It goes through while the question stands: then there is nothing to ask.
    expect(anna.page.get_by_role("heading", level=1)).to_have_text(
        "Sign in to the reading room", timeout=30_000
    )
    assert FindingDecision.objects.get().verdict == "accepted"
    assert raw(anna.page) == []


@pytest.mark.long
def test_signing_out_can_throw_unsent_work_away(reading: Reading, anna: Reader) -> None:
    refused = anna.page
    refused.route("**/decision", lambda route: route.abort())
    press(anna, 0, "Accept")
    anna.sees("Accept finding 1", 15_000)
    refused.get_by_role("button", name="Sign out").click()
    refused.get_by_role("button", name="Sign out and throw it away").click()
    expect(refused.get_by_role("heading", level=1)).to_have_text("Sign in to the reading room")
    assert raw(refused) == []
    assert not FindingDecision.objects.exists()


@pytest.mark.long
@pytest.mark.parametrize("what", ["text", "decision", "mark", "measurement"])
def test_a_server_that_does_not_answer_for_a_minute(reading: Reading, anna: Reader, what: str) -> None:
    page = anna.page
    if what == "measurement":
        anna.has_pixels()
        anna.open_case()
        expect(page.locator('.pane[data-ready="true"]')).to_have_count(1)
    if what == "text":
        page.get_by_role("tab", name="Report").click()
        page.get_by_role("button", name="Start the report").click()
        page.locator("#report-impression").fill("Before.")
        expect(page.locator("[data-status]")).to_contain_text("Saved")
    with reading.hung():
        if what == "text":
            page.locator("#report-impression").fill("During the minute.")
            told = "text of the report"
        elif what == "decision":
            press(anna, 0, "Accept")
            told = "Accept finding 1"
        elif what == "mark":
            anna.begin_a_mark()
            page.get_by_role("button", name="Save").click()
            told = "New finding: Mass"
        else:
            anna.measure()
            told = "Measurement in L CC"
        anna.sees(told, 5000)
        page.wait_for_timeout(60_000)
        anna.sees(told)
        if what == "text":
            page.locator("#report-impression").fill("During the minute, and on.")
    anna.sees_all_there()
    if what == "text":
        eventually(
            lambda: (
                [each.content["impression"] for each in Report.objects.all()]
                == ["During the minute, and on."]
            )
        )
        expect(page.locator("[data-conflict]")).to_be_hidden()
        eventually(lambda: kept_texts(page) == 0)
    elif what == "decision":
        assert FindingDecision.objects.get().verdict == "accepted"
    elif what == "mark":
        assert reading.study.findings.filter(author=reading.reader).count() == 1
    else:
        assert Annotation.objects.filter(author=reading.reader).count() == 1


@pytest.mark.long
@pytest.mark.parametrize(
    ("status", "code", "sentence"),
    [
        (409, "conflict", "Something changed meanwhile."),
        (403, "not_permitted", "You may not do this."),
        (422, "invalid", "This cannot be understood."),
    ],
)
def test_of_a_refused_save_the_words_stay_and_a_way_out_is_shown(
    reading: Reading, anna: Reader, status: int, code: str, sentence: str
) -> None:
    page = anna.page
    problem = {"type": f"urn:cad:problem:{code}", "title": "No", "status": status, "detail": sentence}

    def refuse(route: Route) -> None:
        route.fulfill(status=status, content_type="application/problem+json", body=json.dumps(problem))

    page.get_by_role("tab", name="Report").click()
    page.get_by_role("button", name="Start the report").click()
    impression = page.locator("#report-impression")
    expect(impression).to_be_visible()
    page.route("**/draft", refuse)
    impression.fill("Words that stay.")
    expect(page.locator("[data-problem]")).to_contain_text(sentence, timeout=5000)
    expect(impression).to_have_value("Words that stay.")
    # A decision that is refused stays in the banner, with both ways out.
    page.get_by_role("tab", name="Findings").click()
    page.route("**/decision", refuse)
    press(anna, 0, "Accept")
    anna.sees(f"Not taken: Accept finding 1. {sentence}", 10_000)
    expect(anna.banner.get_by_role("button", name="Try again")).to_be_visible()
    anna.banner.get_by_role("button", name="Give up").click()
    expect(anna.banner).to_be_hidden()
    # A form of the study that is refused keeps what was typed, also through a crash.
    page.route("**/withdraw", refuse)
    page.get_by_role("tab", name="Study").click()
    reason = page.locator('form[data-keep="withdraw"] [name="reason"]')
    page.get_by_role("button", name="Withdraw study…").click()
    reason.fill("Posted for another patient")
    page.locator('form[data-keep="withdraw"] button[type="submit"]').click()
    expect(page.locator('form[data-keep="withdraw"]')).to_contain_text(sentence)
    expect(reason).to_have_value("Posted for another patient")
    eventually(lambda: kept_texts(anna.page) == 2)
    anna.crash()
    anna.open_case()
    anna.page.get_by_role("tab", name="Report").click()
    expect(anna.page.locator("#report-impression")).to_have_value("Words that stay.")
    eventually(lambda: [each.content["impression"] for each in Report.objects.all()] == ["Words that stay."])
    expect(anna.page.locator('form[data-keep="withdraw"] [name="reason"]')).to_have_value(
        "Posted for another patient"
    )


@pytest.mark.long
def test_a_side_that_is_confirmed_while_the_answer_is_lost_is_confirmed_once(
    reading: Reading, anna: Reader
) -> None:
    """The first sending arrives and its answer does not; pressed again, it is the same request."""
    page, image = anna.page, reading.marks[0].instance_id
    page.get_by_role("tab", name="Study").click()
    form = page.locator(f'form[data-keep="side-{image}"]')
    form.evaluate("form => form.closest('details')?.setAttribute('open', '')")
    form.get_by_label("the right breast").check()
    form.locator('[name="reason"]').fill("Marker in the picture")

    def lose(route: Route) -> None:
        route.fetch()
        route.abort()

    page.route("**/side", lose)
    form.locator('button[type="submit"]').click()
    expect(form).to_contain_text("The server does not answer")
    eventually(lambda: SideConfirmation.objects.count() == 1)
    page.unroute("**/side")
    form.locator('button[type="submit"]').click()
    expect(page.get_by_text("This came twice and was done once.")).to_be_visible()
    assert SideConfirmation.objects.count() == 1
