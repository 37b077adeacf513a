"""The page of an open case asks every few seconds whether anything changed: a cheap question, and never a wrong no."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from cad_platform.accounts.models import Role
from cad_platform.analysis.models import AnalysisJob, Finding
from cad_platform.core.actor import Actor
from cad_platform.reading import report_standing, services
from cad_platform.registry.models import ModelVersion
from cad_platform.reporting import services as drafts
from cad_platform.studies.models import Instance, Study
from cad_platform.studies.services import withdraw
from cad_platform.studies.side_confirmation import confirm_side
from tests import factories as make

pytestmark = pytest.mark.django_db


@pytest.fixture
def reader() -> Actor:
    return make.actor(Role.RADIOLOGIST, make.site())


@pytest.fixture
def study(reader: Actor) -> Study:
    study = make.study(reader.user.site)
    make.finding(make.instance(study), make.succeeded_job(study))
    return study


@pytest.fixture
def browser(reader: Actor) -> Client:
    client = Client(headers={"HX-Request": "true"})
    client.force_login(reader.user)
    return client


def seen(page: Any) -> str:
    found = re.search(r'name="seen" value="(\w+)"', page.content.decode())
    assert found
    return found[1]


def switch_version(study: Study) -> None:
    ModelVersion.objects.filter(jobs__study=study).update(is_default=False)


def fail_jobs(study: Study) -> None:
    AnalysisJob.objects.filter(study=study).update(state="failed", reason="away", result=None, score=None)


def sign(study: Study) -> None:
    report_standing.report_signed(study, timezone.now(), {})


CHANGES: dict[str, Callable[[Actor, Study], object]] = {
    "decided": lambda reader, study: services.decide(reader, Finding.objects.get(study=study), "accepted"),
    "decided anew": lambda reader, study: services.decide(
        reader, Finding.objects.get(study=study), "rejected", reason="skin fold"
    ),
    "drawn": lambda reader, study: make.finding(make.instance(study), author=reader.user),
    "failed": lambda _, study: fail_jobs(study),
    "another version in use": lambda _, study: switch_version(study),
    "signed": lambda _, study: sign(study),
    "addendum begun": lambda _, study: report_standing.draft_begun(study),
    "side put right": lambda reader, study: confirm_side(
        reader, Instance.objects.get(series__study=study), "R", "marker in the picture"
    ),
    "withdrawn": lambda reader, study: withdraw(reader, study, "wrong patient"),
}


def test_an_unchanged_case_is_not_composed(browser: Client, study: Study) -> None:
    page = browser.get(reverse("case", args=[study.study_instance_uid]))
    live = reverse("case-live", args=[study.study_instance_uid])
    with CaptureQueriesContext(
        connection,
    ) as asked:
        answer = browser.get(live, {"seen": seen(page)})
    assert answer.status_code == 204
    # Session, user, lock with the site's time; study; routes, jobs, findings, measurements, standing with the sides. No
    # result, no image, no template.
    assert len(asked) <= 9
    assert not any('"result"' in query["sql"] for query in asked)
    assert answer.templates == []


def test_what_pages_ask_by_themselves_is_cheap(browser: Client, reader: Actor, study: Study) -> None:
    """Of every open page, every few seconds, while nothing happens."""
    report = drafts.open_draft(reader, study)
    asks: dict[str, Callable[[], Any]] = {
        "session": lambda: browser.get(reverse("session-state")),
        "activity": lambda: browser.post(reverse("session-activity")),
        "presence": lambda: browser.post(reverse("report-presence", args=[report.pk])),
    }
    counted: dict[str, int] = {}
    for name, ask in asks.items():
        ask()
        with CaptureQueriesContext(connection) as asked:
            assert ask().status_code in (200, 204)
        counted[name] = len([each for each in asked if "SAVEPOINT" not in each["sql"]])
    assert all(count <= 8 for count in counted.values()), counted


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_is_shown_by_the_next_poll(
    browser: Client, reader: Actor, study: Study, change: str
) -> None:
    page = browser.get(reverse("case", args=[study.study_instance_uid]))
    live = reverse("case-live", args=[study.study_instance_uid])
    if change in {"decided anew", "addendum begun"}:
        CHANGES["decided" if change == "decided anew" else "signed"](reader, study)
        page = browser.get(live, {"seen": "nothing"})
    CHANGES[change](reader, study)
    answer = browser.get(live, {"seen": seen(page)})
    assert answer.status_code == 200
    assert browser.get(live, {"seen": seen(answer)}).status_code == 204


def test_a_worker_that_holds_on_to_its_job_changes_nothing(browser: Client, study: Study) -> None:
    page = browser.get(reverse("case", args=[study.study_instance_uid]))
    AnalysisJob.objects.filter(study=study).update(lease_expires_at=timezone.now())
    answer = browser.get(reverse("case-live", args=[study.study_instance_uid]), {"seen": seen(page)})
    assert (answer.status_code, answer.templates) == (204, [])


def test_another_sites_case_is_not_there(study: Study) -> None:
    stranger = Client()
    stranger.force_login(make.user(Role.RADIOLOGIST, make.site()))
    assert stranger.get(reverse("case-live", args=[study.study_instance_uid])).status_code == 404
