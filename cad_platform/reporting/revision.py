"""Which revision a study is, with all that is said of it: told from the rows that an answer is composed of, without
composing it.

PostgreSQL marks every version of a row with the transaction that wrote it (`xmin`), so nobody has to list what may
change. A table that the answer reads and that is not watched here fails a test.
"""

from __future__ import annotations

import hashlib
from typing import Any

from django.db.models import QuerySet, TextField
from django.db.models.expressions import RawSQL

from cad_platform.accounts.models import Site
from cad_platform.analysis.models import AnalysisJob, Artefact, Finding
from cad_platform.patients.models import Patient
from cad_platform.reading.models import FindingDecision, ReportStanding
from cad_platform.registry.models import ModelVersion
from cad_platform.reporting.models import Report, Signature
from cad_platform.studies.models import (
    Instance,
    KeptAside,
    QuarantinedFile,
    Series,
    SideConfirmation,
    Slide,
    Study,
    StudyCorrection,
)

#: What of a job an answer tells. A worker that merely holds on to a job writes its row every few seconds.
_OF_JOBS = (
    *("pk", "state", "reason", "retryable", "attempt", "content_hash", "score", "requested_at"),
    *("restarted_at", "available_at", "started_at", "finished_at"),
)
#: Written once, and named by rows that are looked at: files, people's names.
WRITTEN_ONCE = {"studies_storedfile", "accounts_user"}


def revision_of(study: Study) -> str:
    """Differs (32 hex digits) whenever something differs of what the API answers about the study."""
    return hashlib.sha256(repr([_rows(study), _jobs(study)]).encode()).hexdigest()[:32]


def watched(study: Study) -> list[QuerySet[Any]]:
    """The rows that an answer about the study is composed of, but for its jobs."""
    instances = Instance.objects.filter(series__study=study)
    return [
        Study.objects.filter(pk=study.pk),
        Site.objects.filter(pk=study.site_id),
        Patient.objects.filter(studies=study),
        Series.objects.filter(study=study),
        instances,
        Slide.objects.filter(instance__in=instances),
        SideConfirmation.objects.filter(instance__in=instances),
        QuarantinedFile.objects.filter(study=study),
        KeptAside.objects.filter(study=study),
        SideConfirmation.objects.filter(instance__series__study=study),
        StudyCorrection.objects.filter(study=study),
        ModelVersion.objects.all(),
        Artefact.objects.filter(job__study=study),
        Finding.objects.filter(study=study),
        FindingDecision.objects.filter(finding__study=study),
        ReportStanding.objects.filter(study=study),
        Report.objects.filter(study=study, signature__isnull=False),
        Signature.objects.filter(report__study=study),
    ]


def _rows(study: Study) -> list[list[tuple[Any, ...]]]:
    return [
        list(rows.annotate(written_by=_written_by(rows)).order_by("pk").values_list("pk", "written_by"))
        for rows in watched(study)
    ]


def _written_by(rows: QuerySet[Any]) -> RawSQL:
    # The name is a model's own table, nobody's input.
    return RawSQL(f'"{rows.model._meta.db_table}"."xmin"::text', (), output_field=TextField())  # noqa: S611


def _jobs(study: Study) -> list[tuple[Any, ...]]:
    return list(AnalysisJob.objects.filter(study=study).order_by("pk").values_list(*_OF_JOBS))
