"""Known cases go the whole way, are answered alike, and are nobody's patients."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from cad_platform.accounts.models import Role, Site, User
from cad_platform.analysis import runner
from cad_platform.analysis.models import AnalysisJob
from cad_platform.quality import known_cases, rollups, tasks
from cad_platform.quality.models import Alert, AnalysisFact, KnownCaseAnswer, KnownCaseRun
from cad_platform.registry.models import ModelRoute, ModelVersion
from cad_platform.registry.routing import route
from cad_platform.studies.models import Study
from tests import factories
from tests.registered import models_in_use

pytestmark = pytest.mark.django_db


@pytest.fixture
def version(monkeypatch: pytest.MonkeyPatch) -> ModelVersion:
    """The ultrasound model alone: its case is the quickest."""
    monkeypatch.setattr(known_cases, "CASES", {"US": known_cases.CASES["US"]})
    return models_in_use()["ultrasound"]


def answer_with(version: ModelVersion, probability: float, **fields: Any) -> AnalysisJob:
    """A job of the latest run, as a worker would leave it."""
    study = KnownCaseRun.objects.latest("posted_at").study
    job = factories.succeeded_job(study, probability)
    AnalysisJob.objects.filter(pk=job.pk).update(model_version=version, **fields)
    tasks.analysis_ended(job_id=str(job.pk), study_id=str(study.pk))
    return job


def test_through_the_whole_platform_and_answered_alike(version: ModelVersion) -> None:
    now = timezone.now()
    for hour in range(2):
        assert known_cases.run(now + timedelta(hours=hour)) == 1
        assert known_cases.run(now + timedelta(hours=hour, minutes=5)) == 0
        study = KnownCaseRun.objects.latest("posted_at").study
        runner.run_study(str(study.pk))
        job = AnalysisJob.objects.get(study=study)
        assert job.state == "succeeded", job.reason
        tasks.analysis_ended(job_id=str(job.pk), study_id=str(study.pk))
        tasks.analysis_ended(job_id=str(job.pk), study_id=str(study.pk))
    first, second = KnownCaseAnswer.objects.order_by("answered_at")
    assert first.said == second.said and second.difference == 0 and not second.change
    assert not Alert.objects.exists()
    # Nobody's figures, nobody's worklist.
    assert not AnalysisFact.objects.exists() and rollups.verify().is_right
    site = Site.objects.get(code="known-cases")
    assert set(User.objects.filter(site=site).values_list("role", flat=True)) == {Role.INTEGRATOR}
    assert not User.objects.get(site=site).has_usable_password()
    assert set(Study.objects.values_list("site", flat=True)) == {site.pk}


@pytest.mark.parametrize(
    ("probability", "fields", "raises"),
    [
        (0.8701, {}, False),
        (0.80, {}, True),
        (0.87, {"state": "failed", "reason": "it broke", "result": None, "score": None}, True),
    ],
)
def test_another_answer_raises_one_and_the_right_one_ends_it(
    version: ModelVersion, probability: float, fields: dict[str, Any], raises: bool
) -> None:
    factories.model_version("ultrasound", "US", is_default=False)  # what a made-up job begins with
    now = timezone.now()
    known_cases.run(now)
    answer_with(version, 0.87)
    known_cases.run(now + timedelta(hours=1))
    answer_with(version, probability, **fields)
    assert Alert.objects.filter(rule__measure="known_case", site=None).exists() is raises
    known_cases.run(now + timedelta(hours=2))
    answer_with(version, 0.87)
    assert not Alert.objects.filter(ended_at__isnull=True).exists()


def test_no_answer_is_told(version: ModelVersion) -> None:
    now = timezone.now()
    known_cases.run(now)
    known_cases.run(now + timedelta(minutes=20))
    assert not Alert.objects.exists()
    known_cases.run(now + timedelta(hours=1))
    assert Alert.objects.get().evidence["change"] == "no answer within 30 minutes"


def test_whose_version_was_changed_is_not_missed(version: ModelVersion) -> None:
    factories.model_version("ultrasound", "US", is_default=False)  # what a made-up job begins with
    other = factories.model_version("ultrasound", "US", "99.0.0", is_default=False)
    now = timezone.now()
    for hour, by in enumerate((version, other)):
        known_cases.run(now + timedelta(hours=hour))
        answer_with(by, 0.87)
    # Rolled back: the first is in use again, and the latest case was the other's.
    known_cases.run(now + timedelta(hours=1, minutes=40))
    assert not Alert.objects.exists()
    ModelRoute.objects.create(version=other, name=other.name, kind="canary", percent=99)
    known_cases.run(now + timedelta(hours=1, minutes=41))
    assert not Alert.objects.exists()
    known_cases.run(now + timedelta(hours=3))
    known_cases.run(now + timedelta(hours=3, minutes=40))
    (alert,) = Alert.objects.all()
    study = KnownCaseRun.objects.latest("posted_at").study
    assert [alert.model_version] == route(study), "whose patient it is"
