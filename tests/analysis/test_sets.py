"""Sets of studies analysed again: with the real models, a few at a time, until each member has ended one way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from cad_platform.accounts.models import Role
from cad_platform.analysis import again, runner, services, tasks
from cad_platform.analysis.models import AnalysisJob, ReanalysedStudy, Reanalysis
from cad_platform.analysis.selectors import SetProgress, progress_of, reanalyses, reanalysis
from cad_platform.audit.models import AuditEvent
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, NotFound, NotPermitted
from cad_platform.core.models import OutboxEvent
from cad_platform.core.queues import SHORT
from cad_platform.studies.models import Study
from cad_platform.studies.services import withdraw
from tests import factories
from tests.analysis.conftest import MakeStudy

Rows = Callable[[Any, int], list[Study]]
State = AnalysisJob.State
Member = ReanalysedStudy.State


@pytest.fixture
def reader() -> Actor:
    return factories.actor(Role.RADIOLOGIST, factories.site())


def earlier_result(study: Study, version: str = "0.9.0") -> AnalysisJob:
    """By a version that was in use once."""
    old = factories.model_version("ultrasound", "US", version, is_default=False)
    return AnalysisJob.objects.create(
        study=study,
        model_version=old,
        content_hash=study.content_hash,
        state=State.SUCCEEDED,
        result={"flags": []},
        score=0.9,
        finished_at=timezone.now(),
    )


@pytest.fixture
def rows(ultrasound_study: MakeStudy) -> Rows:
    return lambda at, number: [ultrasound_study(at) for _ in range(number)]


def ask(actor: Actor, studies: Any = None) -> Reanalysis:
    found = Study.objects.filter(modality="US") if studies is None else studies
    return again.reanalyse_set(actor, found, {"state": "all"})


def told(asked: Reanalysis) -> SetProgress:
    (progress,) = progress_of([Reanalysis.objects.get(pk=asked.pk)])
    counts = (progress.waiting, progress.at_work, progress.done, progress.failed, progress.skipped)
    assert sum(counts) == progress.total, "each study is in exactly one of the counts"
    return progress


def end_jobs(state: str = State.FAILED, **fields: Any) -> None:
    AnalysisJob.objects.filter(state__in=[State.REQUESTED, State.RUNNING]).update(
        state=state, reason="damaged", finished_at=timezone.now(), **fields
    )


@pytest.mark.django_db
def test_a_set_goes_from_waiting_to_done_and_earlier_results_stay(
    reader: Actor, ultrasound_study: MakeStudy, models: dict[str, Any]
) -> None:
    studies = [ultrasound_study(reader.user.site) for _ in range(3)]
    before = [earlier_result(study) for study in studies]
    asked = ask(reader)
    assert (told(asked).waiting, told(asked).percent, told(asked).is_open) == (3, 0, True)
    assert OutboxEvent.objects.filter(topic="analysis.again").exists(), "a worker is told"

    assert tasks.go_on(str(asked.pk)) == 3
    assert (told(asked).waiting, told(asked).at_work) == (0, 3)
    jobs = AnalysisJob.objects.filter(state=State.REQUESTED)
    assert {job.model_version_id for job in jobs} == {models["ultrasound"].pk}
    done = [runner.run_next(SHORT) for _ in range(2)]
    assert done == ["succeeded", "succeeded"]
    assert (told(asked).at_work, told(asked).done, told(asked).percent) == (1, 2, 66)
    runner.run_next(SHORT)
    assert (told(asked).done, told(asked).percent, told(asked).is_open) == (3, 100, False)

    for job in before:
        unchanged = AnalysisJob.objects.get(pk=job.pk)
        assert (unchanged.state, unchanged.score, unchanged.result) == (job.state, job.score, job.result)
    with pytest.raises(Conflict, match="No study of this choice needs it"):
        ask(reader)


@pytest.mark.django_db
def test_what_fails_is_counted_and_may_be_asked_for_again(reader: Actor, rows: Rows) -> None:
    rows(reader.user.site, 2)
    first = ask(reader)
    again.go_on()
    end_jobs()
    assert (told(first).failed, told(first).percent, told(first).is_open) == (2, 100, False)
    assert told(ask(reader)).total == 2


@pytest.mark.django_db
def test_never_more_than_a_few_of_a_set_are_at_work(reader: Actor, rows: Rows) -> None:
    number = 2 * again.UNDER_WAY + 3
    rows(reader.user.site, number)
    asked = ask(reader)
    seen = []
    while told(asked).is_open:
        again.go_on()
        again.go_on()
        seen.append(told(asked).at_work)
        end_jobs()
        assert len(seen) < 10
    assert seen == [again.UNDER_WAY, again.UNDER_WAY, 3]
    assert told(asked).failed == number


@pytest.mark.django_db
def test_the_longest_waiting_are_first(reader: Actor, rows: Rows) -> None:
    studies = rows(reader.user.site, again.UNDER_WAY + 1)
    late = timezone.now() + timedelta(hours=1)
    Study.objects.filter(pk=studies[0].pk).update(received_at=late)
    ask(reader)
    again.go_on()
    assert ReanalysedStudy.objects.get(state=Member.WAITING).study_id == studies[0].pk


@pytest.mark.django_db
def test_two_sets_go_on_beside_each_other(reader: Actor, rows: Rows) -> None:
    other = factories.actor(Role.RADIOLOGIST, factories.site())
    for actor in (reader, other):
        rows(actor.user.site, again.UNDER_WAY + 1)
    first, second = ask(reader), ask(other)
    again.go_on()
    for asked in (first, second):
        assert (told(asked).at_work, told(asked).waiting) == (again.UNDER_WAY, 1)
    assert [each.reanalysis.pk for each in reanalyses(reader)] == [first.pk], "nothing of another site"
    administrator = factories.actor(Role.ADMINISTRATOR)
    assert [each.reanalysis.pk for each in reanalyses(administrator)] == [second.pk, first.pk]


@pytest.mark.django_db
def test_a_study_of_two_sets_is_analysed_once(reader: Actor, rows: Rows) -> None:
    """Two people asked in the same moment."""
    (study,) = rows(reader.user.site, 1)
    first = ask(reader)
    second = Reanalysis.objects.create(site=reader.user.site, requested_by=reader.user)
    ReanalysedStudy.objects.create(reanalysis=second, study=study)
    assert again.go_on() == 2
    assert AnalysisJob.objects.count() == 1
    assert OutboxEvent.objects.filter(topic="analysis.requested").count() == 2, (
        "a message too many claims nothing"
    )
    assert told(first).at_work == told(second).at_work == 1
    end_jobs()
    assert told(first).failed == told(second).failed == 1


@pytest.mark.django_db
def test_what_waits_in_an_open_set_is_not_asked_for_twice(reader: Actor, rows: Rows) -> None:
    rows(reader.user.site, 2)
    first = ask(reader)
    assert not again.without_result(Study.objects.all()).exists()
    with pytest.raises(Conflict):
        ask(reader)
    again.stop(reader, first)
    assert told(ask(reader)).total == 2


@pytest.mark.django_db
def test_an_administrators_set_is_of_every_site(reader: Actor, rows: Rows) -> None:
    rows(reader.user.site, 1)
    rows(factories.site(), 1)
    administrator = factories.actor(Role.ADMINISTRATOR)
    assert told(ask(administrator)).total == 2
    assert reanalyses(reader) == []
    with pytest.raises(NotFound):
        reanalysis(reader, Reanalysis.objects.get().pk)


@pytest.mark.django_db
def test_a_clinicians_set_never_leaves_the_site(reader: Actor, rows: Rows) -> None:
    (own,) = rows(reader.user.site, 1)
    rows(factories.site(), 1)
    ask(reader, Study.objects.all())
    assert ReanalysedStudy.objects.get().study_id == own.pk


@pytest.mark.django_db
def test_a_stopped_set_begins_nothing_more_and_finishes_what_has_begun(reader: Actor, rows: Rows) -> None:
    rows(reader.user.site, again.UNDER_WAY + 2)
    asked = ask(reader)
    again.go_on()
    again.stop(reader, asked)
    again.stop(reader, asked)
    assert AuditEvent.objects.filter(action="study.stop_reanalysis").count() == 1
    assert told(asked).is_open, "what has begun is still at work"
    end_jobs()
    assert again.go_on() == 0
    assert (told(asked).waiting, told(asked).failed, told(asked).is_open) == (2, again.UNDER_WAY, False)
    with pytest.raises(NotFound):
        again.stop(factories.actor(Role.RADIOLOGIST, factories.site()), asked)


@pytest.mark.django_db
def test_what_was_withdrawn_or_analysed_meanwhile_is_left_out(
    reader: Actor, ultrasound_study: MakeStudy
) -> None:
    withdrawn, analysed, left = (ultrasound_study(reader.user.site) for _ in range(3))
    asked = ask(reader)
    withdraw(reader, withdrawn, "wrong patient")
    assert tasks.study_complete(str(analysed.pk)) == "succeeded"
    again.go_on()
    assert (told(asked).skipped, told(asked).at_work) == (2, 1)
    states = dict(ReanalysedStudy.objects.values_list("study_id", "state"))
    assert states == {withdrawn.pk: Member.GONE, analysed.pk: Member.UNNEEDED, left.pk: Member.REQUESTED}
    assert AnalysisJob.objects.filter(study=withdrawn).count() == 0


@pytest.mark.django_db
def test_what_the_version_in_use_declined_is_not_counted_as_needing_it(
    reader: Actor, ultrasound_study: MakeStudy
) -> None:
    """It would decline again: the count on the page is that of what is started."""
    study = ultrasound_study(reader.user.site, images=0)
    services.request_analyses(study.pk)
    job = AnalysisJob.objects.get()
    assert (job.state, job.attempt) == (State.NOT_APPLICABLE, 0)
    assert not again.without_result(Study.objects.all()).exists()


@pytest.mark.django_db
@pytest.mark.parametrize("role", [Role.INTEGRATOR])
def test_an_integrators_session_asks_for_nothing(role: str, rows: Rows) -> None:
    integrator = factories.actor(role, factories.site())
    rows(integrator.user.site, 1)
    for act in (lambda: ask(integrator), lambda: reanalyses(integrator)):
        with pytest.raises(NotPermitted):
            act()
    assert not Reanalysis.objects.exists()


@pytest.mark.django_db
def test_a_set_is_recorded_with_its_size_and_no_patient(reader: Actor, rows: Rows) -> None:
    rows(reader.user.site, 2)
    asked = ask(reader)
    event = AuditEvent.objects.get(action="study.reanalyse_set")
    assert (event.object_id, event.detail) == (str(asked.pk), {"studies": 2})
    with pytest.raises(Conflict):
        ask(reader)
    assert AuditEvent.objects.filter(action="study.reanalyse_set").count() == 1, "nothing came of the second"
    assert Reanalysis.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_that_go_on_at_once_begin_each_study_once(reader: Actor, rows: Rows) -> None:
    number = again.UNDER_WAY + 4
    rows(reader.user.site, number)
    asked = ask(reader)
    barrier, begun, failures = threading.Barrier(4), [], []

    def go_on() -> None:
        try:
            barrier.wait(10)
            begun.append(again.go_on())
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=go_on) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == [] and sum(begun) == again.UNDER_WAY
    assert (told(asked).at_work, told(asked).waiting) == (again.UNDER_WAY, 4)
    assert AnalysisJob.objects.count() == again.UNDER_WAY
    assert OutboxEvent.objects.filter(topic="analysis.requested").count() == again.UNDER_WAY
