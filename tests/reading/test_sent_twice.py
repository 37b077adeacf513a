"""What a reader did reaches the server at least once and is done once: decisions and findings by the key that their
request carries, one after the other or at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse

from cad_platform.accounts.models import Role
from cad_platform.analysis.models import Finding
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, NotPermitted, PlatformError
from cad_platform.core.request_keys import KeyReused
from cad_platform.reading import report_standing, services
from cad_platform.reading.models import FindingDecision
from cad_platform.studies.models import Instance
from tests import factories as make

pytestmark = pytest.mark.django_db(transaction=True)
JSON = {"Accept": "application/json"}


@pytest.fixture
def reader() -> Actor:
    return make.actor(Role.RADIOLOGIST, make.site())


@pytest.fixture
def colleague(reader: Actor) -> Actor:
    return make.actor(Role.RADIOLOGIST, reader.user.site)


@pytest.fixture
def image(reader: Actor) -> Instance:
    return make.instance(make.study(reader.user.site))


@pytest.fixture
def finding(image: Instance) -> Finding:
    return make.finding(image, make.succeeded_job(image.series.study))


def at_once(*actions: Callable[[], Any]) -> list[Any]:
    """What came of each, an error included, begun in the same moment in threads of their own."""
    start, outcomes = threading.Barrier(len(actions)), [None] * len(actions)

    def run(number: int, action: Callable[[], Any]) -> None:
        start.wait()
        try:
            outcomes[number] = action()
        except PlatformError as refusal:
            outcomes[number] = refusal
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=each) for each in enumerate(actions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return outcomes


@pytest.mark.parametrize("verdict", ["accepted", "edited", "rejected", "undecided"])
def test_a_decision_sent_twice_is_made_once(reader: Actor, finding: Finding, verdict: str) -> None:
    key = uuid4()
    made = [
        services.decide(reader, finding, verdict, reason="Fat", box=[1, 1, 50, 50], request_key=key)
        for _ in range(2)
    ]
    assert made[0] == made[1] and FindingDecision.objects.count() == 1
    assert AuditEvent.objects.filter(action="finding.decide").count() == 1


def test_the_same_decision_at_the_same_moment_is_made_once(reader: Actor, finding: Finding) -> None:
    key = uuid4()
    made = at_once(*[lambda: services.decide(reader, finding, "accepted", request_key=key)] * 4)
    assert len({decision.pk for decision in made}) == 1 and FindingDecision.objects.count() == 1


def test_one_key_at_the_same_moment_in_two_cases_is_one_of_them(reader: Actor, finding: Finding) -> None:
    other_image = make.instance(make.study(reader.user.site))
    other = make.finding(other_image, make.succeeded_job(other_image.series.study))
    key = uuid4()
    outcomes = at_once(
        lambda: services.decide(reader, finding, "accepted", request_key=key),
        lambda: services.decide(reader, other, "accepted", request_key=key),
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["FindingDecision", "KeyReused"]
    assert FindingDecision.objects.count() == 1


def test_what_is_sent_again_after_signing_is_answered_as_it_was(reader: Actor, finding: Finding) -> None:
    key = uuid4()
    first = services.decide(reader, finding, "accepted", request_key=key)
    with transaction.atomic():
        report_standing.report_signed(finding.study, first.decided_at, {})
    assert services.decide(reader, finding, "accepted", request_key=key) == first
    with pytest.raises(Conflict, match="signed"):
        services.decide(reader, finding, "undecided", request_key=uuid4())


def test_a_key_of_a_colleague_or_of_another_finding_is_refused(
    reader: Actor, colleague: Actor, image: Instance, finding: Finding
) -> None:
    key = uuid4()
    services.decide(reader, finding, "accepted", request_key=key)
    with pytest.raises(KeyReused):
        services.decide(colleague, finding, "accepted", request_key=key)
    with pytest.raises(KeyReused):
        services.decide(reader, make.finding(image, finding.job), "accepted", request_key=key)
    assert FindingDecision.objects.count() == 1


def test_who_may_not_decide_learns_nothing_by_a_key(reader: Actor, finding: Finding) -> None:
    key = uuid4()
    services.decide(reader, finding, "accepted", request_key=key)
    with pytest.raises(NotPermitted):
        services.decide(make.actor(Role.PATHOLOGIST, reader.user.site), finding, "accepted", request_key=key)


def test_a_finding_sent_twice_or_at_once_is_one(reader: Actor, colleague: Actor, image: Instance) -> None:
    key, study = uuid4(), image.series.study

    def add(by: Actor = reader) -> Finding:
        return services.add_finding(by, study, image, [1, 1, 50, 50], "mass", request_key=key)

    made = at_once(*[add] * 3)
    assert {finding.pk for finding in [*made, add()]} == {Finding.objects.get().pk}
    with pytest.raises(KeyReused):
        add(by=colleague)
    other = services.add_finding(reader, study, image, [1, 1, 50, 50], "mass", request_key=uuid4())
    assert other.number == 2


class TestDecidedMeanwhile:
    """A decision that waited for the server covers no later word of a colleague unseen."""

    def test_is_told_with_the_name_and_the_verdict(
        self, reader: Actor, colleague: Actor, finding: Finding
    ) -> None:
        services.decide(colleague, finding, "rejected", reason="Skin fold")
        with pytest.raises(Conflict, match=f"{colleague.user.printed_name}.*Rejected") as refused:
            services.decide(reader, finding, "accepted", seen="")
        assert refused.value.code == "decided_meanwhile"

    def test_is_no_matter_where_it_was_seen_or_not_asked(
        self, reader: Actor, colleague: Actor, finding: Finding
    ) -> None:
        theirs = services.decide(colleague, finding, "rejected", reason="Skin fold")
        assert services.decide(reader, finding, "accepted", seen=str(theirs.pk))
        # One's own word in between is known.
        assert services.decide(reader, finding, "undecided", seen=str(theirs.pk))
        assert services.decide(colleague, finding, "accepted")


class TestOverHttp:
    @pytest.fixture
    def browser(self, reader: Actor) -> Client:
        client = Client(headers=JSON)
        client.force_login(reader.user)
        return client

    def test_both_answers_show_the_case_as_it_is(self, browser: Client, finding: Finding) -> None:
        address = reverse("finding-decide", args=[finding.study.study_instance_uid, finding.pk])
        form = {"verdict": "accepted", "request_key": str(uuid4()), "seen": ""}
        answers = [browser.post(address, form) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 200]
        assert all("finding--accepted" in answer.json()["live"] for answer in answers)
        assert FindingDecision.objects.count() == 1

    def test_a_refusal_says_its_sentence_and_code_as_json(self, browser: Client, finding: Finding) -> None:
        address = reverse("finding-decide", args=[finding.study.study_instance_uid, finding.pk])
        no_reason = browser.post(address, {"verdict": "rejected", "request_key": str(uuid4())})
        assert no_reason.status_code == 422 and no_reason["Content-Type"] == "application/problem+json"
        assert no_reason.json()["errors"][0]["field"] == "reason"
        no_key = browser.post(address, {"verdict": "accepted", "request_key": "7"})
        assert (no_key.status_code, no_key.json()["type"]) == (422, "urn:cad:problem:invalid")
        gone = reverse("finding-decide", args=[finding.study.study_instance_uid, uuid4()])
        assert browser.post(gone, {"verdict": "accepted"}).json()["status"] == 404
        assert not FindingDecision.objects.exists()

    def test_the_list_names_the_decision_that_was_seen(self, browser: Client, finding: Finding) -> None:
        made = services.decide(make.actor(Role.RADIOLOGIST, finding.study.site), finding, "accepted")
        page = browser.get(
            reverse("case", args=[finding.study.study_instance_uid]), headers={"Accept": "text/html"}
        )
        assert f'data-decided="{made.pk}"' in page.content.decode()
