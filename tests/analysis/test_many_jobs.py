"""Choosing jobs on their page, and what is done to many of them at once."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cad_platform.accounts.models import Role
from cad_platform.analysis import again, bulk, choosing, services, tasks
from cad_platform.analysis.models import AnalysisJob, BulkAction, BulkMember, JobAttempt, Reanalysis
from cad_platform.analysis.sweeper import sweep
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.core.days import NotATime
from cad_platform.core.errors import Conflict, Invalid, NotPermitted
from cad_platform.core.models import OutboxEvent
from cad_platform.core.queues import SHORT
from tests import factories
from tests.analysis.test_turns import waiting

State = AnalysisJob.State
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def administrator() -> Actor:
    return factories.actor(Role.ADMINISTRATOR)


@pytest.fixture
def browser(administrator: Actor) -> Client:
    client = Client()
    client.force_login(administrator.user)
    return client


def failed(reason: str = "the file is damaged", **values: Any) -> AnalysisJob:
    return waiting(state=State.FAILED, reason=reason, **values)


class TestChoosing:
    def test_by_model_version_site_state_reason_and_time(self, administrator: Actor) -> None:
        ours = waiting()
        study = factories.study(factories.site(), "US")
        other = AnalysisJob.objects.create(
            study=study,
            content_hash=study.content_hash,
            model_version=factories.model_version("ultrasound", version="9.0.0"),
            state=State.FAILED,
            reason="the model server does not answer: status 507",
            requested_at=timezone.now() - timedelta(days=10),
        )
        day = (timezone.now() - timedelta(days=10)).date()
        for asked, expected in (
            ({}, {other, ours}),
            ({"model": "ultrasound"}, {other}),
            ({"version": "9.0.0"}, {other}),
            ({"site": study.site.code}, {other}),
            ({"state": "failed"}, {other}),
            ({"state": "open"}, {ours}),
            ({"queue": "slide"}, set()),
            ({"reason": "STATUS 507"}, {other}),
            ({"requested_from": f"{day + timedelta(days=1)}"}, {ours}),
            ({"requested_until": f"{day}"}, {other}),
            ({"requested_from": f"{day}", "requested_until": f"{day}"}, {other}),
        ):
            found = choosing.chosen(administrator, choosing.choice_from(asked))
            assert set(found) == expected, asked

    @pytest.mark.parametrize(
        "asked",
        [
            {"state": "faild"},
            {"queue": "slides"},
            {"requested_from": "yesterday"},
            {"requested_until": "2026-13-01"},
        ],
    )
    def test_a_misspelt_filter_never_means_all(self, asked: dict[str, str]) -> None:
        with pytest.raises((Invalid, NotATime)):
            choosing.choice_from(asked)

    def test_a_clinician_chooses_nothing(self) -> None:
        with pytest.raises(NotPermitted):
            choosing.chosen(factories.actor(), choosing.JobChoice())

    def test_the_page_keeps_the_choice_over_its_pages_and_buttons(self, browser: Client) -> None:
        for _ in range(51):
            failed()
        text = browser.get(reverse("jobs"), {"state": "failed", "reason": "damaged"}).content.decode()
        assert "51 jobs fit the choice." in text
        assert "?state=failed&amp;reason=damaged&amp;page=2" in text
        assert f"{reverse('jobs-many', args=['retry'])}?state=failed&amp;reason=damaged" in text

    def test_the_page_says_how_long_each_queue_is(self, browser: Client) -> None:
        waiting("stat", minutes=3)
        waiting("routine", minutes=3, queue="slide")
        text = browser.get(reverse("jobs")).content.decode().split("filters--many")[0]
        assert text.count("3 min") == 2 and text.count(">Late<") == 1

    def test_the_page_says_what_each_worker_does(self, browser: Client) -> None:
        waiting()
        assert "at work" not in browser.get(reverse("jobs")).content.decode()
        assert services.claim_next(SHORT, "host-7:41") is not None
        text = browser.get(reverse("jobs")).content.decode()
        assert "1 worker is at work" in text and "host-7:41" in text


class TestCancel:
    def test_what_waits_and_what_runs(self, administrator: Actor) -> None:
        waiting_job = waiting()
        claim = services.claim_next(SHORT, "worker")
        assert claim is not None and claim.job.pk == waiting_job.pk
        running, other = waiting_job, waiting()
        for job in (running, other):
            again.cancel(administrator, job)
            job.refresh_from_db()
            assert (job.state, job.reason) == (State.CANCELLED, "an administrator cancelled it")
        assert JobAttempt.objects.get(job=running).outcome == JobAttempt.Outcome.CANCELLED
        assert not services.renew(claim), "its worker notices"
        assert not services.conclude(claim, State.FAILED, "too late")
        told = AuditEvent.objects.filter(action="job.cancel_asked", actor_label=administrator.label)
        assert told.count() == 2

    def test_not_what_has_ended_and_not_by_a_clinician(self, administrator: Actor) -> None:
        with pytest.raises(Conflict, match="ended already"):
            again.cancel(administrator, failed())
        job = waiting()
        with pytest.raises(NotPermitted):
            again.cancel(factories.actor(Role.RADIOLOGIST, job.study.site), job)

    def test_on_the_page_of_a_job(self, browser: Client) -> None:
        job = waiting()
        assert "Cancel this job" in browser.get(reverse("job", args=[job.pk])).content.decode()
        answer = browser.post(reverse("job-cancel", args=[job.pk]), follow=True).content.decode()
        assert "was cancelled." in answer and "An administrator cancelled it." in answer
        assert "Cancel this job" not in answer


class TestMany:
    def test_failed_ones_are_tried_again_by_a_worker_with_progress(self, browser: Client) -> None:
        jobs = [failed() for _ in range(3)]
        other = failed(reason="another reason")
        url = reverse("jobs-many", args=["retry"])
        page = browser.get(url, {"reason": "damaged"}).content.decode()
        assert "3 jobs fit the choice." in page and "Try 3 jobs again" in page
        answer = browser.post(url, {"reason": "damaged"}, follow=True)
        made = BulkAction.objects.get()
        assert answer.redirect_chain == [(reverse("jobs-action", args=[made.pk]), 302)]
        text = answer.content.decode()
        assert "0 of 3" in text and "hx-get" in text
        assert OutboxEvent.objects.filter(topic=bulk.BULK_TOPIC, payload={"action_id": str(made.pk)}).exists()
        assert AnalysisJob.objects.filter(state=State.FAILED).count() == 4, (
            "nothing is done within the request"
        )
        assert tasks.act(str(made.pk)) == 3
        text = browser.get(reverse("jobs-action-progress", args=[made.pk])).content.decode()
        assert "3 of 3" in text and "hx-get" not in text
        assert {job.pk for job in AnalysisJob.objects.filter(state=State.REQUESTED)} == {
            job.pk for job in jobs
        }
        other.refresh_from_db()
        assert other.state == State.FAILED
        assert AuditEvent.objects.get(action="job.bulk_retry").detail["jobs"] == 3
        assert AuditEvent.objects.filter(action="job.retry").count() == 3

    def test_what_went_on_meanwhile_is_left_alone_and_said(
        self, browser: Client, administrator: Actor
    ) -> None:
        jobs = [waiting() for _ in range(3)]
        made = bulk.ask(administrator, "cancel", AnalysisJob.objects.all(), {})
        claim = services.claim_next(SHORT, "worker")
        assert claim is not None
        services.conclude(claim, State.NOT_APPLICABLE, "not analysed: the study has no images")
        assert bulk.go_on() == 3 and bulk.go_on() == 0
        found = bulk.progress(administrator, made.pk)
        assert (found.total, found.done, found.left, found.percent) == (3, 2, 1, 100)
        text = browser.get(reverse("jobs-action", args=[made.pk])).content.decode()
        assert "1 job had gone on meanwhile and was left as it was." in text
        assert {job.pk for job in AnalysisJob.objects.exclude(state=State.CANCELLED)} == {claim.job.pk}
        assert claim.job in jobs

    def test_the_sweeper_goes_on_when_the_message_is_lost(self, administrator: Actor) -> None:
        waiting()
        bulk.ask(administrator, "cancel", AnalysisJob.objects.all(), {})
        assert sweep().bulk == 1

    def test_two_that_go_on_at_once_do_each_job_once(self, administrator: Actor) -> None:
        for _ in range(8):
            waiting()
        bulk.ask(administrator, "cancel", AnalysisJob.objects.all(), {})
        done: list[int] = []

        def go_on() -> None:
            done.append(bulk.go_on())
            connection.close()

        threads = [threading.Thread(target=go_on) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sum(done) == 8
        assert set(BulkMember.objects.values_list("state", flat=True)) == {"done"}
        assert AuditEvent.objects.filter(action="job.cancel_asked").count() == 8

    def test_nothing_to_do_is_no_action(self, browser: Client, administrator: Actor) -> None:
        factories.succeeded_job(factories.study(factories.site()))
        with pytest.raises(Conflict):
            bulk.ask(administrator, "retry", AnalysisJob.objects.all(), {})
        url = reverse("jobs-many", args=["retry"])
        assert "this can be done to" in browser.get(url).content.decode()
        assert browser.post(url).status_code == 302 and not BulkAction.objects.exists()
        assert browser.get(reverse("jobs-many", args=["delete"])).status_code == 404

    def test_their_studies_are_analysed_again_as_a_set(self, browser: Client) -> None:
        study = factories.study(factories.site())
        factories.instance(study)
        values = {
            "study": study,
            "content_hash": study.content_hash,
            "model_version": factories.model_version(),
        }
        AnalysisJob.objects.create(state=State.FAILED, reason="the file is damaged", **values)
        url = reverse("jobs-many", args=["again"])
        assert "Analyse 1 study again" in browser.get(url, {"reason": "damaged"}).content.decode()
        answer = browser.post(url, {"reason": "damaged"}, follow=True)
        assert answer.redirect_chain == [(reverse("reanalyses"), 302)]
        assert "Chosen on the page of jobs" in answer.content.decode()
        assert Reanalysis.objects.get().members.get().study == study

    def test_a_clinician_does_nothing_to_many(self) -> None:
        job = failed()
        clinician = Client()
        clinician.force_login(factories.user(Role.RADIOLOGIST, job.study.site))
        for kind in ("retry", "cancel", "again"):
            assert clinician.get(reverse("jobs-many", args=[kind])).status_code == 403
            assert clinician.post(reverse("jobs-many", args=[kind])).status_code == 403
        made = bulk.ask(factories.actor(Role.ADMINISTRATOR), "retry", AnalysisJob.objects.all(), {})
        assert clinician.get(reverse("jobs-action", args=[made.pk])).status_code == 403
        assert clinician.get(reverse("jobs-action-progress", args=[made.pk])).status_code == 403
