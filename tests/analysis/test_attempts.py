"""Claims, leases and what becomes of a job when an attempt ends well, badly or not at all."""

from __future__ import annotations

import threading
import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from cad_platform.accounts.models import Role
from cad_platform.analysis import again, services, transitions
from cad_platform.analysis.models import AnalysisJob, JobAttempt
from cad_platform.analysis.sweeper import sweep
from cad_platform.audit.models import AuditEvent
from cad_platform.core import proofs
from cad_platform.core.errors import Conflict, NotPermitted
from cad_platform.core.models import OutboxEvent
from cad_platform.registry.health import component_of
from cad_platform.studies.models import Study
from tests import factories
from tests.analysis.conftest import MakeStudy
from tests.claims import begin

State, Outcome = AnalysisJob.State, JobAttempt.Outcome


@pytest.fixture
def job(ultrasound_study: MakeStudy) -> AnalysisJob:
    (job,) = services.request_analyses(ultrasound_study().pk)
    return job


def claimed(job: AnalysisJob) -> services.Claim:
    AnalysisJob.objects.filter(pk=job.pk).update(available_at=timezone.now())
    claim = services.claim(job.pk, "worker-1")
    assert claim is not None
    return claim


def let_lease_run_out(job: AnalysisJob) -> None:
    AnalysisJob.objects.filter(pk=job.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))


def now(job: AnalysisJob) -> AnalysisJob:
    return AnalysisJob.objects.get(pk=job.pk)


def outcomes(job: AnalysisJob) -> list[str]:
    return list(job.attempts.values_list("outcome", flat=True))


def withdraw(job: AnalysisJob) -> None:
    study = Study.objects.filter(pk=job.study_id)
    study.update(withdrawn_at=timezone.now(), withdrawn_reason="wrong patient")


@pytest.mark.django_db
class TestClaim:
    def test_it_is_committed_with_a_number_a_worker_and_a_lease(self, job: AnalysisJob) -> None:
        claim = claimed(job)
        attempt = JobAttempt.objects.get(job=job)
        assert (claim.attempt, attempt.number, attempt.worker) == (1, 1, "worker-1")
        assert now(job).state == State.RUNNING
        assert now(job).lease_expires_at > timezone.now()

    def test_a_running_job_is_not_claimed_again(self, job: AnalysisJob) -> None:
        claimed(job)
        assert services.claim(job.pk, "worker-2") is None

    def test_a_job_that_is_not_due_is_left(self, job: AnalysisJob) -> None:
        AnalysisJob.objects.filter(pk=job.pk).update(available_at=timezone.now() + timedelta(minutes=1))
        assert services.claim(job.pk, "worker-1") is None

    def test_an_unknown_job_is_none(self) -> None:
        assert services.claim(uuid.uuid4(), "worker-1") is None

    def test_beginning_with_a_study_claims_its_job_at_once(self, ultrasound_study: MakeStudy) -> None:
        study = ultrasound_study()
        claim = begin(study.pk, "worker-1")
        assert claim is not None and claim.job.state == State.RUNNING
        assert [instance.series.study_id for instance in claim.instances] == [study.pk]
        assert begin(study.pk, "worker-2") is None
        assert outcomes(claim.job) == [Outcome.RUNNING]

    def test_a_withdrawn_study_cancels_it(self, job: AnalysisJob) -> None:
        withdraw(job)
        assert services.claim(job.pk, "worker-1") is None
        assert (now(job).state, now(job).reason) == (State.CANCELLED, "the study was withdrawn")


@pytest.mark.django_db(transaction=True)
def test_of_many_workers_one_gets_the_job(job: AnalysisJob) -> None:
    claims: list[services.Claim | None] = []
    gate = threading.Barrier(6)

    def work(number: int) -> None:
        gate.wait()
        claims.append(services.claim(job.pk, f"worker-{number}"))
        connection.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(claim is not None for claim in claims) == 1
    assert job.attempts.count() == 1


