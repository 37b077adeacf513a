"""Keeping facts and the figures of each hour: written when an analysis ends and when a report is signed, made anew and
verified by `manage.py figures`.

An hour is counted anew from its facts under the lock of its row, so that messages may come twice, late, or at once:
whoever is last sees everything that was committed.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import TruncHour

from cad_platform.analysis.models import AnalysisJob
from cad_platform.quality.counting import Counts
from cad_platform.quality.facts import ended_jobs, fact_of, told_by
from cad_platform.quality.models import AnalysisFact, HourlyFigures
from cad_platform.reporting.models import Report
from cad_platform.studies.models import Study

HOUR = timedelta(hours=1)


class Hour(NamedTuple):
    """One row of the figures."""

    site_id: int
    model_version_id: int
    modality: str
    begins: datetime


@dataclass(frozen=True)
class Verified:
    """What `verify` found: jobs whose fact is not what their rows say, and hours that are not what their facts say."""

    facts: int
    hours: int
    wrong_facts: tuple[str, ...]
    wrong_hours: tuple[str, ...]

    @property
    def is_right(self) -> bool:
        return not self.wrong_facts and not self.wrong_hours


@transaction.atomic
def measure(job_ids: Iterable[uuid.UUID | str]) -> int:
    """Make the facts of some jobs anew, and the hours that they are or were counted in. Returns how many hours."""
    touched: set[Hour] = set()
    for job_id in sorted(uuid.UUID(str(each)) for each in job_ids):
        # The job's row, so that two messages about one job come one after the other.
        if AnalysisJob.objects.select_for_update(no_key=True).filter(pk=job_id).first() is None:
            continue
        before = AnalysisFact.objects.filter(pk=job_id).first()
        now = fact_of(job_id)
        for fact in (before, now):
            if fact is not None:
                touched |= hours_of(fact)
        if now is not None:
            now.save(force_insert=before is None, force_update=before is not None)
        elif before is not None:
            before.delete()
    for hour in sorted(touched):
        _count(hour)
    return len(touched)


def measure_signed(report_id: str) -> int:
    """The facts that a signed report speaks of: those of its study, and after a specimen those of earlier images."""
    report = Report.objects.select_related("study__site").filter(pk=report_id).first()
    return measure_studies(told_by(report.study)) if report is not None else 0


def measure_study(study_id: str) -> int:
    """The facts of a study that was corrected, and those that it speaks of."""
    study = Study.objects.select_related("site").filter(pk=study_id).first()
    return measure_studies(told_by(study)) if study is not None else 0


def measure_studies(studies: Iterable[Study]) -> int:
    jobs = ended_jobs().filter(study__in=[study.pk for study in studies])
    return measure(jobs.values_list("pk", flat=True))


def hours_of(fact: AnalysisFact) -> set[Hour]:
    """The hours that a fact is counted in: when it ended and when it was signed."""
    return {
        Hour(fact.site_id, fact.model_version_id, fact.modality, _begin(at))
        for at in (fact.ended_at, fact.signed_at)
        if at is not None
    }


def counted(hour: Hour) -> Counts:
    """What the facts say of an hour."""
    found = Counts()
    own = AnalysisFact.objects.filter(
        site=hour.site_id, model_version=hour.model_version_id, modality=hour.modality
    )
    for fact in own.filter(ended_at__gte=hour.begins, ended_at__lt=hour.begins + HOUR):
        found.add_ended(fact)
    for fact in own.filter(signed_at__gte=hour.begins, signed_at__lt=hour.begins + HOUR):
        found.add_signed(fact)
    return found


def rebuild(since: datetime | None = None) -> int:
    """Make every fact and hour anew, a hundred jobs at a time; returns how many jobs."""
    done = 0
    for batch in _in_hundreds(_jobs(since)):
        measure(batch)
        done += len(batch)
    gone = AnalysisFact.objects.exclude(job__in=ended_jobs())
    measure(gone.values_list("pk", flat=True))
    for row in list(_rows(since)):
        _count(_hour_of(row))
    return done


def verify(since: datetime | None = None) -> Verified:
    """Compare what is kept with what the cases' rows say now; changes nothing."""
    wrong, jobs = [], 0
    for batch in _in_hundreds(_jobs(since)):
        kept = AnalysisFact.objects.in_bulk(batch)
        jobs += len(batch)
        wrong += [str(key) for key in batch if _values(kept.get(key)) != _values(fact_of(key))]
    stray = AnalysisFact.objects.exclude(job__in=ended_jobs())
    wrong += [str(key) for key in stray.values_list("pk", flat=True)]
    rows = {_hour_of(row): row for row in _rows(since)}
    expected = set(rows) | set(_hours_of_facts(since))
    wrong_hours = [
        f"{hour.begins:%Y-%m-%dT%HZ} site {hour.site_id} version {hour.model_version_id} {hour.modality}"
        for hour in sorted(expected)
        if counted(hour).as_json() != (rows[hour].counts if hour in rows else None)
    ]
    return Verified(jobs, len(expected), tuple(wrong), tuple(wrong_hours))


def _jobs(since: datetime | None) -> QuerySet[AnalysisJob]:
    jobs = ended_jobs().order_by("finished_at", "pk")
    if since is None:
        return jobs
    signed = AnalysisFact.objects.filter(signed_at__gte=since).values("pk")
    return jobs.filter(Q(finished_at__gte=since) | Q(pk__in=signed))


def _rows(since: datetime | None) -> QuerySet[HourlyFigures]:
    rows = HourlyFigures.objects.all()
    return rows if since is None else rows.filter(hour__gte=_begin(since) + HOUR)


def _hours_of_facts(since: datetime | None) -> Iterator[Hour]:
    for moment in ("ended_at", "signed_at"):
        facts = AnalysisFact.objects.filter(**{f"{moment}__isnull": False})
        if since is not None:
            facts = facts.filter(**{f"{moment}__gte": _begin(since) + HOUR})
        found = facts.annotate(begins=TruncHour(F(moment))).values_list(
            "site_id", "model_version_id", "modality", "begins"
        )
        yield from (Hour(*row) for row in found.distinct())


def _count(hour: Hour) -> None:
    key: dict[str, Any] = {
        "site_id": hour.site_id,
        "model_version_id": hour.model_version_id,
        "modality": hour.modality,
        "hour": hour.begins,
    }
    HourlyFigures.objects.get_or_create(**key)
    row = HourlyFigures.objects.select_for_update().get(**key)
    counts = counted(hour).as_json()
    if row.counts != counts:
        row.counts = counts
        row.save(update_fields=["counts"])


def _begin(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


def _hour_of(row: HourlyFigures) -> Hour:
    return Hour(row.site_id, row.model_version_id, row.modality, row.hour)


def _values(fact: AnalysisFact | None) -> dict[str, object] | None:
    if fact is None:
        return None
    return {field.attname: getattr(fact, field.attname) for field in AnalysisFact._meta.concrete_fields}


def _in_hundreds(jobs: QuerySet[AnalysisJob]) -> Iterator[list[uuid.UUID]]:
    keys = list(jobs.values_list("pk", flat=True))
    for first in range(0, len(keys), 100):
        yield keys[first : first + 100]
