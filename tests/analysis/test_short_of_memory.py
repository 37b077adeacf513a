"""A decoder that the kernel kills because the machine is short of memory says nothing of the patient: the job is tried
again, and a post is asked to come again."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cad_platform.accounts.models import Role
from cad_platform.analysis import runner, tasks
from cad_platform.analysis.models import AnalysisJob, JobAttempt
from cad_platform.core import proofs
from cad_platform.core.queues import SHORT
from cad_platform.reading import selectors
from cad_platform.reading.case_presenter import case_page
from cad_platform.registry.health import component_of
from cad_platform.studies.models import Study
from imaging import sandbox
from tests import factories
from tests.analysis.conftest import MakeStudy
from tests.posted_files import Hospital

State, Outcome = AnalysisJob.State, JobAttempt.Outcome


@contextmanager
def short_of_memory() -> Iterator[None]:
    """Every decoding process is killed as the kernel kills one."""
    sandbox.start()
    assert sandbox.SHARED._process is not None
    # Its only thread forks. Asking the kernel for them takes microseconds; looking through all processes was too slow
    # for a decoder on a busy machine.
    server, over = sandbox.SHARED._process.pid, threading.Event()
    children = Path(f"/proc/{server}/task/{server}/children")

    def kill() -> None:
        while not over.wait(0.0002):
            for child in children.read_text().split():
                with suppress(ProcessLookupError):
                    os.kill(int(child), signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    # It was ended itself by a child that died in the round in which it said that it was idle.
    assert sandbox.SHARED._process is not None and sandbox.SHARED._process.pid == server


def again(job: AnalysisJob) -> str:
    AnalysisJob.objects.filter(pk=job.pk).update(available_at=timezone.now())
    return runner.run_next(SHORT)


@pytest.mark.django_db
def test_the_job_waits_for_another_try_and_succeeds_when_there_is_memory(ultrasound_study: MakeStudy) -> None:
    study = ultrasound_study()
    with short_of_memory():
        assert tasks.study_complete(str(study.pk)) == "given back"
        job = AnalysisJob.objects.select_related("model_version").get(study=study)
        for _ in range(9):
            # Others are answered meanwhile; that does not make it the file's fault.
            proofs.succeeded(component_of(job.model_version), 1.0)
            assert again(job) == "given back"
    job.refresh_from_db()
    assert job.state == State.REQUESTED and "memory" in job.reason
    assert set(job.attempts.values_list("outcome", flat=True)) == {Outcome.AWAY}
    assert again(job) == "succeeded"
    job.refresh_from_db()
    assert (job.state, job.reason) == (State.SUCCEEDED, "")


@pytest.mark.django_db
def test_when_it_is_given_up_the_reader_may_try_again(
    ultrasound_study: MakeStudy, settings: Any, client: Client
) -> None:
    reader = factories.actor(Role.RADIOLOGIST, factories.site())
    study: Study = ultrasound_study(reader.user.site)
    settings.JOB_PATIENCE = timedelta(0)
    with short_of_memory():
        tasks.study_complete(str(study.pk))
    job = AnalysisJob.objects.get(study=study)
    assert job.state == State.FAILED and job.retryable
    (analysis,) = case_page(selectors.case(reader, study.study_instance_uid)).analyses
    assert analysis.cell.kind == "failed" and "short of memory" in analysis.cell.detail
    client.force_login(reader.user)
    page = client.get(reverse("case", args=[study.study_instance_uid])).content.decode()
    assert "Try again" in page


@pytest.mark.django_db
def test_a_post_is_asked_to_come_again_and_nothing_is_kept_of_it(phantom_png: bytes) -> None:
    hospital = Hospital()
    with short_of_memory():
        answer = hospital.post(files={"picture.png": phantom_png})
    assert answer.status_code == 503, answer.content
    assert not Study.objects.exists()
    assert hospital.post(files={"picture.png": phantom_png}).status_code == 201
