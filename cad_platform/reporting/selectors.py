"""What an actor may read of reports. That it was read is recorded by the services that open it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from cad_platform.accounts.rules import allowed, require
from cad_platform.core.actor import Actor
from cad_platform.core.errors import Conflict, FieldError, NotFound
from cad_platform.reporting import amendments
from cad_platform.reporting import content as contents
from cad_platform.reporting.ai_summary import summary_of, with_current_lines
from cad_platform.reporting.consistency.case import Case
from cad_platform.reporting.consistency.engine import contradictions
from cad_platform.reporting.consistency.rule import Contradiction
from cad_platform.reporting.consistency.snapshot import case_of
from cad_platform.reporting.models import DraftPresence, Report
from cad_platform.reporting.shown import Shown, digest_of, shown_of
from cad_platform.studies.models import StoredFile, Study

#: Who has shown a sign of life within this time is writing.
PRESENCE_LASTS = timedelta(seconds=30)


def reports_of(actor: Actor, study: Study) -> list[Report]:
    """The signed reports and addenda of a study, in the order of their making. Drafts are not for others.

    Raises
    ------
    NotPermitted
        The actor reads no reports of this study.
    """
    require(actor, "report.view", study)
    reports = Report.objects.filter(study=study, state=Report.State.SIGNED)
    related = ("signature__signer", "pdf", "study__site", "study__patient", "amends__signature")
    return list(reports.select_related(*related).order_by("created_at"))


def composed(report: Report) -> dict[str, Any]:
    """A signed report as the API answers it, with what its addenda changed since, the newest first."""
    signature = report.signature
    return {
        "id": str(report.pk),
        "kind": report.kind,
        "amends": str(report.amends_id) if report.amends_id else None,
        "content": report.content,
        "content_hash": report.content_hash,
        "ai_summary": report.ai_summary,
        "particulars": report.particulars,
        "amendments": [_composed_amendment(each) for each in reversed(amendments.amendments_of(report))],
        "overrides": [
            {name: override[name] for name in ("rule", "sentence", "reason")} for override in report.overrides
        ],
        "signature": {
            "printed_name": signature.printed_name,
            "role": signature.role,
            "meaning": signature.meaning,
            "signed_at": signature.signed_at.isoformat(),
            "content_hash": signature.content_hash,
        },
    }


def _composed_amendment(amendment: amendments.Amendment) -> dict[str, Any]:
    return {
        "addendum": str(amendment.addendum.pk),
        "signed_at": amendment.at.isoformat(),
        "printed_name": amendment.by,
        "reason": amendment.addendum.content.get("reason", ""),
        "changes": [
            {
                "field": change.field,
                "before": change.before if change.parts else change.code_before,
                "after": change.after if change.parts else change.code_after,
            }
            for change in amendment.changes
        ],
    }


def counting_report(reports: Sequence[Report]) -> dict[str, Any] | None:
    """What the signed reports of a study say together: the report as its addenda left it. None where there is none."""
    original = next((report for report in reports if report.amends_id is None), None)
    if original is None:
        return None
    addenda = amendments.addenda_of(original)
    content = amendments.counting(original, addenda)
    return {
        "id": str(original.pk),
        "category": amendments.conclusion(content),
        "content": contents.dump(content),
        "signed_at": original.signature.signed_at.isoformat(),
        "amended_at": addenda[-1].signature.signed_at.isoformat() if addenda else None,
        "amended_by": [str(addendum.pk) for addendum in addenda],
    }


@dataclass(frozen=True)
class ReportFolder:
    """All that the report section of a case shows."""

    study: Study
    signed: list[Report]
    draft: Report | None
    may_draft: bool
    may_sign: bool
    reportable: bool


def folder(actor: Actor, study: Study) -> ReportFolder:
    """The reports of a study and what the actor may do about them."""
    signed = reports_of(actor, study)
    draft = (
        Report.objects.filter(study=study, state=Report.State.DRAFT)
        .select_related("study__patient", "created_by", "updated_by", "amends")
        .first()
    )
    may_draft = allowed(actor, "report.draft", study)
    return ReportFolder(
        study=study,
        signed=signed,
        draft=draft,
        may_draft=may_draft,
        may_sign=allowed(actor, "report.sign", study),
        reportable=study.withdrawn_at is None and study.state == Study.State.COMPLETE,
    )


def draft_content(draft: Report) -> contents.ReportContent:
    """A draft's content with the finding lines that follow from the decisions so far."""
    return with_current_lines(contents.parse(draft.content), draft.study)


def other_writers(actor: Actor, draft: Report) -> list[str]:
    """Who else has the draft open just now, by printed name."""
    present = DraftPresence.objects.filter(report=draft, seen_at__gte=timezone.now() - PRESENCE_LASTS)
    others = present.exclude(user=actor.user).select_related("user")
    return sorted(presence.user.printed_name for presence in others)


@dataclass(frozen=True)
class Readiness:
    """What stands between a draft and a signature, and what the signer is shown.

    Attributes
    ----------
    problems
        What is missing.
    contradictions
        In what the report contradicts itself or its case; `case` is what they were found in.
    shown, digest
        What the dialog shows, and by which name the signature says that it was seen.
    at
        When it was looked at.
    """

    report: Report
    problems: tuple[FieldError, ...]
    contradictions: list[Contradiction]
    case: Case
    shown: Shown
    digest: str
    at: datetime


def readiness(actor: Actor, report_id: uuid.UUID, looked_at: datetime | None = None) -> Readiness:
    """What stands between a draft and a signature.

    Parameters
    ----------
    looked_at
        When the writer last looked at the report together with its case; by default when it was last saved.

    Raises
    ------
    NotFound
        The draft does not exist (any more).
    NotPermitted
        The actor drafts no reports of this study.
    Conflict
        `signed`.
    """
    report = (
        Report.objects.filter(pk=report_id).select_related("study__site", "study__patient", "amends").first()
    )
    if report is None:
        raise NotFound(_("This draft does not exist any more."))
    require(actor, "report.draft", report.study)
    if report.state == Report.State.SIGNED:
        raise Conflict(_("The report is signed."), code="signed")
    at = timezone.now()
    content = contents.parse(report.content)
    case, found = contradictions_of(report, content, looked_at=looked_at)
    return Readiness(
        report=report,
        problems=amendments.problems(report, content),
        contradictions=found,
        case=case,
        shown=shown_of(report, case),
        digest=digest_of(report, case, found),
        at=at,
    )


def contradictions_of(
    report: Report, content: contents.ReportContent, *, looked_at: datetime | None = None
) -> tuple[Case, list[Contradiction]]:
    """In what a draft with this content contradicts itself or its case as that stands now."""
    case = case_of(report, content, summary_of(report.study), looked_at=looked_at)
    return case, contradictions(case)


def pdf_of(actor: Actor, report_id: uuid.UUID) -> tuple[Report, StoredFile]:
    """A signed report of the actor's site and its PDF.

    Raises
    ------
    NotFound
        There is no such signed report.
    NotPermitted
        The actor reads no reports of its study.
    """
    reports = Report.objects.filter(pk=report_id, state=Report.State.SIGNED)
    report = reports.select_related("study__site", "study__patient", "pdf", "signature").first()
    if report is None or report.pdf is None:
        raise NotFound(_("There is no such report at your site."))
    require(actor, "report.view", report.study)
    return report, report.pdf
