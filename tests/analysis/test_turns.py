"""What is claimed next: stat, urgent, routine, then age; nobody waits for ever; two workers get two jobs."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from cad_platform.analysis import services, tasks, turns
from cad_platform.analysis.models import AnalysisJob, JobAttempt
from cad_platform.core.models import OutboxEvent
from cad_platform.core.queues import MAINTENANCE, SHORT, SLIDE, route
from cad_platform.studies.models import Study
from tests import factories

State = AnalysisJob.State
PRIORITIES = ["stat", "urgent", "routine"]


def waiting(priority: str = "routine", minutes: float = 0, queue: str = SHORT, **values: Any) -> AnalysisJob:
    """A job that was asked for so many minutes ago."""
    study = factories.study(_site(), "US", priority=priority)
    return AnalysisJob.objects.create(
        study=study,
        content_hash=study.content_hash,
        model_version=_version(),
        queue=queue,
        requested_at=timezone.now() - timedelta(minutes=minutes),
        **values,
    )


def _site() -> Any:
    from cad_platform.accounts.models import Site

    return Site.objects.first() or factories.site()


def _version() -> Any:
    from cad_platform.registry.models import ModelVersion

    return ModelVersion.objects.first() or factories.model_version()


def claimed(queue: str = SHORT) -> list[Any]:
    """The jobs of a queue in the order in which a lone worker takes them."""
    taken = []
    while (claim := services.claim_next(queue, "worker")) is not None:
        taken.append(claim.job.pk)
    return taken


@pytest.mark.django_db
class TestOrder:
    def test_stat_urgent_routine_then_age(self) -> None:
        jobs = {
            name: waiting(priority, minutes)
            for name, priority, minutes in (
                ("young routine", "routine", 1), ("old routine", "routine", 5), ("urgent", "urgent", 2),
                ("young stat", "stat", 0), ("old stat", "stat", 3),
            )
        }  # fmt: skip
        wanted = ["old stat", "young stat", "urgent", "old routine", "young routine"]
        assert claimed() == [jobs[name].pk for name in wanted]

    def test_what_became_urgent_while_it_waited_is_urgent(self) -> None:
        first, second = waiting(minutes=2), waiting(minutes=1)
        Study.objects.filter(pk=second.study_id).update(priority="stat")
        assert claimed() == [second.pk, first.pk]

    def test_what_is_not_due_waits(self) -> None:
        waiting("stat", available_at=timezone.now() + timedelta(minutes=1))
        due = waiting("routine")
        assert claimed() == [due.pk]

    def test_each_queue_has_its_own(self) -> None:
        slide, image = waiting("stat", queue=SLIDE), waiting("routine")
        assert claimed(SHORT) == [image.pk]
        assert claimed(SLIDE) == [slide.pk]

    def test_one_tried_again_by_a_person_counts_anew(self) -> None:
        again = waiting(minutes=60, restarted_at=timezone.now())
        other = waiting(minutes=5)
        assert claimed() == [other.pk, again.pk]

    def test_the_oldest_gets_one_claim_in_five_once_it_has_waited_long(self) -> None:
        for _ in range(turns.AGE_EVERY):  # nobody had waited long
            waiting()
        claimed()
        old = waiting("routine", minutes=60)
        stats = [waiting("stat", minutes) for minutes in (3, 2, 1)]
        taken = claimed()
        assert taken == [old.pk, *(job.pk for job in stats)], "the latest four were none by age"
        older, old = waiting("routine", minutes=90), waiting("routine", minutes=60)
        stats = [waiting("stat", minutes) for minutes in (9, 8, 7, 6, 5, 4)]
        # One by age was four claims ago: the next by age comes after one more.
        taken = claimed()
        assert taken.index(older.pk) <= 1
        assert taken.index(old.pk) == taken.index(older.pk) + turns.AGE_EVERY
        by_age = JobAttempt.objects.filter(by_age=True).values_list("job_id", flat=True)
        assert set(by_age) >= {older.pk, old.pk}


@dataclass(frozen=True)
class Told:
    """A waiting job as the rule sees it."""

    urgency: int
    since: datetime
    key: Any


def expected(jobs: Sequence[Told], now: datetime) -> Iterator[Any]:
    """The rule again, in Python."""
    left, by_age = list(jobs), []
    while left:
        first = min(left, key=lambda job: (job.urgency, job.since, job.key))
        chosen, aged = first, [job for job in left if now - job.since >= timedelta(minutes=10)]
        turn = False
        if aged and not any(by_age[-(turns.AGE_EVERY - 1) :]):
            oldest = min(aged, key=lambda job: (job.since, job.key))
            turn, chosen = oldest != first, oldest
        by_age.append(turn)
        left.remove(chosen)
        yield chosen.key


class TestProperties(TestCase):
    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        st.lists(
            st.tuples(st.sampled_from(PRIORITIES), st.sampled_from([0, 1, 2, 5, 9, 11, 30, 300])),
            min_size=1,
            max_size=9,
        )
    )
    def test_the_database_keeps_the_rule(self, drawn: list[tuple[str, int]]) -> None:
        jobs = [(waiting(priority, minutes), priority) for priority, minutes in drawn]
        told = [Told(PRIORITIES.index(priority), job.requested_at, job.pk) for job, priority in jobs]
        taken = claimed()
        assert taken == list(expected(told, timezone.now()))
        # Who has waited long is taken within five claims for each that has waited longer.
        oldest = sorted(told, key=lambda job: (job.since, job.key))
        for place, job in enumerate(oldest):
            if timezone.now() - job.since >= timedelta(minutes=10):
                assert taken.index(job.key) < turns.AGE_EVERY * (place + 1)
        # A stat job is late by one job at most for each five, whatever the backlog.
        stats = [place for place, key in enumerate(taken) if dict(_by_key(told))[key].urgency == 0]
        for count, place in enumerate(stats):
            assert place <= count + 1 + (count + 1) // (turns.AGE_EVERY - 1)


def _by_key(told: Sequence[Told]) -> Iterator[tuple[Any, Told]]:
    return ((job.key, job) for job in told)


@pytest.mark.django_db(transaction=True)
class TestTogether:
    def test_workers_that_ask_at_once_get_different_jobs(self) -> None:
        jobs = {waiting(PRIORITIES[number % 3], number).pk for number in range(12)}
        gate = threading.Barrier(4)
        taken: list[Any] = []

        def work() -> None:
            gate.wait()
            taken.extend(claimed())
            connection.close()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(taken) == 12 and set(taken) == jobs
        assert JobAttempt.objects.count() == 12

    def test_a_study_that_somebody_holds_delays_nobody_else_and_is_not_lost(self) -> None:
        held, free = waiting("stat"), waiting("routine")
        locked, let_go = threading.Event(), threading.Event()

        def hold() -> None:
            with transaction.atomic():
                Study.objects.select_for_update().get(pk=held.study_id)
                locked.set()
                let_go.wait(30)
            connection.close()

        thread = threading.Thread(target=hold)
        thread.start()
        assert locked.wait(30)
        claim = services.claim_next(SHORT, "worker")
        assert claim is not None and claim.job.pk == free.pk
        threading.Timer(0.3, let_go.set).start()
        claim = services.claim_next(SHORT, "worker")
        assert claim is not None and claim.job.pk == held.pk, "its call is not lost: it is waited for"
        thread.join()


class TestRoutes:
    """Sweeps and probes never stand behind slides."""

    def test_calls_go_to_the_queue_of_their_work(self) -> None:
        assert [route("analysis.run", (), {"queue": queue})["queue"] for queue in (SHORT, SLIDE)] == [
            SHORT,
            SLIDE,
        ]

    def test_news_come_before_calls(self) -> None:
        news, call = route("analysis.study_complete"), route("analysis.run", (), {"queue": SHORT})
        assert news["queue"] == SHORT and news["priority"] < call["priority"]

    def test_whatever_else_there_is_goes_to_maintenance(self) -> None:
        from cad_platform.config.celery import app

        app.loader.import_default_modules()
        own = {name for name in app.tasks if not name.startswith("celery.")}
        assert {name for name in own if route(name)["queue"] != MAINTENANCE} == {
            "analysis.study_complete", "analysis.run", "analysis.run_shadows", "operations.answer_probe",
            "quality.measure_acceptance", "learning.train",
        }  # fmt: skip
        assert "analysis.sweep" in own

    def test_celery_sends_by_these_routes(self) -> None:
        from cad_platform.config.celery import app

        sent = app.amqp.router.route({}, "analysis.run", (), {"queue": SLIDE})
        assert (sent["queue"].name, sent["queue"].routing_key, sent["priority"]) == (SLIDE, SLIDE, 9)
        assert app.amqp.router.route({}, "analysis.sweep", (), {})["queue"].name == MAINTENANCE
        assert list(app.amqp.queues) == [MAINTENANCE, SHORT, SLIDE]


@pytest.mark.django_db
def test_a_slide_is_work_of_another_kind(models: dict[str, Any]) -> None:
    study = factories.study(factories.site(), "SM")
    factories.instance(study, view="", laterality="", kind="slide", pixel_spacing_um=0.5)
    assert tasks.study_complete(str(study.pk)) == "not claimed", "no slide in the workers of images"
    job = AnalysisJob.objects.get(study=study)
    assert (job.queue, job.state) == (SLIDE, State.REQUESTED)
    assert OutboxEvent.objects.get(topic="analysis.requested").payload == {"queue": SLIDE}


@pytest.mark.django_db
class TestBegun:
    """The news of a study and the claim of its job in one transaction, where nobody else waits."""

    @pytest.fixture
    def study(self, models: dict[str, Any]) -> Study:
        study = factories.study(factories.site(), "US")
        factories.instance(study, view="", laterality="L")
        return study

    def test_alone_it_is_claimed_at_once(self, study: Study) -> None:
        waiting(queue=SLIDE)
        claim = services.begin(study.pk, "worker")
        assert claim is not None and claim.job.study_id == study.pk
        assert not OutboxEvent.objects.filter(topic="analysis.requested").exists()
        assert services.begin(study.pk, "worker") is None, "taken already"

    @pytest.mark.parametrize("priority", ["stat", "routine"])
    def test_behind_another_whose_turn_it_is_is_not_for_it_to_say(self, study: Study, priority: str) -> None:
        other = waiting(priority, minutes=1)
        assert services.begin(study.pk, "worker") is None
        assert claimed() == [other.pk, AnalysisJob.objects.get(study=study).pk]

    def test_one_that_is_not_due_yet_waits(self, study: Study) -> None:
        (job,) = services.request_analyses(study.pk)
        AnalysisJob.objects.filter(pk=job.pk).update(available_at=timezone.now() + timedelta(minutes=1))
        assert services.begin(study.pk, "worker") is None
