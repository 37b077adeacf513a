"""Which revision a study is, with all that is said of it: told from the rows that an answer is composed of, without
composing it, in one query.

PostgreSQL marks every version of a row with the transaction that wrote it (`xmin`) and its place (`ctid`), so nobody
has to list what may change. A table that the answer reads and that is not watched here fails a test.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import Model

from cad_platform.accounts.models import Site
from cad_platform.analysis.models import AnalysisJob, Artefact, Finding
from cad_platform.patients.models import Patient
from cad_platform.reading.models import FindingDecision, ReportStanding
from cad_platform.registry.models import ModelRoute, ModelVersion
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

_SERIES = "SELECT id FROM studies_series WHERE study_id = %(study)s"
_IMAGES = f"SELECT id FROM studies_instance WHERE series_id IN ({_SERIES})"  # noqa: S608
_FINDINGS = "SELECT id FROM analysis_finding WHERE study_id = %(study)s"
_REPORTS = "SELECT id FROM reporting_report WHERE study_id = %(study)s"

#: The rows that an answer about a study is composed of, as conditions on each table. Of reports the signed ones: a
#: draft is written every few seconds.
WATCHED: dict[type[Model], str] = {
    Study: "id = %(study)s",
    Site: "id = %(site)s",
    Patient: "id = %(patient)s OR merged_into_id = %(patient)s",
    Series: "study_id = %(study)s",
    Instance: f"series_id IN ({_SERIES})",
    Slide: f"instance_id IN ({_IMAGES})",
    SideConfirmation: f"instance_id IN ({_IMAGES})",
    QuarantinedFile: "study_id = %(study)s",
    KeptAside: "study_id = %(study)s",
    StudyCorrection: "study_id = %(study)s",
    ModelVersion: "TRUE",
    ModelRoute: "kind <> 'shadow'",
    Artefact: "job_id IN (SELECT id FROM analysis_analysisjob WHERE study_id = %(study)s)",
    Finding: "study_id = %(study)s",
    FindingDecision: f"finding_id IN ({_FINDINGS})",
    ReportStanding: "study_id = %(study)s",
    Report: f"id IN ({_REPORTS}) AND state = 'signed'",
    Signature: f"report_id IN ({_REPORTS})",
}
#: What of a job an answer tells. A worker that merely holds on to a job writes its row every few seconds.
_OF_JOBS = (
    *("state", "reason", "retryable", "attempt", "content_hash", "score", "requested_at"),
    *("restarted_at", "available_at", "started_at", "finished_at"),
)
#: Written once, and named by rows that are looked at: files, people's names.
WRITTEN_ONCE = {"studies_storedfile", "accounts_user"}


def _marks() -> Iterator[str]:
    """For each table what tells the versions of its rows apart."""
    for model, condition in WATCHED.items():
        table, key = model._meta.db_table, model._meta.pk.column
        yield f"SELECT '{table}' AS of, {key}::text AS row, concat(xmin, ctid) AS mark FROM {table} WHERE {condition}"  # noqa: S608
    jobs = AnalysisJob._meta.db_table
    yield f"SELECT '{jobs}', id::text, ROW({', '.join(_OF_JOBS)})::text FROM {jobs} WHERE study_id = %(study)s"  # noqa: S608


_STATEMENT = f"""
    SELECT array_agg(DISTINCT of),
           encode(sha256(convert_to(string_agg(concat_ws(' ', of, row, mark), E'\\n' ORDER BY of, row), 'UTF8')), 'hex')
    FROM ({" UNION ALL ".join(_marks())}) AS marks
"""  # noqa: S608


@dataclass(frozen=True)
class Revision:
    """What an answer about a study is composed of.

    Attributes
    ----------
    digest
        Differs (32 hex digits) whenever something differs of what the API answers about the study.
    tables
        Those that hold any of it: the others need not be asked.
    """

    digest: str
    tables: frozenset[str]

    def has(self, model: type[Model]) -> bool:
        """Whether a table that is watched has rows of the study."""
        if model not in WATCHED:
            raise ValueError(f"{model.__name__} is not watched")
        return model._meta.db_table in self.tables


def revision_of(study: Study) -> Revision:
    """The study's as it is now."""
    keys: dict[str, Any] = {"study": study.pk, "site": study.site_id, "patient": study.patient_id}
    with connection.cursor() as cursor:
        cursor.execute(_STATEMENT, keys)
        tables, digest = cursor.fetchone()
    return Revision(str(digest)[:32], frozenset(tables))
