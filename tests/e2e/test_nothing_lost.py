"""Drills: the server killed, the network cut, the server hung, the tab crashed, two readers, in the middle of each kind
of input. Nothing is lost, nothing doubled, and the state shows within three seconds."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from playwright.sync_api import expect

from cad_platform.analysis.models import Finding
from cad_platform.core.actor import Actor
from cad_platform.reading.models import FindingDecision
from cad_platform.reporting import services
from cad_platform.reporting.models import Report
from tests.e2e.lost_and_found import Reader, Reading, eventually, kept_texts

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]


#: The ways in which the server is out of reach.
TROUBLES: dict[str, Callable[[Reading, Reader], AbstractContextManager[None]]] = {
    "killed": lambda reading, _: reading.killed(),
    "hung": lambda reading, _: reading.hung(),
    "cut": lambda _, reader: reader.offline(),
}


def verdicts(reading: Reading, number: int = 0) -> list[str]:
    mark = reading.marks[number]
    return list(FindingDecision.objects.filter(finding=mark).values_list("verdict", flat=True))


@pytest.mark.parametrize(
    "trouble", ["killed", *(pytest.param(name, marks=pytest.mark.long) for name in ("hung", "cut"))]
)
def test_a_decision_while_the_server_is_away_is_made_later_and_once(
    reading: Reading, anna: Reader, trouble: str
) -> None:
    with TROUBLES[trouble](reading, anna):
        anna.finding(0).get_by_role("button", name="Accept").click()
        expect(anna.finding(0)).to_contain_text("kept here, not sent yet", timeout=1000)
        anna.sees("Accept finding 1")
        expect(anna.finding(0).get_by_role("button", name="Accept")).to_be_disabled()
        anna.finding(1).get_by_role("button", name="Reject").click()
        anna.page.locator("#reject-reason").fill("Skin fold")
        anna.page.get_by_role("dialog").get_by_role("button", name="Reject finding").click()
        anna.sees("Reject finding 2 (Skin fold)")
        assert verdicts(reading) == []
    anna.sees_all_there()
    expect(anna.finding(0)).to_have_attribute("data-verdict", "accepted")
    expect(anna.finding(1)).to_have_attribute("data-verdict", "rejected")
    assert (verdicts(reading), verdicts(reading, 1)) == (["accepted"], ["rejected"])
    expect(anna.banner).to_be_hidden(timeout=20_000)


@pytest.mark.long
def test_what_a_crashed_tab_decided_is_sent_by_the_next_page(reading: Reading, anna: Reader) -> None:
    with reading.killed():
        anna.finding(0).get_by_role("button", name="Accept").click()
        anna.sees("Accept finding 1")
        anna.crash()
    anna.page.goto("/worklist/")
    eventually(lambda: verdicts(reading) == ["accepted"])


@pytest.mark.long
def test_a_decision_that_is_refused_later_stays_with_its_reason(reading: Reading, anna: Reader) -> None:
    other = reading.colleague
    with anna.offline():
        anna.finding(0).get_by_role("button", name="Accept").click()
        FindingDecision.objects.create(
            finding=reading.marks[0], reader=other, verdict="rejected", reason="Fat"
        )
    anna.sees(f"Not taken: Accept finding 1. {other.printed_name} decided on this finding meanwhile", 15_000)
    assert verdicts(reading) == ["rejected"]
    anna.banner.get_by_role("button", name="Try again").click()
    expect(anna.finding(0)).to_have_attribute("data-verdict", "accepted")
    assert verdicts(reading) == ["rejected", "accepted"]
    expect(anna.banner).to_be_hidden(timeout=20_000)


@pytest.mark.long
@pytest.mark.parametrize("trouble", TROUBLES)
def test_an_edit_and_a_finding_of_ones_own_come_later_and_once(
    reading: Reading, anna: Reader, trouble: str
) -> None:
    with TROUBLES[trouble](reading, anna):
        anna.finding(0).get_by_role("button", name="Edit").click()
        anna.page.get_by_label("Label").select_option("calcifications")
        anna.page.locator("#edit-reason").fill("Wrong label")
        anna.page.get_by_role("button", name="Save").click()
        anna.sees("Edit finding 1 (Wrong label)")
        anna.begin_a_mark()
        anna.page.get_by_role("button", name="Save").click()
        anna.sees("New finding: Mass")
    anna.sees_all_there()
    expect(anna.finding(0)).to_have_attribute("data-verdict", "edited")
    assert verdicts(reading) == ["edited"]
    assert Finding.objects.filter(author=reading.reader).count() == 1


def impressions(reading: Reading) -> list[str]:
    return [report.content.get("impression", "") for report in Report.objects.filter(study=reading.study)]


def write(anna: Reader, words: str) -> None:
    anna.page.locator("#report-impression").fill(words)


def test_text_is_kept_while_the_server_is_away_and_after_a_crash(reading: Reading, anna: Reader) -> None:
    anna.page.get_by_role("tab", name="Report").click()
    anna.page.get_by_role("button", name="Start the report").click()
    write(anna, "First words.")
    expect(anna.page.locator("[data-status]")).to_contain_text("Saved")
    with reading.hung():
        write(anna, "Written while it hung.")
        anna.sees("text of the report", 5000)
        anna.page.get_by_role("button", name="Sign…").click()
        expect(anna.page.locator("[data-problem]")).to_contain_text("The dialog opens once it is")
    expect(anna.page.locator("[data-status]")).to_contain_text("Saved", timeout=30_000)
    eventually(lambda: impressions(reading) == ["Written while it hung."])
    expect(anna.page.locator("[data-problem]")).to_be_hidden()
    expect(anna.page.locator("[data-conflict]")).to_be_hidden()
    with reading.killed():
        write(anna, "Written before the crash.")
        anna.sees("text of the report", 5000)
        write(anna, "Written right before the crash.")
        anna.page.wait_for_timeout(600)
        anna.crash()
    anna.open_case()
    anna.page.get_by_role("tab", name="Report").click()
    expect(anna.page.locator("#report-impression")).to_have_value("Written right before the crash.")
    expect(anna.page.locator("[data-recovered]")).to_contain_text("is in the report again")
    eventually(lambda: impressions(reading) == ["Written right before the crash."])


@pytest.mark.long
def test_what_is_written_on_during_a_save_that_hangs_is_saved_too(reading: Reading, anna: Reader) -> None:
    anna.page.get_by_role("tab", name="Report").click()
    anna.page.get_by_role("button", name="Start the report").click()
    expect(anna.page.locator("#report-impression")).to_be_visible()
    with reading.hung():
        write(anna, "Begun.")
        anna.page.wait_for_timeout(1500)
        write(anna, "Begun, and written on.")
        anna.page.wait_for_timeout(1500)
    eventually(lambda: impressions(reading) == ["Begun, and written on."])
    expect(anna.page.locator("[data-conflict]")).to_be_hidden()


@pytest.mark.long
def test_a_discarded_draft_leaves_nothing_behind(reading: Reading, anna: Reader) -> None:
    anna.page.get_by_role("tab", name="Report").click()
    anna.page.get_by_role("button", name="Start the report").click()
    write(anna, "Saved words.")
    expect(anna.page.locator("[data-status]")).to_contain_text("Saved")
    eventually(lambda: kept_texts(anna.page) == 0)
    with anna.offline():
        write(anna, "Words that nobody wants.")
        eventually(lambda: kept_texts(anna.page) == 1)
        anna.page.get_by_role("button", name="Discard the draft").click()
        anna.page.get_by_role("button", name="Discard", exact=True).click()
        # It could not be: the draft is still there, and so is the text.
        expect(anna.page.locator("[data-problem]")).to_be_visible()
        assert kept_texts(anna.page) == 1
        anna.page.get_by_role("button", name="Keep it").click()
    expect(anna.page.locator("[data-status]")).to_contain_text("Saved", timeout=30_000)
    write(anna, "Not sent yet, and discarded.")
    anna.page.get_by_role("button", name="Discard the draft").click()
    anna.page.get_by_role("button", name="Discard", exact=True).click()
    expect(anna.page.get_by_role("button", name="Start the report")).to_be_visible()
    eventually(lambda: kept_texts(anna.page) == 0)
    expect(anna.banner).to_be_hidden(timeout=20_000)
    assert not Report.objects.filter(study=reading.study).exists()


@pytest.mark.long
def test_text_of_a_draft_that_is_gone_is_shown_to_its_writer(reading: Reading, anna: Reader) -> None:
    anna.page.get_by_role("tab", name="Report").click()
    anna.page.get_by_role("button", name="Start the report").click()
    write(anna, "First words.")
    expect(anna.page.locator("[data-status]")).to_contain_text("Saved")
    with anna.offline():
        write(anna, "Written while the colleague discarded.")
        anna.sees("text of the report", 5000)
        services.discard_draft(Actor.of_user(reading.colleague), Report.objects.get().pk)
    expect(anna.page.locator("[data-problem]")).to_be_visible(timeout=30_000)
    expect(anna.page.locator("#report-impression")).to_have_value("Written while the colleague discarded.")
    anna.crash()
    anna.open_case()
    anna.page.get_by_role("tab", name="Report").click()
    found = anna.page.locator("report-section .notice").filter(has_text="was not sent")
    expect(found).to_contain_text("Written while the colleague discarded.")
    found.get_by_role("button", name="Throw it away").click()
    expect(found).to_be_hidden()
    eventually(lambda: kept_texts(anna.page) == 0)


def test_a_half_typed_reason_survives_a_crash(reading: Reading, anna: Reader) -> None:
    anna.finding(1).get_by_role("button", name="Reject").click()
    anna.page.locator("#reject-reason").fill("Skin fo")
    eventually(lambda: kept_texts(anna.page) == 1)
    anna.crash()
    anna.open_case()
    expect(anna.page.locator("#reject-reason")).to_have_value("Skin fo")
    expect(anna.page.get_by_role("dialog")).to_contain_text("is here again; it was not sent")
    assert verdicts(reading, 1) == []
