"""The jobs as administrators see them, and the button that tries again."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from cad_platform.accounts.models import Role
from cad_platform.analysis.models import AnalysisJob, JobAttempt
from cad_platform.audit.models import AuditEvent
from inference.runtime.store import read_manifest
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def browser() -> Client:
    client = Client()
    client.force_login(factories.user(Role.ADMINISTRATOR))
    return client


@pytest.fixture
def failed_job() -> AnalysisJob:
    study = factories.study(factories.site())
    job = AnalysisJob.objects.create(
        study=study,
        model_version=factories.model_version(),
        content_hash=study.content_hash,
        state=AnalysisJob.State.FAILED,
        reason="The image cannot be decoded.",
        attempt=1,
    )
    JobAttempt.objects.create(job=job, number=1, worker="w1", outcome="failed", error="truncated")
    return job


def test_jobs_are_listed_by_state_without_the_patients_name(browser: Client, failed_job: AnalysisJob) -> None:
    factories.succeeded_job(factories.study(factories.site()))
    everything = browser.get(reverse("jobs")).content.decode()
    assert "Failed" in everything and failed_job.reason in everything
    assert "Okafor" not in everything
    page = browser.get(reverse("jobs"), {"state": "failed"}).context["page"]
    assert list(page) == [failed_job]
    # A misspelt filter must not mean "all".
    assert browser.get(reverse("jobs"), {"state": "nonsense"}).status_code == 422


def _main(answer: Any) -> str:
    """What the page is about, without what every page holds."""
    found: str = answer.content.decode().split("<main")[1].split("</main>")[0]
    return found


def test_a_job_shows_its_attempts_and_is_tried_again(browser: Client, failed_job: AnalysisJob) -> None:
    url = reverse("job", args=[failed_job.pk])
    page = browser.get(url).content.decode()
    assert "runcated" in page and "Try again" in page and "Okafor" not in page
    answer = browser.post(reverse("job-retry", args=[failed_job.pk]))
    assert answer["Location"] == url
    failed_job.refresh_from_db()
    assert failed_job.state == AnalysisJob.State.REQUESTED
    assert AuditEvent.objects.filter(action="job.retry", object_id=str(failed_job.pk)).exists()
    assert "Try again" not in _main(browser.get(url))


def test_only_a_failed_job_is_tried_again(browser: Client) -> None:
    job = factories.succeeded_job(factories.study(factories.site()))
    assert browser.post(reverse("job-retry", args=[job.pk])).status_code == 409


def test_a_clinician_neither_lists_nor_retries(failed_job: AnalysisJob) -> None:
    clinician = Client()
    clinician.force_login(factories.user(Role.RADIOLOGIST, failed_job.study.site))
    assert clinician.get(reverse("job", args=[failed_job.pk])).status_code == 403
    assert clinician.post(reverse("job-retry", args=[failed_job.pk])).status_code == 403


@pytest.fixture
def replaced_job(failed_job: AnalysisJob) -> AnalysisJob:
    """Of a version that is not in use any more."""
    type(failed_job.model_version).objects.filter(pk=failed_job.model_version_id).update(is_default=False)
    used = factories.model_version(version="2.0.0")
    used.manifest = read_manifest("mammography", settings.MODEL_STORE).model_dump(mode="json")
    used.save()
    factories.instance(failed_job.study)
    return failed_job


def test_a_job_of_an_earlier_version_says_so_and_has_its_study_analysed_again(
    browser: Client, replaced_job: AnalysisJob
) -> None:
    page = _main(browser.get(reverse("job", args=[replaced_job.pk])))
    assert (
        "mammography 1.0.0 is not in use any more; studies like this one are analysed with mammography 2.0.0."
        in page
    )
    assert "Analyse this study again" in page and "Try again" not in page
    again = reverse("job-analyse-again", args=[replaced_job.pk])
    answer = browser.post(again, follow=True)
    made = AnalysisJob.objects.get(model_version__version="2.0.0")
    assert answer.redirect_chain == [(reverse("job", args=[made.pk]), 302)]
    page = answer.content.decode()
    assert "mammography 2.0.0 looks at this study." in page and "not in use any more" not in page
    AnalysisJob.objects.filter(pk=made.pk).update(state="succeeded", result={"flags": []})
    assert browser.post(again).status_code == 409
    replaced_job.refresh_from_db()
    assert replaced_job.state == AnalysisJob.State.FAILED, "it stays as it was"


def test_a_job_of_a_withdrawn_study_offers_nothing(browser: Client, replaced_job: AnalysisJob) -> None:
    study = type(replaced_job.study).objects
    study.update(withdrawn_at=timezone.now(), withdrawn_reason="wrong patient")
    page = browser.get(reverse("job", args=[replaced_job.pk])).content.decode()
    assert "Analyse this study again" not in page and "not in use any more" not in page


def test_a_clinician_has_no_study_analysed_by_its_job(replaced_job: AnalysisJob) -> None:
    clinician = Client()
    clinician.force_login(factories.user(Role.RADIOLOGIST, replaced_job.study.site))
    assert clinician.post(reverse("job-analyse-again", args=[replaced_job.pk])).status_code == 403


def test_the_jobs_lead_to_analysing_a_set_again(browser: Client) -> None:
    assert f'href="{reverse("reanalyses")}">Analyse again…' in browser.get(reverse("jobs")).content.decode()
