"""One job from the study to its findings, with the real pipeline and network in this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from django.db import connection
from django.utils import timezone

from cad_platform.accounts.models import Role
from cad_platform.analysis import choosing, lease, runner, selectors, services, tasks, transitions
from cad_platform.analysis.models import AnalysisJob, Artefact, Finding, JobAttempt
from cad_platform.audit.models import AuditEvent
from cad_platform.core.errors import NotFound, NotPermitted
from cad_platform.core.models import ComponentProbe, OutboxEvent
from cad_platform.modelserver import configured
from cad_platform.modelserver.hosts import Fleet, Host
from cad_platform.modelserver.port import Abandoned, Deadline
from cad_platform.modelserver.torchserve import TorchServeModelServer
from cad_platform.registry.health import component_of
from cad_platform.studies import storage
from cad_platform.studies.models import Study
from cad_platform.studies.selectors import images_in_order
from embedded.state import free_port
from inference.contract import AnalysisResult
from tests import factories
from tests.analysis.conftest import MakeStudy

State = AnalysisJob.State


@pytest.fixture
def no_model_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The settings' adapter is TorchServe at an address where nobody listens."""
    server = TorchServeModelServer(Fleet([Host("nobody", f"http://127.0.0.1:{free_port()}")]))
    monkeypatch.setattr(runner, "get_model_server", lambda: server)
    yield
    configured.get_model_server.cache_clear()


@pytest.mark.django_db
class TestSucceeded:
    @pytest.fixture
    def job(self, ultrasound_study: MakeStudy) -> AnalysisJob:
        study = ultrasound_study(images=2)
        assert tasks.study_complete(str(study.pk)) == "succeeded"
        return AnalysisJob.objects.select_related("study", "model_version").get(study=study)

    def test_the_result_is_the_contracts_own(self, job: AnalysisJob) -> None:
        result = AnalysisResult.model_validate(job.result)
        instances = images_in_order(job.study)
        assert [image.image_id for image in result.images] == [i.sop_instance_uid for i in instances]
        assert result.model.weights_sha256 == job.model_version.weights_sha256
        assert job.score == result.probabilities["malignant"]
        assert job.attempts.get().outcome == JobAttempt.Outcome.SUCCEEDED

    def test_masks_and_heat_maps_are_stored_and_named_in_the_result(self, job: AnalysisJob) -> None:
        result = AnalysisResult.model_validate(job.result)
        named = {image.heatmap for image in result.images} | {image.mask for image in result.images}
        stored = {str(artefact.pk): artefact for artefact in Artefact.objects.filter(job=job)}
        assert named == set(stored) and len(stored) == 4
        for artefact in stored.values():
            with storage.open(artefact.file_id) as path:
                assert path.read_bytes().startswith(b"\x89PNG")

    def test_findings_are_numbered_by_suspicion(self, job: AnalysisJob) -> None:
        findings = list(Finding.objects.filter(study=job.study))
        assert [finding.number for finding in findings] == list(range(1, len(findings) + 1))
        scores = [finding.score for finding in findings]
        assert scores == sorted(scores, reverse=True)

    def test_ending_is_audited_and_announced(self, job: AnalysisJob) -> None:
        assert AuditEvent.objects.filter(action="job.succeed", object_id=str(job.pk)).exists()
        announced = OutboxEvent.objects.get(topic=transitions.ENDED_TOPIC)
        assert announced.payload == {"job_id": str(job.pk), "study_id": str(job.study_id)}

    def test_doing_it_again_does_nothing(self, job: AnalysisJob) -> None:
        assert tasks.run(str(job.pk)) == "not claimed"
        assert tasks.study_complete(str(job.study_id)) == "not claimed"
        assert JobAttempt.objects.filter(job=job).count() == 1

    def test_the_answer_has_addresses_for_the_images(self, job: AnalysisJob) -> None:
        answer = selectors.job_answer(job)
        assert (answer["model"], answer["state"], answer["attempts"]) == ("ultrasound", "succeeded", 1)
        heatmap = answer["result"]["images"][0]["heatmap"]
        assert heatmap == f"/api/v1/artefacts/{job.result['images'][0]['heatmap']}"

    def test_another_site_sees_none_of_it(self, job: AnalysisJob) -> None:
        ours, theirs = factories.actor(at=job.study.site), factories.actor()
        artefact = Artefact.objects.filter(job=job).first()
        assert artefact is not None
        assert list(selectors.jobs_of(ours, job.study)) == [job]
        assert selectors.artefact(ours, artefact.pk) == artefact
        for refused in (
            lambda: selectors.jobs_of(theirs, job.study),
            lambda: selectors.artefact(theirs, artefact.pk),
        ):
            with pytest.raises(NotFound):
                refused()

    def test_an_administrator_sees_jobs_but_no_images(self, job: AnalysisJob) -> None:
        administrator = factories.actor(Role.ADMINISTRATOR)
        assert selectors.job_by_id(administrator, job.pk).attempts.count() == 1
        assert job not in choosing.chosen(administrator, choosing.JobChoice(state="failed"))
        with pytest.raises(NotPermitted):
            selectors.artefact(administrator, Artefact.objects.filter(job=job).first().pk)