@pytest.mark.django_db
class TestLease:
    def test_renewing_extends_it(self, job: AnalysisJob) -> None:
        claim = claimed(job)
        soon = timezone.now() + timedelta(seconds=1)
        AnalysisJob.objects.filter(pk=job.pk).update(lease_expires_at=soon)
        assert services.renew(claim)
        assert now(job).lease_expires_at > soon

    def test_one_that_ran_out_is_not_renewed(self, job: AnalysisJob) -> None:
        claim = claimed(job)
        let_lease_run_out(job)
        assert not services.renew(claim)

    def test_the_sweeper_takes_over_and_the_job_is_queued_at_once(self, job: AnalysisJob) -> None:
        claim = claimed(job)
        let_lease_run_out(job)
        assert sweep().taken_over == 1
        assert (now(job).state, outcomes(job)) == (State.REQUESTED, [Outcome.LOST])
        event = OutboxEvent.objects.filter(topic=transitions.REQUESTED_TOPIC).latest("pk")
        assert event.payload == {"queue": "short"}
        assert services.claim(job.pk, "worker-2") is not None
        assert not services.renew(claim)

    def test_a_lease_that_holds_is_left_alone(self, job: AnalysisJob) -> None:
        claimed(job)
        assert sweep().taken_over == 0

    def test_what_a_superseded_attempt_found_is_not_kept(self, job: AnalysisJob) -> None:
        old = claimed(job)
        let_lease_run_out(job)
        sweep()
        services.claim(job.pk, "worker-2")
        assert not services.conclude(old, State.FAILED, "an old opinion")
        assert not services.give_back(old, "an old opinion", away=False)
        assert now(job).state == State.RUNNING

    def test_a_job_that_kills_its_workers_fails_in_the_end(self, job: AnalysisJob, settings) -> None:
        settings.JOB_MAX_ATTEMPTS = 3
        for _ in range(3):
            claimed(job)
            let_lease_run_out(job)
            sweep()
        assert (now(job).state, now(job).retryable) == (State.FAILED, True)
        assert now(job).reason == "the worker stopped answering (3 attempts)"


@pytest.mark.django_db
class TestGivingBack:
    def test_it_waits_before_the_next_attempt(self, job: AnalysisJob) -> None:
        services.give_back(claimed(job), "the model server does not answer", away=True)
        assert (now(job).state, outcomes(job)) == (State.REQUESTED, [Outcome.AWAY])
        assert now(job).available_at <= timezone.now() + timedelta(seconds=30)

    def test_a_server_that_is_away_costs_no_attempts(self, job: AnalysisJob, settings) -> None:
        settings.JOB_MAX_ATTEMPTS = 3
        for _ in range(10):
            services.give_back(claimed(job), "the model server does not answer", away=True)
        assert now(job).state == State.REQUESTED

    def test_but_not_for_ever(self, job: AnalysisJob, settings) -> None:
        settings.JOB_PATIENCE = timedelta(hours=2)
        AnalysisJob.objects.filter(pk=job.pk).update(requested_at=timezone.now() - timedelta(hours=3))
        services.give_back(claimed(job), "the model server does not answer", away=True)
        assert (now(job).state, now(job).retryable) == (State.FAILED, True)
        assert "given up after 2:00:00" in now(job).reason

    def test_a_server_that_answers_others_is_not_away(self, job: AnalysisJob, settings) -> None:
        """A picture on which the server breaks must not be tried for days."""
        settings.JOB_MAX_ATTEMPTS = 3
        for _ in range(3):
            claim = claimed(job)
            proofs.succeeded(component_of(job.model_version))
            services.give_back(claim, "the model server does not answer: status 500", away=True)
        assert (now(job).state, set(outcomes(job))) == (State.FAILED, {Outcome.FAILED})

    def test_failures_of_the_job_itself_are_counted(self, job: AnalysisJob, settings) -> None:
        settings.JOB_MAX_ATTEMPTS = 2
        services.give_back(claimed(job), "an unexpected error (ValueError)", away=False)
        assert now(job).state == State.REQUESTED
        services.give_back(claimed(job), "an unexpected error (ValueError)", away=False)
        assert (now(job).state, now(job).reason) == (
            State.FAILED, "an unexpected error (ValueError) (2 attempts)",
        )  # fmt: skip

    def test_the_sweeper_queues_it_when_it_is_due(self, job: AnalysisJob) -> None:
        services.give_back(claimed(job), "away", away=True)
        AnalysisJob.objects.filter(pk=job.pk).update(available_at=timezone.now() + timedelta(minutes=1))
        assert sweep().queued == 0
        AnalysisJob.objects.filter(pk=job.pk).update(available_at=timezone.now())
        assert sweep().queued == 1
        assert sweep().queued == 0, "one message is enough for a minute"


