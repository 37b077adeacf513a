"""Months of analyses with made-up scores, written as `quality.rollups` would: facts, and the hours that they make."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from cad_platform.accounts.models import Site
from cad_platform.analysis.models import AnalysisJob
from cad_platform.patients.models import Patient
from cad_platform.quality import rollups
from cad_platform.quality.counting import Counts
from cad_platform.quality.models import AnalysisFact, HourlyFigures
from cad_platform.registry.models import ModelVersion
from cad_platform.studies.models import Study


def analysed(
    site: Site,
    version: ModelVersion,
    scores: Iterable[float | None],
    *,
    begin: datetime,
    apart: timedelta = timedelta(minutes=10),
    each: Callable[[int], dict[str, Any]] = lambda _number: {},
    result: Callable[[int, Study], dict[str, Any]] = lambda _number, _study: {"images": []},
) -> list[AnalysisFact]:
    """One analysis after the other. A score of None is a failure. `each` says more of the fact of a number."""
    found = list(scores)
    patients = Patient.objects.bulk_create(Patient(site=site, patient_id=uuid4().hex) for _ in found)
    studies = Study.objects.bulk_create(
        Study(
            site=site, patient=patients[number], study_instance_uid=f"2.25.{uuid4().int}",
            modality=version.modality, state=Study.State.COMPLETE, content_hash="ab" * 32,
        )
        for number in range(len(found))
    )  # fmt: skip
    facts = []
    for number, (study, score) in enumerate(zip(studies, found, strict=True)):
        at, failed = begin + number * apart, score is None
        job = AnalysisJob(
            study=study, model_version=version, content_hash=study.content_hash, finished_at=at, score=score,
            state="failed" if failed else "succeeded", reason="it broke" if failed else "",
            result=None if failed else result(number, study),
        )  # fmt: skip
        fact = AnalysisFact(
            job=job, study=study, site=site, model_version=version, modality=version.modality, ended_at=at,
            state=job.state, score=score, is_positive=None if failed else score > 0.5,
            seconds={"total": 1.0}, reason="another" if failed else "",
        )  # fmt: skip
        for name, value in each(number).items():
            setattr(fact, name, value)
        facts.append(fact)
    AnalysisJob.objects.bulk_create(fact.job for fact in facts)
    AnalysisFact.objects.bulk_create(facts)
    _count(facts)
    return facts


def _count(facts: list[AnalysisFact]) -> None:
    """All hours at once, where none of them was counted before."""
    hours: dict[rollups.Hour, Counts] = defaultdict(Counts)
    for fact in facts:
        for hour in rollups.hours_of(fact):
            if hour.begins == rollups._begin(fact.ended_at):
                hours[hour].add_ended(fact)
            if fact.signed_at is not None and hour.begins == rollups._begin(fact.signed_at):
                hours[hour].add_signed(fact)
    first, last = min(hours, key=lambda hour: hour.begins), max(hours, key=lambda hour: hour.begins)
    known = HourlyFigures.objects.filter(hour__gte=first.begins, hour__lte=last.begins)
    for key in list(known.values_list("site_id", "model_version_id", "modality", "hour")):
        if hours.pop(rollups.Hour(*key), None) is not None:
            rollups._count(rollups.Hour(*key))
    HourlyFigures.objects.bulk_create(
        HourlyFigures(**_row(hour), counts=counts.as_json()) for hour, counts in hours.items()
    )


def _row(hour: rollups.Hour) -> dict[str, Any]:
    return {
        "site_id": hour.site_id,
        "model_version_id": hour.model_version_id,
        "modality": hour.modality,
        "hour": hour.begins,
    }