@pytest.mark.django_db
def test_success_proves_model_and_worker(ultrasound_study: MakeStudy) -> None:
    from cad_platform.core import proofs

    proofs._noted.clear()
    study = ultrasound_study()
    ComponentProbe.objects.all().delete()  # made when the models became the defaults
    tasks.study_complete(str(study.pk))
    proven = ComponentProbe.objects.filter(succeeded_at__isnull=False)
    model = component_of(study.jobs.get().model_version)
    assert set(proven.values_list("component", flat=True)) == {"worker", model}


@pytest.mark.django_db
def test_a_file_that_cannot_be_read_fails_for_good_and_says_why(ultrasound_study: MakeStudy) -> None:
    study = ultrasound_study(content=b"\x89PNG\r\n\x1a\n and then nothing")
    tasks.study_complete(str(study.pk))
    job = AnalysisJob.objects.get(study=study)
    assert (job.state, job.retryable, job.attempt) == (State.FAILED, False, 1)
    assert job.reason
    assert not Finding.objects.filter(study=study).exists()


@pytest.mark.django_db
def test_without_a_model_server_the_job_waits(ultrasound_study: MakeStudy, no_model_server: None) -> None:
    study = ultrasound_study()
    assert tasks.study_complete(str(study.pk)) == "given back"
    job = AnalysisJob.objects.get(study=study)
    assert (job.state, job.attempts.get().outcome) == (State.REQUESTED, JobAttempt.Outcome.AWAY)
    assert "does not answer" in job.attempts.get().error


@pytest.mark.django_db
def test_a_study_withdrawn_meanwhile_keeps_no_result(
    ultrasound_study: MakeStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = ultrasound_study()
    finish = services.finish

    def withdraw_then_finish(*arguments: object) -> bool:
        Study.objects.filter(pk=study.pk).update(
            withdrawn_at=timezone.now(), withdrawn_reason="wrong patient"
        )
        return finish(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(services, "finish", withdraw_then_finish)
    assert tasks.study_complete(str(study.pk)) == "superseded"
    job = AnalysisJob.objects.get(study=study)
    assert (job.state, job.result) == (State.CANCELLED, None)
    assert not Artefact.objects.filter(job=job).exists()


@pytest.mark.django_db(transaction=True)
class TestLeaseRenewal:
    @pytest.fixture
    def claim(self, ultrasound_study: MakeStudy, settings) -> services.Claim:
        settings.JOB_LEASE_SECONDS = 1
        (job,) = services.request_analyses(ultrasound_study().pk)
        claim = services.claim(job.pk, "worker-1")
        assert claim is not None
        return claim

    def test_it_outlives_its_first_length(self, claim: services.Claim) -> None:
        with lease.LeaseRenewal(claim, Deadline(30)):
            time.sleep(2.5)
            assert services.take_over_lost() == 0

    def test_work_on_a_job_taken_over_is_abandoned(self, claim: services.Claim) -> None:
        deadline = Deadline(30)
        with lease.LeaseRenewal(claim, deadline):
            AnalysisJob.objects.filter(pk=claim.job.pk).update(attempt=2)
            with pytest.raises(Abandoned):
                while True:
                    time.sleep(min(0.05, deadline.remaining()))

    def test_no_transaction_is_open_while_it_is_held(self, claim: services.Claim) -> None:
        with lease.LeaseRenewal(claim, Deadline(30)):
            free: list[bool] = []

            def look() -> None:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT id FROM analysis_analysisjob FOR UPDATE NOWAIT")
                    free.append(True)
                connection.close()

            thread = threading.Thread(target=look)
            thread.start()
            thread.join()
            assert free == [True]
