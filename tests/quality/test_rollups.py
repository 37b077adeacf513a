"""What is measured of analyses: once, whatever comes twice, late or at once, and verifiable from the cases."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from cad_platform.accounts.models import Role
from cad_platform.analysis.models import AnalysisJob
from cad_platform.analysis.reasons import OTHER_REASON, reason_kind
from cad_platform.core import outbox
from cad_platform.core.actor import Actor
from cad_platform.quality import rollups, tasks, truth
from cad_platform.quality.counting import SCORE_BINS, Counts
from cad_platform.quality.models import AnalysisFact, HourlyFigures
from cad_platform.reading import services as reading
from cad_platform.studies.models import Study
from tests import factories
from tests.reporting.test_content import COMPLETE_SM
from tests.reporting.test_services import signed_report

pytestmark = pytest.mark.django_db


@pytest.fixture
def reader() -> Actor:
    return factories.actor(Role.RADIOLOGIST, factories.site())


@pytest.fixture
def job(reader: Actor) -> AnalysisJob:
    made = analysed(factories.study(reader.user.site), 0.87)
    version = made.model_version
    version.manifest |= {"thresholds": {"balanced": 0.4}}
    version.save()
    return made


def analysed(study: Study, probability: float, **image: Any) -> AnalysisJob:
    factories.instance(study, facts={"manufacturer": "Acme", "manufacturer_model": "Mammo 3"}, **image)
    return factories.succeeded_job(study, probability)


def ended(study: Study, state: str, reason: str) -> AnalysisJob:
    job = factories.succeeded_job(study)
    AnalysisJob.objects.filter(pk=job.pk).update(state=state, reason=reason, result=None, score=None)
    return job


def all_counts() -> Counts:
    return Counts.sum_of(HourlyFigures.objects.values_list("counts", flat=True))


def test_every_topic_has_its_task() -> None:
    assert "quality.analysis_ended" in outbox.subscribers("analysis.ended")
    assert "quality.report_signed" in outbox.subscribers("report.signed")
    assert "quality.study_corrected" in outbox.subscribers("study.corrected")


def test_an_analysis_is_measured_once_however_often_it_is_told(job: AnalysisJob) -> None:
    for _ in range(3):
        tasks.analysis_ended(job_id=str(job.pk), study_id=str(job.study_id))
    fact, hour = AnalysisFact.objects.get(), HourlyFigures.objects.get()
    assert (fact.score, fact.is_positive, fact.device, fact.age_band) == (0.87, True, "Acme Mammo 3", "60–69")
    assert hour.hour == job.finished_at.replace(minute=0, second=0, microsecond=0)
    counts = all_counts()
    assert counts.states == {"succeeded": 1} and counts.flags == {"uncertain": 1}
    assert counts.scores[17] == 1 and sum(counts.scores) == 1 and len(counts.scores) == SCORE_BINS
    assert counts.subgroups["sides"] == {"L": 1}
    assert counts.quantile("model", 0.5) == 0.03


def test_failures_and_refusals_are_counted_by_their_kind() -> None:
    site = factories.site()
    for state, reason in (
        ("failed", "the model server does not answer: connection refused (3 attempts)"),
        ("failed", "Mrs Okafor's file broke"),
        ("not_applicable", "not analysed: 400 images, at most 16 are read together"),
        ("not_applicable", "not analysed: 17 images, at most 16 are read together"),
    ):
        rollups.measure([ended(factories.study(site), state, reason).pk])
    counts = all_counts()
    assert counts.failures == {"The model server did not answer (%(why)s).": 1, OTHER_REASON: 1}
    [refused] = counts.refusals.values()
    assert refused == 2
    assert "Okafor" not in str(list(HourlyFigures.objects.values())) + str(
        list(AnalysisFact.objects.values())
    )


def test_a_kind_of_reason_never_quotes() -> None:
    assert reason_kind("") == ""
    assert reason_kind("patient 0815 (image 3)") == OTHER_REASON
    assert (
        reason_kind("not analysed: µm per pixel missing (image 2)")
        == "The image does not say how large its pixels are."
    )


def test_tried_again_it_has_not_ended_and_is_counted_where_it_ends(job: AnalysisJob) -> None:
    earlier = timezone.now() - timedelta(hours=5)
    AnalysisJob.objects.filter(pk=job.pk).update(
        state="failed",
        reason="an unexpected error (ValueError)",
        result=None,
        score=None,
        finished_at=earlier,
    )
    rollups.measure([job.pk])
    assert all_counts().states == {"failed": 1}
    AnalysisJob.objects.filter(pk=job.pk).update(state="requested", reason="", finished_at=None)
    rollups.measure([job.pk])
    assert not AnalysisFact.objects.exists() and all_counts().ended == 0
    AnalysisJob.objects.filter(pk=job.pk).update(
        state="succeeded", result=job.result, score=job.score, finished_at=timezone.now()
    )
    rollups.measure([job.pk])
    assert all_counts().states == {"succeeded": 1} and HourlyFigures.objects.count() == 2


def test_what_readers_made_of_it_is_counted_when_the_report_is_signed(
    reader: Actor, job: AnalysisJob
) -> None:
    image = job.study.series.get().instances.get()
    marks = [factories.finding(image, job) for _ in range(4)]
    reading.decide(reader, marks[0], "rejected", reason="Artefact")
    reading.decide(reader, marks[0], "accepted")
    reading.decide(reader, marks[1], "edited", reason="Too large", box=[110, 210, 200, 280])
    reading.decide(reader, marks[2], "rejected", reason="Normal tissue")
    reading.decide(reader, marks[3], "accepted")
    rollups.measure([job.pk])
    assert all_counts().signed == 0
    report = signed_report(reader, job.study)
    for _ in range(2):
        tasks.report_signed(report_id=str(report.pk))
    counts = all_counts()
    assert counts.signed == 1
    assert counts.decisions == {"accepted": 2, "edited": 1, "rejected": 1}
    assert counts.agreement == {"positive_positive": 1} and counts.contradicted == 0
    fact = AnalysisFact.objects.get()
    assert (fact.conclusion, fact.density, fact.said_positive, fact.proven_positive) == (
        "4B",
        "b",
        True,
        None,
    )


def test_a_result_that_nobody_signed_with_was_contradicted_by_nobody(reader: Actor, job: AnalysisJob) -> None:
    report = signed_report(reader, job.study)
    other = factories.model_version("challenger", "MG", is_default=False)
    later = AnalysisJob.objects.create(
        study=job.study, model_version=other, content_hash=job.content_hash, state="succeeded",
        result=job.result, score=0.1, finished_at=timezone.now(),
    )  # fmt: skip
    rollups.measure([later.pk])
    tasks.report_signed(report_id=str(report.pk))
    assert AnalysisFact.objects.get(pk=later.pk).signed_at is None
    assert AnalysisFact.objects.get(pk=job.pk).signed_at == report.signature.signed_at


@pytest.mark.parametrize(
    ("laterality", "days", "proven"), [("L", 20, True), ("R", 20, None), ("L", 500, None), ("L", -3, None)]
)
def test_pathology_speaks_of_earlier_images_of_that_breast(
    job: AnalysisJob, laterality: str, days: int, proven: bool | None
) -> None:
    patient, taken = job.study.patient, job.study.study_date
    assert patient is not None and taken is not None
    specimen = factories.study(job.study.site, "SM", patient=patient, study_date=taken + timedelta(days=days))
    rollups.measure([job.pk])
    pathologist = factories.actor(Role.PATHOLOGIST, job.study.site)
    report = signed_report(pathologist, specimen, COMPLETE_SM | {"laterality": laterality})
    tasks.report_signed(report_id=str(report.pk))
    assert AnalysisFact.objects.get(pk=job.pk).proven_positive is proven


def test_a_corrected_birth_date_moves_the_case_to_its_group(job: AnalysisJob) -> None:
    rollups.measure([job.pk])
    job.study.patient.birth_date = date(1990, 1, 1)
    job.study.patient.save()
    assert not rollups.verify().is_right
    tasks.study_corrected(study_id=str(job.study_id))
    assert all_counts().subgroups["age_band"] == {"<40": 1} and rollups.verify().is_right


@pytest.mark.parametrize(
    ("positive", "code", "said"),
    [
        ("malignant", "4A", True), ("malignant", "0", None), ("malignant", "3", False),
        ("malignancy", "6", True), ("abnormal", "2", True), ("abnormal", "1", False), ("abnormal", "0", None),
        ("malignant", "in_situ", True), ("idc", "in_situ", False), ("idc", "invasive", True),
        ("malignant", "not_diagnostic", None), ("abnormal", "benign", None), ("malignant", "", None),
    ],
)  # fmt: skip
def test_what_a_report_says_of_the_models_question(positive: str, code: str, said: bool | None) -> None:
    assert truth.said_positive(positive, code) is said


class TestVerified:
    def test_what_was_lost_or_bent_is_found_and_made_anew(self, job: AnalysisJob) -> None:
        assert rollups.verify().wrong_facts == (str(job.pk),)  # its message got lost
        with pytest.raises(CommandError):
            call_command("figures", stdout=StringIO())
        call_command("figures", "--rebuild", stdout=StringIO())
        assert rollups.verify().is_right and all_counts().ended == 1
        HourlyFigures.objects.update(counts={})
        assert len(rollups.verify().wrong_hours) == 1
        AnalysisFact.objects.update(score=0.1)
        assert rollups.verify().wrong_facts
        rollups.rebuild()
        assert rollups.verify().is_right

    def test_counts_are_the_same_after_their_way_through_json(self, job: AnalysisJob) -> None:
        rollups.measure([job.pk])
        counts = all_counts()
        assert Counts.of_json(counts.as_json()).as_json() == counts.as_json()
        doubled = Counts.sum_of([counts.as_json(), counts.as_json()])
        assert doubled.states["succeeded"] == 2 and sum(doubled.scores) == 2


@pytest.mark.django_db(transaction=True)
def test_two_analyses_that_end_at_once_are_both_counted() -> None:
    site, now = factories.site(), datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
    jobs = [factories.succeeded_job(factories.study(site)) for _ in range(6)]
    AnalysisJob.objects.update(finished_at=now)
    start = threading.Barrier(6)

    def run(job: AnalysisJob) -> None:
        try:
            start.wait(30)
            rollups.measure([job.pk])
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert HourlyFigures.objects.get().counts["states"] == {"succeeded": 6}
    assert rollups.verify().is_right
