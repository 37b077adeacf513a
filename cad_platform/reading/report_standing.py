"""How far the report of a study is, as `reporting` says it: a lower floor asks here and reads no report.

Each is called in the transaction that begins, discards or signs, after the study's row was locked; so a decision, which
takes the same lock, sees the report as it stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django.db import transaction

from cad_platform.reading.models import ReportStanding
from cad_platform.studies.models import Study


def standing_of(study: Study) -> ReportStanding | None:
    """As it is now, whatever `study` was read with; None where no report was ever begun."""
    return ReportStanding.objects.filter(study=study.pk).first()


def draft_begun(study: Study) -> None:
    """A report or an addendum is being written."""
    _say(study, has_draft=True)


def draft_discarded(study: Study) -> None:
    """The one draft of the study is gone; what was signed before stands."""
    _say(study, has_draft=False)


def report_signed(
    study: Study, at: datetime, jobs: Mapping[str, str], *, category: str = "", is_amended: bool = False
) -> None:
    """The draft is signed.

    Parameters
    ----------
    study
        Locked by the caller.
    at
        The signature's time.
    jobs
        Id → state, of the jobs that the signed record holds.
    category
        The BI-RADS assessment that counts now, where there is one.
    is_amended
        Whether it was an addendum that was signed.
    """
    _say(
        study,
        has_draft=False,
        signed_at=at,
        signed_jobs=dict(jobs),
        category=category,
        is_amended=is_amended,
    )


def _say(study: Study, **values: object) -> None:
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("the standing of a report is said in the transaction that changes the report")
    ReportStanding.objects.update_or_create(study=study, defaults=values)
