"""`analysed` is derived: the study has jobs and every one has ended, failed ones included."""

from __future__ import annotations

import uuid
from collections.abc import Collection

from django.db.models import Exists, OuterRef, Q, QuerySet

from cad_platform.analysis.models import AnalysisJob
from cad_platform.studies.models import Study


def filter_analysed(studies: QuerySet[Study], wanted: bool = True) -> QuerySet[Study]:
    """Those whose jobs have all ended, or the others."""
    jobs = AnalysisJob.objects.filter(study=OuterRef("pk"))
    ended = Exists(jobs) & ~Exists(jobs.exclude(state__in=AnalysisJob.ENDED))
    return studies.filter(ended if wanted else ~Q(ended))


def analysed(studies: Collection[Study]) -> set[uuid.UUID]:
    """The keys of those studies that are analysed."""
    found = filter_analysed(Study.objects.filter(pk__in=[study.pk for study in studies]))
    return set(found.values_list("pk", flat=True))
