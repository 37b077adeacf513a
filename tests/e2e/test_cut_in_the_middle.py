"""Drill: the network is cut in the middle of an input: between one key and the next, between press and release. Nothing
is lost, it shows within three seconds, and it is sent once."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.db.models import QuerySet
from playwright.sync_api import expect

from cad_platform.audit.models import AuditEvent
from cad_platform.reading.models import Annotation, FindingDecision
from cad_platform.reporting.models import Report
from tests.e2e.lost_and_found import VISIBLE_MS, Reader, Reading, eventually, kept_texts

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(300)]


def events(action: str) -> int:
    return AuditEvent.objects.filter(action=action).count()


def saves() -> QuerySet[Any]:
    """The draft as each save left it."""
    history = apps.get_model("reporting", "ReportEvent").objects
    return history.filter(saved_key__isnull=False).order_by("pgh_id")


def test_text_that_is_being_typed(reading: Reading, anna: Reader) -> None:
    page = anna.page
    page.get_by_role("tab", name="Report").click()
    page.get_by_role("button", name="Start the report").click()
    impression = page.locator("#report-impression")
    impression.press_sequentially("Typed before the cut, ")
    with anna.offline():
        saved = events("report.save_draft")
        impression.press_sequentially("typed during the cut, ", delay=30)
        anna.sees("text of the report", VISIBLE_MS)
        impression.press_sequentially("typed on", delay=30)
        eventually(lambda: kept_texts(page) == 1, 3)
        assert events("report.save_draft") == saved
    words = "Typed before the cut, typed during the cut, typed on"
    eventually(lambda: [each.content["impression"] for each in Report.objects.all()] == [words], 40)
    expect(impression).to_have_value(words)
    anna.sees_all_there()
    expect(page.locator("[data-conflict]")).to_be_hidden()
    eventually(lambda: kept_texts(page) == 0)
    # What was on its way when the network was back, and what was typed since: each text once.
    texts = list(saves().values_list("content__impression", flat=True))
    assert texts[-1] == words and len(texts) == len(set(texts)) <= saved + 2


@pytest.mark.long
def test_a_decision_whose_reason_is_being_typed(reading: Reading, anna: Reader) -> None:
    anna.finding(1).get_by_role("button", name="Reject").click()
    reason = anna.page.locator("#reject-reason")
    reason.press_sequentially("Skin ")
    with anna.offline():
        reason.press_sequentially("fold", delay=30)
        anna.page.get_by_role("dialog").get_by_role("button", name="Reject finding").click()
        anna.sees("Reject finding 2 (Skin fold)")
        expect(anna.finding(1)).to_contain_text("kept here, not sent yet", timeout=VISIBLE_MS)
        assert not FindingDecision.objects.exists()
    anna.sees_all_there()
    expect(anna.finding(1)).to_have_attribute("data-verdict", "rejected")
    decision = FindingDecision.objects.get()
    assert (decision.verdict, decision.reason) == ("rejected", "Skin fold")
    assert events("finding.decide") == 1


@pytest.mark.long
def test_a_mark_whose_box_is_being_given(reading: Reading, anna: Reader) -> None:
    before = reading.study.findings.count()
    anna.begin_a_mark()
    with anna.offline():
        anna.page.get_by_role("button", name="Save").click()
        anna.sees("New finding: Mass")
        assert reading.study.findings.count() == before
    anna.sees_all_there()
    made = reading.study.findings.get(author=reading.reader)
    expect(anna.page.locator(f'li[data-finding="{made.pk}"]')).to_be_visible()
    assert (made.label, reading.study.findings.count()) == ("mass", before + 1)
    assert events("finding.add") == 1


@pytest.mark.long
def test_a_measurement_between_press_and_release(reading: Reading, anna: Reader) -> None:
    anna.has_pixels()
    anna.open_case()
    expect(anna.page.locator('.pane[data-ready="true"]')).to_have_count(1)
    anna.begin_to_measure()
    with anna.offline():
        anna.page.mouse.up()
        expect(anna.page.locator(".length__text")).to_have_count(1)
        anna.sees("Measurement in L CC")
        assert not Annotation.objects.exists()
    anna.sees_all_there()
    eventually(lambda: Annotation.objects.filter(author=reading.reader).count() == 1)
    assert events("annotation.draw") == 1 and events("annotation.change") == 0
    anna.page.reload()
    expect(anna.page.locator(".length__text")).to_have_count(1)
