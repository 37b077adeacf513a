"""The audit log on screen and as CSV."""

from __future__ import annotations

import csv
from io import StringIO

import pytest
from django.test import Client
from django.urls import reverse

from cad_platform.accounts.models import Role
from cad_platform.audit import chain
from cad_platform.audit.models import AuditEvent
from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.operations.audit_log.views import plain_cell
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def browser() -> Client:
    client = Client()
    client.force_login(factories.user(Role.ADMINISTRATOR, username="boss"))
    return client


def shown(browser: Client, **query: str) -> list[str]:
    return [event.object_id for event in browser.get(reverse("audit"), query).context["events"]]


def test_the_log_is_filtered_and_paged(browser: Client) -> None:
    for number in range(130):
        record(Actor.system("worker"), "job.succeed", object_type="job", object_id=f"j{number}")
    record(Actor.system("test"), "study.view", object_type="study", object_id="s1", outcome="refused")
    assert len(shown(browser, action="job.succeed")) == 100
    first = browser.get(reverse("audit"), {"action": "job.succeed"})
    older = browser.get(f"{reverse('audit')}?{first.context['older']}")
    assert [event.object_id for event in older.context["events"]] == [f"j{n}" for n in range(29, -1, -1)]
    assert older.context["older"] == ""
    assert shown(browser, actor="system:test") == ["s1"]
    assert shown(browser, object_id="s1") == ["s1"]
    assert shown(browser, outcome="refused") == ["s1"]
    assert shown(browser, until="2020-01-01") == []
    # Never everything for a filter that says nothing.
    assert browser.get(reverse("audit"), {"since": "not a day"}).status_code == 400


def test_looking_at_the_log_is_recorded_too(browser: Client) -> None:
    browser.get(reverse("audit"), {"actor": "someone"})
    event = AuditEvent.objects.get(action="audit.view")
    assert event.actor_label == "boss" and event.detail == {"filters": ["actor"]}


def test_sealed_events_show_their_link(browser: Client) -> None:
    chain._last_full_scan = None
    record(Actor.system("worker"), "job.succeed", object_type="job", object_id="j1")
    assert "waiting" in browser.get(reverse("audit"), {"action": "job.succeed"}).content.decode()
    chain.seal_pending()
    page = browser.get(reverse("audit"), {"action": "job.succeed"}).content.decode()
    assert AuditEvent.objects.get(action="job.succeed").seal.hash in page


def test_the_export_holds_no_formulas(browser: Client) -> None:
    record(Actor(label='=HYPERLINK("http://x")'), "study.view", object_id="@sum", object_type="+1")
    answer = browser.get(reverse("audit-export"), {"action": "study.view"})
    text = answer.content.decode("utf-8-sig")
    rows = list(csv.DictReader(StringIO(text)))
    assert rows[0]["actor"] == '\'=HYPERLINK("http://x")'
    assert rows[0]["object_id"] == "'@sum" and rows[0]["object_type"] == "'+1"
    assert AuditEvent.objects.filter(action="audit.export").exists()


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\tx", "\rx", "\nx"])
def test_a_cell_that_begins_like_a_formula_becomes_text(text: str) -> None:
    assert plain_cell(text) == f"'{text}"


def test_markup_in_the_log_stays_text(browser: Client) -> None:
    record(Actor(label="<script>alert(1)</script>"), "study.view", object_id='"><img src=x>')
    page = browser.get(reverse("audit")).content.decode()
    assert "<script>alert" not in page and "<img" not in page
