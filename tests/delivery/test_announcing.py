"""From what happens to studies to what is sent: once each, when it is true."""

from __future__ import annotations

from typing import Any

import pytest

from cad_platform.accounts.models import Site
from cad_platform.analysis.models import AnalysisJob
from cad_platform.core import outbox
from cad_platform.delivery import tasks
from cad_platform.delivery.models import Delivery, Event, Webhook
from cad_platform.studies.models import Study
from tests import factories
from tests.posted_files import Hospital, dicom

pytestmark = pytest.mark.django_db


def hook(site: Site) -> Webhook:
    return Webhook.objects.create(site=site, url="https://ris.example/", topics=Event.values)


def told() -> list[str]:
    return list(Delivery.objects.order_by("occurred_at").values_list("event", flat=True))


def test_every_topic_has_its_task() -> None:
    assert "delivery.study_analysed" in outbox.subscribers("analysis.ended")
    assert "delivery.report_signed" in outbox.subscribers("report.signed")
    assert "delivery.study_corrected" in outbox.subscribers("study.corrected")


def test_a_study_is_analysed_when_its_last_job_has_ended() -> None:
    study = factories.study(factories.site())
    hook(study.site)
    job = factories.succeeded_job(study)
    AnalysisJob.objects.filter(pk=job.pk).update(state="running", result=None, score=None)
    tasks.study_analysed(study_id=str(study.pk), job_id="x")
    assert told() == []
    AnalysisJob.objects.filter(pk=job.pk).update(state="succeeded", result=job.result, score=job.score)
    for _ in range(2):
        tasks.study_analysed(study_id=str(study.pk), job_id="x")
    assert told() == ["study.analysed"]


def test_a_correction_is_told_once() -> None:
    hospital = Hospital()
    hook(hospital.site)
    data = dicom()
    hospital.post(None, {"a.dcm": data})
    part: dict[str, Any] = {
        "images": [{"file": "a.dcm", "laterality": "R"}],
        "correction": {"reason": "The wrong side was sent."},
    }
    answer = hospital.post(part, {"a.dcm": data})
    assert answer.status_code == 200, answer.content

    for _ in range(2):
        tasks.study_corrected(study_id=str(Study.objects.get().pk))
    assert told() == ["study.corrected"]


def test_what_is_gone_is_not_told() -> None:
    nobody = "00000000-0000-0000-0000-000000000000"
    assert tasks.study_analysed(study_id=nobody) == tasks.report_signed(report_id=nobody) == 0
    assert tasks.study_corrected(study_id=nobody) == 0
