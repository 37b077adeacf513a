"""Drafts as their writers lock and look at them: what the services that save and those that sign have in common.

The order of locks is the study, then the report: that of every writer of a case.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.utils.translation import gettext as _

from cad_platform.accounts.rules import require
from cad_platform.audit.services import record
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, NotFound
from cad_platform.reading.case_state import lock_case
from cad_platform.reporting.models import Report
from cad_platform.studies.models import Study


class StaleRevision(Conflict):
    """Somebody saved in between. Says who and when; the writer reloads, or keeps both texts."""

    code = "stale_revision"

    def __init__(self, report: Report) -> None:
        self.writer = report.updated_by.printed_name if report.updated_by else ""
        self.saved_at = report.updated_at
        self.revision = report.revision
        super().__init__(_("%(writer)s has saved this report since you loaded it.") % {"writer": self.writer})


def draft(actor: Actor, report_id: uuid.UUID, permission: str) -> Report:
    """A draft as it stands now.

    Raises
    ------
    NotFound, NotPermitted
        There is none (any more), or the actor may not.
    Conflict
        It is signed.
    """
    return _checked(actor, _reports().filter(pk=report_id).first(), permission)


def lock_draft(actor: Actor, report_id: uuid.UUID, permission: str) -> Report:
    """`draft`, with its case and itself locked until the transaction ends; its `study` is the locked one."""
    found = draft(actor, report_id, permission)
    study = lock_case(found.study_id)
    locked = _reports().select_for_update(of=("self",)).filter(pk=report_id).first()
    report = _checked(actor, locked, permission)
    report.study = study
    return report


def lock_reportable(study: Study) -> Study:
    """The study, its case locked, so that two cannot open its report at once. Only a complete one has a report."""
    locked = lock_case(study.pk)
    refuse_unreportable(locked)
    return locked


def refuse_unreportable(study: Study) -> None:
    """Only a complete study that is not withdrawn has a report.

    Raises
    ------
    Conflict
        `withdrawn` or `not_complete`.
    """
    if study.withdrawn_at is not None:
        raise Conflict(_("The study was withdrawn; it cannot be reported."), code="withdrawn")
    if study.state != Study.State.COMPLETE:
        raise Conflict(_("Only a complete study can be reported."), code="not_complete")


def record_of(actor: Actor, action: str, report: Report, **detail: Any) -> None:
    """Audit something that happened to a report, under its study."""
    record(
        actor,
        action,
        object_type="report",
        object_id=report.pk,
        site_id=report.study.site_id,
        study=str(report.study_id),
        **detail,
    )


def _reports() -> Any:
    return Report.objects.select_related("study__site", "study__patient", "updated_by", "amends")


def _checked(actor: Actor, report: Report | None, permission: str) -> Report:
    if report is None:
        raise NotFound(_("This draft does not exist any more."))
    require(actor, permission, report.study)
    if report.state == Report.State.SIGNED:
        raise Conflict(_("The report is signed and cannot change. Write an addendum instead."), code="signed")
    return report