@pytest.mark.django_db
class TestNothingIsLost:
    def test_a_message_that_led_nowhere_is_sent_again(self, job: AnalysisJob) -> None:
        AnalysisJob.objects.filter(pk=job.pk).update(queued_at=timezone.now() - timedelta(minutes=2))
        assert sweep().queued == 1

    def test_a_study_whose_event_was_lost_is_noticed(self, ultrasound_study: MakeStudy) -> None:
        study = ultrasound_study()
        assert sweep().unnoticed == 0, "its event may still come"
        Study.objects.filter(pk=study.pk).update(completed_at=timezone.now() - timedelta(minutes=1))
        assert sweep().unnoticed == 1
        assert AnalysisJob.objects.filter(study=study, state=State.REQUESTED).count() == 1
        event = OutboxEvent.objects.get(topic=transitions.REQUESTED_TOPIC)
        assert event.payload == {"queue": "short"}

    def test_open_jobs_of_a_withdrawn_study_are_cancelled(self, job: AnalysisJob) -> None:
        claim = claimed(job)
        withdraw(job)
        assert sweep().cancelled == 1
        assert (now(job).state, outcomes(job)) == (State.CANCELLED, [Outcome.CANCELLED])
        assert not services.renew(claim)


@pytest.mark.django_db
class TestRetry:
    @pytest.fixture
    def failed(self, job: AnalysisJob) -> AnalysisJob:
        services.conclude(claimed(job), State.FAILED, "the file is damaged")
        return now(job)

    def test_an_administrator_has_it_tried_again(self, failed: AnalysisJob) -> None:
        administrator = factories.actor(Role.ADMINISTRATOR)
        job = again.retry(administrator, failed)
        assert (job.state, job.reason, job.finished_at) == (State.REQUESTED, "", None)
        assert OutboxEvent.objects.filter(topic=transitions.REQUESTED_TOPIC).exists()
        event = AuditEvent.objects.get(action="job.retry")
        assert (event.actor_label, event.detail["study"]) == (administrator.label, str(failed.study_id))
        assert services.claim(job.pk, "worker-2").attempt == 2

    def test_earlier_failures_no_longer_count(self, failed: AnalysisJob, settings) -> None:
        settings.JOB_MAX_ATTEMPTS = 2
        job = again.retry(factories.actor(Role.ADMINISTRATOR), failed)
        services.give_back(claimed(job), "an unexpected error (ValueError)", away=False)
        assert now(job).state == State.REQUESTED

    def test_a_clinician_may_not(self, failed: AnalysisJob) -> None:
        with pytest.raises(NotPermitted):
            again.retry(factories.actor(Role.RADIOLOGIST, failed.study.site), failed)

    def test_only_a_failed_job(self, job: AnalysisJob) -> None:
        with pytest.raises(Conflict, match="Only a failed job"):
            again.retry(factories.actor(Role.ADMINISTRATOR), job)

    def test_not_for_a_withdrawn_study(self, failed: AnalysisJob) -> None:
        withdraw(failed)
        with pytest.raises(Conflict, match="withdrawn"):
            again.retry(factories.actor(Role.ADMINISTRATOR), failed)


@pytest.mark.django_db
def test_an_ended_job_never_runs_again(job: AnalysisJob) -> None:
    services.conclude(claimed(job), State.NOT_APPLICABLE, "not analysed: no stained tissue was found")
    with pytest.raises(RuntimeError, match="not_applicable to running"):
        transitions.move(now(job), State.RUNNING)
