"""What may happen to a report: drafts are opened, saved, discarded and signed; a signed one gets addenda.

Everything here checks the permission, records the action and commits both together.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from cad_platform.accounts.models import Role
from cad_platform.accounts.reauthentication import reauthenticate
from cad_platform.accounts.rules import require
from cad_platform.audit.services import record
from cad_platform.core import outbox
from cad_platform.core.errors import Conflict, Invalid, NotFound
from cad_platform.core.request import Actor
from cad_platform.reporting import content as contents
from cad_platform.reporting.ai_summary import finding_lines, join_lines, summary_of
from cad_platform.reporting.document import typeset_and_store
from cad_platform.reporting.merging import merge
from cad_platform.reporting.models import DraftPresence, Report, Signature
from cad_platform.reporting.record import canonical_record, content_hash, holds
from cad_platform.studies.models import Study

#: Who has shown a sign of life within this time is writing.
PRESENCE_LASTS = timedelta(seconds=30)


class StaleRevision(Conflict):
    """Somebody saved in between. Says who and when; the writer reloads, or keeps both texts."""

    code = "stale_revision"

    def __init__(self, report: Report) -> None:
        self.writer = report.updated_by.printed_name if report.updated_by else ""
        self.saved_at = report.updated_at
        self.revision = report.revision
        super().__init__(_("%(writer)s has saved this report since you loaded it.") % {"writer": self.writer})


@dataclass(frozen=True)
class Saved:
    """A saved draft, and the coded fields where another writer's value stayed (`keep_both` only)."""

    report: Report
    chosen_theirs: tuple[str, ...] = ()


@transaction.atomic
def open_draft(actor: Actor, study: Study) -> Report:
    """The study's draft, made where there is none. Raises `Conflict` once the report is signed."""
    require(actor, "report.draft", study)
    study = _lock_reportable(study)
    report = Report.objects.filter(study=study, kind=Report.Kind.REPORT).first()
    if report is None:
        content = contents.empty(study.modality)
        report = Report.objects.create(
            study=study, content=contents.dump(content), created_by=actor.user, updated_by=actor.user
        )
        _record(actor, "report.open", report)
    elif report.state == Report.State.SIGNED:
        raise Conflict(_("The report is signed. Write an addendum instead."), code="signed")
    _be_present(actor, report)
    return report


@transaction.atomic
def open_addendum(actor: Actor, study: Study) -> Report:
    """A draft addendum to the study's signed report; the one that is being written, where there is one."""
    require(actor, "report.draft", study)
    study = _lock_reportable(study)
    signed = Report.objects.filter(study=study, kind=Report.Kind.REPORT, state=Report.State.SIGNED).first()
    if signed is None:
        raise Conflict(_("Only a signed report can have an addendum."), code="not_signed")
    draft = Report.objects.filter(study=study, state=Report.State.DRAFT).first()
    if draft is None:
        draft = Report.objects.create(
            study=study,
            kind=Report.Kind.ADDENDUM,
            amends=signed,
            content=contents.dump(contents.AddendumContent()),
            created_by=actor.user,
            updated_by=actor.user,
        )
        _record(actor, "report.open", draft)
    _be_present(actor, draft)
    return draft


@transaction.atomic
def save_draft(
    actor: Actor, report_id: uuid.UUID, content: dict[str, Any], revision: int, *, keep_both: bool = False
) -> Saved:
    """Keep what was written so far.

    revision: the one that the writer started from. When it is no longer the newest, `StaleRevision` is
    raised, or with `keep_both` the two versions are joined over their common start.
    """
    report = _locked_draft(actor, report_id, "report.draft")
    mine = _with_current_lines(contents.parse(content), report.study)
    chosen: tuple[str, ...] = ()
    if mine.kind != report.content["kind"]:
        raise Invalid(_("This is the content of another kind of report."))
    if report.revision != revision:
        if not keep_both:
            raise StaleRevision(report)
        merged = merge(_content_at(report, revision), report.content, contents.dump(mine))
        mine = _with_current_lines(contents.parse(merged.content), report.study)
        chosen = merged.chosen_theirs
    _be_present(actor, report)
    stored = contents.dump(mine)
    if stored == report.content:
        return Saved(report, chosen)
    report.content = stored
    report.revision += 1
    report.updated_by, report.updated_at = actor.user, timezone.now()
    report.save(update_fields=["content", "revision", "updated_by", "updated_at"])
    _record(actor, "report.save_draft", report, revision=report.revision)
    return Saved(report, chosen)


@transaction.atomic
def discard_draft(actor: Actor, report_id: uuid.UUID) -> None:
    """Throw a draft away. Its history stays in the database; a signed report cannot be thrown away."""
    report = _locked_draft(actor, report_id, "report.draft")
    _record(actor, "report.discard", report, revision=report.revision)
    report.delete()


@transaction.atomic
def note_presence(actor: Actor, report_id: uuid.UUID) -> tuple[Report, list[str]]:
    """Say that the actor has the draft open; answers the draft and the printed names of the other writers."""
    report = _draft(actor, report_id, "report.draft")
    _be_present(actor, report)
    others = DraftPresence.objects.filter(report=report, seen_at__gte=timezone.now() - PRESENCE_LASTS)
    others = others.exclude(user=actor.user).select_related("user")
    return report, sorted(presence.user.printed_name for presence in others)


