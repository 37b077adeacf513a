"""What becomes of analyses when another version of a model is used: nothing waits for one that nobody has."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from cad_platform.accounts.models import Role
from cad_platform.analysis import again, runner, services
from cad_platform.analysis.models import AnalysisJob, JobAttempt
from cad_platform.analysis.sweeper import UNNOTICED_AFTER, sweep
from cad_platform.audit.models import AuditEvent
from cad_platform.core import outbox
from cad_platform.core.errors import Conflict, NotFound
from cad_platform.core.queues import SHORT
from cad_platform.reading import case_state
from cad_platform.registry.models import ModelVersion
from cad_platform.registry.routing import ROUTED_TOPIC
from cad_platform.studies.models import Series, Study
from cad_platform.studies.selectors import images_in_order
from cad_platform.studies.services import withdraw
from tests import factories
from tests.analysis.conftest import MakeStudy
from tests.claims import begin

State, Outcome = AnalysisJob.State, JobAttempt.Outcome


@pytest.fixture
def served(models: dict[str, ModelVersion]) -> ModelVersion:
    return models["ultrasound"]


@pytest.fixture
def absent(served: ModelVersion) -> ModelVersion:
    """A version that is known and that no server has."""
    manifest = served.manifest | {"version": "9.9.9"}
    return ModelVersion.objects.create(
        name="ultrasound",
        version="9.9.9",
        modality="US",
        manifest=manifest,
        weights_sha256="0" * 64,
        state=ModelVersion.State.APPROVED,
        came_with_installation=True,
    )


def use(version: ModelVersion) -> None:
    """As `registry.switching.make_default` does once a server has answered, without the message."""
    ModelVersion.objects.filter(name=version.name, is_default=True).update(is_default=False)
    ModelVersion.objects.filter(pk=version.pk).update(is_default=True)


def job_of(study: Study, version: ModelVersion) -> AnalysisJob:
    return AnalysisJob.objects.select_related("study", "model_version").get(
        study=study, model_version=version
    )


def current(study: Study) -> list[AnalysisJob]:
    """The jobs that count, asked both ways."""
    found = case_state.current_jobs(study)
    jobs = list(AnalysisJob.objects.filter(study=study).select_related("model_version"))
    assert case_state.counting_among(study, jobs) == found
    return found


def messages_for(job: AnalysisJob) -> int:
    """Whether its present wait was told to the workers of its queue."""
    return AnalysisJob.objects.filter(pk=job.pk, queued_at__isnull=False).count()


@pytest.mark.django_db
class TestNotServedHere:
    def test_a_job_of_a_version_that_nobody_has_fails_at_once_and_says_so(
        self, ultrasound_study: MakeStudy, absent: ModelVersion
    ) -> None:
        use(absent)
        study = ultrasound_study()
        assert runner.run_study(str(study.pk)) == "failed"
        job = job_of(study, absent)
        assert job.state == State.FAILED and job.reason.startswith("not served here: ")
        assert "ultrasound 9.9.9" in job.reason
        assert [attempt.outcome for attempt in job.attempts.all()] == [Outcome.FAILED], "not one of many"

    def test_a_study_that_failed_so_is_analysed_when_another_version_is_used(
        self, ultrasound_study: MakeStudy, absent: ModelVersion, served: ModelVersion
    ) -> None:
        use(absent)
        study = ultrasound_study()
        runner.run_study(str(study.pk))
        Study.objects.filter(pk=study.pk).update(completed_at=timezone.now() - 2 * UNNOTICED_AFTER)
        assert sweep().unnoticed == 0, "nothing else is in use yet"
        use(served)
        assert sweep().unnoticed == 1
        assert runner.run_next(SHORT) == "succeeded"
        assert [job.model_version for job in current(study)] == [served]

    def test_old_studies_are_looked_through_at_the_start_and_now_and_then(
        self, ultrasound_study: MakeStudy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        study = ultrasound_study()
        Study.objects.filter(pk=study.pk).update(completed_at=timezone.now() - timedelta(days=90))
        monkeypatch.setattr("cad_platform.analysis.sweeper._last_look_at_all", time.monotonic())
        assert sweep().unnoticed == 0
        monkeypatch.setattr("cad_platform.analysis.sweeper._last_look_at_all", None)
        assert sweep().unnoticed == 1

    def test_a_job_that_waits_says_what_for(self, ultrasound_study: MakeStudy) -> None:
        (job,) = services.request_analyses(ultrasound_study().pk)
        claim = services.claim(job.pk, "worker-1")
        assert claim is not None
        services.give_back(claim, "the model server does not answer: ConnectError", away=True)
        job.refresh_from_db()
        assert (job.state, job.reason) == (State.REQUESTED, "the model server does not answer: ConnectError")


@pytest.mark.django_db
class TestMoves:
    @pytest.mark.parametrize("running", [False, True])
    def test_open_jobs_go_on_with_the_version_in_use(
        self, ultrasound_study: MakeStudy, absent: ModelVersion, served: ModelVersion, running: bool
    ) -> None:
        use(absent)
        study = ultrasound_study()
        (job,) = services.request_analyses(study.pk)
        claim = services.claim(job.pk, "worker-1") if running else None
        use(served)
        assert services.replace_unrouted() == 1
        job.refresh_from_db()
        assert (job.state, job.reason) == (State.CANCELLED, f"{served} is used now")
        moved = job_of(study, served)
        assert moved.state == State.REQUESTED and messages_for(moved) == 1
        if claim is not None:
            assert not services.renew(claim), "the worker at it learns so"
            assert job.attempts.get().outcome == Outcome.CANCELLED
        assert services.replace_unrouted() == 0

    def test_a_message_tells_the_workers(self) -> None:
        assert "analysis.replace_unrouted" in outbox.subscribers(ROUTED_TOPIC)

    def test_the_sweeper_finds_what_a_lost_message_left(
        self, ultrasound_study: MakeStudy, absent: ModelVersion, served: ModelVersion
    ) -> None:
        use(absent)
        services.request_analyses(ultrasound_study().pk)
        use(served)
        assert sweep().replaced == 1

    def test_who_takes_a_job_of_another_version_takes_that_of_the_one_in_use(
        self, ultrasound_study: MakeStudy, absent: ModelVersion, served: ModelVersion
    ) -> None:
        use(absent)
        (job,) = services.request_analyses(ultrasound_study().pk)
        use(served)
        claim = services.claim(job.pk, "worker-1")
        assert claim is not None and claim.job.model_version == served

    def test_a_failure_of_a_version_that_is_no_longer_used_is_not_the_studys(
        self, ultrasound_study: MakeStudy, absent: ModelVersion, served: ModelVersion
    ) -> None:
        use(absent)
        study = ultrasound_study()
        claim = begin(study.pk, "worker-1")
        assert claim is not None
        use(served)
        services.conclude(claim, State.FAILED, "not served here: nobody has it")
        assert job_of(study, absent).state == State.CANCELLED
        assert job_of(study, served).state == State.REQUESTED

    def test_there_and_back_leaves_one_result_that_counts(
        self, ultrasound_study: MakeStudy, absent: ModelVersion, served: ModelVersion
    ) -> None:
        study = ultrasound_study()
        services.request_analyses(study.pk)
        for version in (absent, served, absent, served):
            use(version)
            services.replace_unrouted()
        assert runner.run_next(SHORT) == "succeeded"
        (counting,) = current(study)
        assert counting.model_version == served and counting.score is not None
        assert job_of(study, absent).state == State.CANCELLED

    def test_withdrawn_studies_are_cancelled_and_not_moved(
        self, ultrasound_study: MakeStudy, absent: ModelVersion, served: ModelVersion
    ) -> None:
        use(absent)
        study = ultrasound_study()
        services.request_analyses(study.pk)
        withdraw(factories.actor(at=study.site), study, "wrong patient")
        use(served)
        assert services.replace_unrouted() == 0
        assert services.cancel_withdrawn() == 1

    def test_a_model_without_any_version_in_use_keeps_its_jobs_waiting(
        self, ultrasound_study: MakeStudy, served: ModelVersion
    ) -> None:
        (job,) = services.request_analyses(ultrasound_study().pk)
        ModelVersion.objects.filter(pk=served.pk).update(is_default=False)
        assert services.replace_unrouted() == 0
        job.refresh_from_db()
        assert job.state == State.REQUESTED


@pytest.mark.django_db
class TestAgain:
    def test_try_again_asks_the_version_in_use(
        self, ultrasound_study: MakeStudy, absent: ModelVersion, served: ModelVersion
    ) -> None:
        use(absent)
        study = ultrasound_study()
        runner.run_study(str(study.pk))
        failed = job_of(study, absent)
        use(served)
        tried = again.retry(factories.actor(Role.ADMINISTRATOR), failed)
        assert tried.model_version == served and messages_for(tried) == 1
        failed.refresh_from_db()
        assert failed.state == State.FAILED, "it stays in the history"
        assert runner.run_next(SHORT) == "succeeded"
        with pytest.raises(Conflict, match="has looked at this study already"):
            again.retry(factories.actor(Role.ADMINISTRATOR), failed)

    @pytest.mark.parametrize("role", [Role.RADIOLOGIST, Role.SONOGRAPHER, Role.ADMINISTRATOR])
    def test_a_study_is_analysed_again_with_the_version_in_use(
        self, ultrasound_study: MakeStudy, absent: ModelVersion, served: ModelVersion, role: str
    ) -> None:
        study = ultrasound_study()
        old = AnalysisJob.objects.create(
            study=study, model_version=absent, content_hash=study.content_hash, state="succeeded", result={}
        )
        actor = factories.actor(role, study.site)
        (job,) = again.reanalyse(actor, study)
        assert (job.model_version, job.state) == (served, State.REQUESTED)
        assert AuditEvent.objects.get(action="study.reanalyse").actor_label == actor.label
        assert again.reanalyse(actor, study) == [job], "repeated, it is the same one"
        runner.run_next(SHORT)
        old.refresh_from_db()
        assert old.state == State.SUCCEEDED and len(current(study)) == 1
        with pytest.raises(Conflict, match="has looked at this study already"):
            again.reanalyse(actor, study)

    def test_another_sites_clinician_finds_no_such_study(self, ultrasound_study: MakeStudy) -> None:
        with pytest.raises(NotFound):
            again.reanalyse(factories.actor(), ultrasound_study())

    def test_a_withdrawn_study_is_not(self, ultrasound_study: MakeStudy) -> None:
        study = ultrasound_study()
        actor = factories.actor(at=study.site)
        withdraw(actor, study, "wrong patient")
        with pytest.raises(Conflict):
            again.reanalyse(actor, study)


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    def test_a_switch_while_studies_are_analysed_leaves_none_without_a_result(
        self, ultrasound_study: MakeStudy, absent: ModelVersion, served: ModelVersion
    ) -> None:
        use(absent)
        studies = [ultrasound_study() for _ in range(6)]
        errors: list[BaseException] = []

        def guarded(step: Any) -> threading.Thread:
            def run() -> None:
                try:
                    step()
                except BaseException as error:
                    errors.append(error)
                finally:
                    connection.close()

            thread = threading.Thread(target=run)
            thread.start()
            return thread

        def switch() -> None:
            use(served)
            services.replace_unrouted()

        threads = [
            guarded(lambda: [runner.run_study(str(study.pk)) for study in studies[:3]]),
            guarded(lambda: [runner.run_study(str(study.pk)) for study in studies[3:]]),
            guarded(switch),
        ]
        for thread in threads:
            thread.join(120)
        assert errors == []
        Study.objects.update(completed_at=timezone.now() - 2 * UNNOTICED_AFTER)
        sweep()
        for _ in range(AnalysisJob.objects.filter(state=State.REQUESTED, model_version=served).count()):
            runner.run_next(SHORT)
        for study in studies:
            (counting,) = current(study)
            assert (counting.model_version, counting.state) == (served, State.SUCCEEDED)


@pytest.mark.django_db
class TestOrder:
    def test_model_page_answer_and_report_count_the_images_alike(self, models: Any) -> None:
        """Three series without numbers that arrived as 3, 1, 2: the model saw 3, 1, 2 and the reader 1, 2, 3."""
        from cad_platform.reading.selectors import case
        from cad_platform.reporting.ai_summary import summary_of
        from cad_platform.studies.selectors import images_of

        reader = factories.actor()
        study = factories.study(reader.user.site, "US")
        made = {n: factories.instance(study, laterality="", view="", number=n) for n in (3, 1, 2)}
        factories.finding(made[3], author=reader.user)
        claim = begin(study.pk, "worker-1")
        assert claim is not None
        expected = [made[n].pk for n in (1, 2, 3)]
        assert [image.pk for image in claim.instances] == expected
        assert [image.instance.pk for image in case(reader, study.study_instance_uid).images] == expected
        assert [image.instance.pk for image in images_of(reader, study)] == expected
        assert summary_of(study)["findings"][0]["image"]["name"] == "Image 3"

    def test_series_numbers_come_first_and_what_has_none_comes_last(self) -> None:
        study = factories.study(factories.site(), "US")
        made = [factories.instance(study, number=1) for _ in range(4)]
        for instance, number in zip(made, (None, 7, 2, None), strict=True):
            Series.objects.filter(pk=instance.series_id).update(number=number)
        assert list(images_in_order(study)) == [made[2], made[1], made[0], made[3]]