@transaction.atomic
def leave_draft(actor: Actor, report_id: uuid.UUID) -> None:
    """The actor has closed the draft."""
    report = _draft(actor, report_id, "report.draft")
    DraftPresence.objects.filter(report=report, user=actor.user).delete()


def sign(actor: Actor, report_id: uuid.UUID, *, password: str, revision: int) -> Signature:
    """Sign a draft: the password is asked again, the content must be complete and be what the signer saw.

    The record is hashed, the PDF made and both frozen with the signature in one transaction.
    Raises `NotPermitted` (role or password), `TooManyRequests`, `StaleRevision`, `Invalid` (fields named).
    """
    report = _draft(actor, report_id, "report.sign")
    reauthenticate(
        actor, password, purpose="report.sign", object_type="report", object_id=report.pk, study=report.study
    )
    with transaction.atomic():
        return _sign(actor, report_id, revision, signed_at=timezone.now())


def meaning_of(report: Report) -> str:
    """What the signature means (21 CFR 11.50), as it is printed."""
    if report.kind == Report.Kind.ADDENDUM:
        return _("Author of this addendum")
    return _("Read, interpreted and approved as the responsible physician")


def _sign(actor: Actor, report_id: uuid.UUID, revision: int, *, signed_at: datetime) -> Signature:
    report = _locked_draft(actor, report_id, "report.sign")
    _lock_reportable(report.study)
    if report.revision != revision:
        raise StaleRevision(report)
    content = contents.parse(report.content)
    if missing := contents.problems(content, report.study.modality):
        raise Invalid(_("The report is not complete."), errors=missing, code="incomplete")
    summary = summary_of(report.study)
    if _with_current_lines(content, report.study) != content:
        raise Conflict(
            _("Findings were decided since the report was saved. Look at them once more, then sign."),
            code="findings_changed",
        )
    signer, meaning = actor.user, meaning_of(report)
    report.ai_summary = summary
    digest = content_hash(
        canonical_record(
            report,
            signer=signer,
            printed_name=signer.printed_name,
            role=actor.role,
            meaning=meaning,
            signed_at=signed_at,
        )
    )
    signature = Signature(
        report=report,
        signer=signer,
        printed_name=signer.printed_name,
        role=actor.role,
        meaning=meaning,
        signed_at=signed_at,
        content_hash=digest,
    )
    report.content_hash, report.state = digest, Report.State.SIGNED
    report.updated_by, report.updated_at = signer, signed_at
    report.pdf = typeset_and_store(report, signature)
    report.save()
    signature.save(force_insert=True)
    # What cannot be recomputed from the database would be a signature over nothing.
    stored = Report.objects.select_related("study", "amends").get(pk=report.pk)
    if not holds(stored, Signature.objects.get(pk=report.pk)):
        raise RuntimeError("the stored report does not give the signed hash")
    DraftPresence.objects.filter(report=report).delete()
    _record(actor, "report.sign", report, content_hash=digest, kind=report.kind, role=Role(actor.role).value)
    outbox.publish("report.signed", report_id=str(report.pk))
    return signature


def _with_current_lines(content: contents.Content, study: Study) -> contents.Content:
    """The content with the finding lines that follow from the decisions so far, and their texts."""
    if isinstance(content, contents.AddendumContent):
        return content
    return content.model_copy(
        update={"findings": join_lines(content.findings, finding_lines(summary_of(study)))}
    )


def _lock_reportable(study: Study) -> Study:
    """The study, locked, so that two cannot open its report at once. Only a complete one has a report."""
    locked = Study.objects.select_for_update().get(pk=study.pk)
    if locked.withdrawn_at is not None:
        raise Conflict(_("The study was withdrawn; it cannot be reported."), code="withdrawn")
    if locked.state != Study.State.COMPLETE:
        raise Conflict(_("Only a complete study can be reported."), code="not_complete")
    return locked


def _draft(actor: Actor, report_id: uuid.UUID, permission: str, *, lock: bool = False) -> Report:
    reports = Report.objects.select_related("study", "updated_by", "amends")
    if lock:
        reports = reports.select_for_update(of=("self",))
    report = reports.filter(pk=report_id).first()
    if report is None:
        raise NotFound(_("This draft does not exist any more."))
    require(actor, permission, report.study)
    if report.state == Report.State.SIGNED:
        raise Conflict(_("The report is signed and cannot change. Write an addendum instead."), code="signed")
    return report


def _locked_draft(actor: Actor, report_id: uuid.UUID, permission: str) -> Report:
    return _draft(actor, report_id, permission, lock=True)


def _content_at(report: Report, revision: int) -> dict[str, Any]:
    """The content of an earlier revision, from the history; empty where there is none."""
    from django.apps import apps

    history = apps.get_model("reporting", "ReportEvent").objects
    event = history.filter(pgh_obj_id=report.pk, revision=revision).order_by("pgh_id").first()
    return dict(event.content) if event else {}


def _be_present(actor: Actor, report: Report) -> None:
    DraftPresence.objects.update_or_create(
        report=report, user=actor.user, defaults={"seen_at": timezone.now()}
    )


def _record(actor: Actor, action: str, report: Report, **detail: Any) -> None:
    record(
        actor,
        action,
        object_type="report",
        object_id=report.pk,
        site_id=report.study.site_id,
        study=str(report.study_id),
        **detail,
    )
